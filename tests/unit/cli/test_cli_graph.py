"""What was made of what, drawn: every form tells of every node and its marking."""

import xml.etree.ElementTree as ElementTree

from bastide.cli import graph

FOUND = {
    "arn": "arn:e",
    "labels": ["S"],
    "edges": [
        {"arn": "arn:e", "label": "S", "from_arn": "arn:m", "from_label": "S"},
        {"arn": "arn:m", "label": "S", "from_arn": "arn:j", "from_label": "S"},
        {"arn": "arn:m", "label": "S", "from_arn": 'arn:"<&', "from_label": "U"},
        {"arn": "arn:j", "label": "S", "from_arn": "arn:d", "from_label": ""},
        {"arn": "arn:j", "label": "S", "from_arn": "arn:m", "from_label": "S"},  # and round again
    ],
}
DRAWN = graph.of(FOUND)


def test_a_tree_names_each_thing_under_what_was_made_of_it():
    assert graph.tree(DRAWN).splitlines() == [
        "arn:e  [S]",
        "└─ arn:m  [S]",
        "   ├─ arn:j  [S]",
        "   │  ├─ arn:d  [not known yet]",
        "   │  └─ arn:m  [S]  (see above)",
        '   └─ arn:"<&  [U]',
    ]


def test_graphviz_is_told_what_was_made_from_what():
    lines = graph.dot(DRAWN).splitlines()
    assert '  "arn:m\\nS" -> "arn:e\\nS";' in lines
    assert '  "arn:\\"<&\\nU" -> "arn:m\\nS";' in lines
    assert sum("->" in line for line in lines) == 5


def test_a_drawing_is_xml_with_a_box_for_each_thing_and_a_line_for_each_edge():
    root = ElementTree.fromstring(graph.svg(DRAWN))
    name = "{http://www.w3.org/2000/svg}"
    texts = [each.text for each in root.iter(f"{name}text")]
    assert texts[::2] == ["arn:e", "arn:m", "arn:j", 'arn:"<&', "arn:d"]
    assert "not known yet" in texts
    assert len(list(root.iter(f"{name}line"))) == 5
    assert len({(box.get("x"), box.get("y")) for box in root.iter(f"{name}rect")}) == 5


def test_what_was_made_of_nothing_is_one_node():
    alone = graph.of({"arn": "arn:b", "labels": ["U", "S"], "edges": []})
    assert graph.tree(alone) == "arn:b  [U]\narn:b  [S]"
