"""BFCL's rules of what a right call is, and its questions as requests of Converse."""

import json

import pytest
from evals.bfcl import Row, is_for_design, rows_of, schema_of
from evals.bfcl_match import all_match, matches

RIGHT = {
    "add": {"a": [1, 2], "to": ["New York", "NY"], "unit": ["", "m"], "at": [[1.0, 2.0]]},
}


def add(**more):
    return ("add", {"a": 1, "to": "new-york", "at": [1, 2], **more})


@pytest.mark.parametrize(
    ("call", "is_right"),
    [
        (add(), True),
        (add(unit="M"), True),
        (add(a=2.0), True),
        (add(a=3), False),
        (add(a=True), False),
        (add(a="1"), False),
        (add(to="Newark"), False),
        (add(at=[1]), False),
        (add(at=[2, 1]), False),
        (add(other=1), False),
        (("sub", add()[1]), False),
        (("add", {"a": 1, "to": "NY"}), False),
    ],
)
def test_one_call(call, is_right):
    assert matches(call, RIGHT) is is_right


def test_dicts_hold_options_in_turn():
    right = {"f": {"d": [{"x": [1], "y": ["", 2]}], "l": [[{"x": [1, 5]}]]}}
    assert matches(("f", {"d": {"x": 1}, "l": [{"x": 5}]}), right)
    assert not matches(("f", {"d": {"y": 2}, "l": [{"x": 5}]}), right)
    assert not matches(("f", {"d": {"x": 1}, "l": [{"x": 4}]}), right)


def test_several_calls_in_any_order():
    truth = [{"f": {"x": [1]}}, {"f": {"x": [2]}}]
    assert all_match([("f", {"x": 2}), ("f", {"x": 1})], truth)
    assert not all_match([("f", {"x": 1})], truth)
    assert not all_match([("f", {"x": 1}), ("f", {"x": 1})], truth)
    assert not all_match([("f", {"x": 1}), ("f", {"x": 2}), ("f", {"x": 2})], truth)
    assert all_match([], [])


def test_schemas_in_the_words_of_json():
    said = {
        "type": "dict",
        "properties": {
            "a": {"type": "float", "optional": True},
            "b": {"type": "tuple", "items": {"type": "any"}},
        },
    }
    assert schema_of(said) == {
        "type": "object",
        "properties": {"a": {"type": "number"}, "b": {"type": "array", "items": {}}},
    }


def test_questions_and_their_answers(tmp_path):
    function = {"name": "a.b", "description": "d", "parameters": {"type": "dict"}}
    turns = [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}]
    row = {"id": "x_0", "question": [turns], "function": [function]}
    asked = tmp_path / "BFCL_v4_simple_python.json"
    asked.write_text(json.dumps(row) + "\n")
    truth = {"id": "x_0", "ground_truth": [{"a.b": {}}]}
    (tmp_path / f"answer_{asked.name}").write_text(json.dumps(truth))
    (found,) = rows_of(asked)
    assert (found.tools, found.system) == ({"a_b": function}, [{"text": "s"}])
    assert found.messages == [{"role": "user", "content": [{"text": "q"}]}]
    assert found.truth == [{"a.b": {}}]
    none = tmp_path / "BFCL_v4_irrelevance.json"
    none.write_text(json.dumps(row))
    assert rows_of(none)[0].truth is None


def test_one_row_in_four_is_for_design_whatever_it_asks():
    rows = [Row(f"x_{n}", [], [], {}, None) for n in range(400)]
    chosen = [row.id for row in rows if is_for_design(row)]
    assert 70 < len(chosen) < 130
    assert chosen == [row.id for row in rows if is_for_design(row)]
