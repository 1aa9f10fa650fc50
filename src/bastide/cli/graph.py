"""What was made of what, drawn: as a tree of text, in Graphviz's language, or as plain SVG."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

UNKNOWN = "not known yet"
CHAR_PX, LINE_PX, BOX_PX, GAP_PX, ROW_PX = 7, 16, 44, 48, 60
Node = tuple[str, str]  # ARN and marking


@dataclass(frozen=True, slots=True)
class Graph:
    """`roots` are what was asked for; `sources` says of each node what it was made of."""

    roots: Sequence[Node]
    sources: Mapping[Node, Sequence[Node]]


def of(found: Mapping[str, Any]) -> Graph:
    """From the operators' API."""
    sources: dict[Node, list[Node]] = {}
    for edge in found["edges"]:
        made = (edge["arn"], edge["label"])
        sources.setdefault(made, []).append((edge["from_arn"], edge["from_label"]))
    return Graph([(found["arn"], label) for label in found["labels"]], sources)


def tree(graph: Graph) -> str:
    """Each node below what was made of it; one that is there already is not told twice."""
    lines: list[str] = []
    told: set[Node] = set()
    for root in graph.roots:
        lines += _branch(graph, root, "", "", told)
    return "\n".join(lines)


def dot(graph: Graph) -> str:
    lines = [f"  {_quoted(node)} [shape=box];" for node in _levels(graph)]
    lines += [f"  {_quoted(one)} -> {_quoted(made)};" for made, one in _edges(graph)]
    return "\n".join(("digraph labels {", "  rankdir=RL;", *lines, "}"))


def svg(graph: Graph) -> str:
    """A column for each step back, what was asked for at the left."""
    at = _places(graph)
    parts = [_line(at[made], at[one]) for made, one in _edges(graph)]
    parts += [_box(node, place) for node, place in at.items()]
    width = max((x + w for x, _, w in at.values()), default=0) + GAP_PX
    height = max((y for _, y, _ in at.values()), default=0) + ROW_PX
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
            'font-family="monospace" font-size="11">',
            *parts,
            "</svg>",
        )
    )


def _branch(graph: Graph, node: Node, first: str, rest: str, told: set[Node]) -> Iterator[str]:
    again = node in told and bool(graph.sources.get(node))
    yield f"{first}{node[0]}  [{node[1] or UNKNOWN}]{'  (see above)' if again else ''}"
    if again:
        return
    told.add(node)
    below = graph.sources.get(node, ())
    for number, source in enumerate(below, 1):
        last = number == len(below)
        yield from _branch(
            graph,
            source,
            f"{rest}{'└─ ' if last else '├─ '}",
            f"{rest}{'   ' if last else '│  '}",
            told,
        )


def _quoted(node: Node) -> str:
    return json.dumps(f"{node[0]}\n{node[1] or UNKNOWN}", ensure_ascii=False)


def _levels(graph: Graph) -> dict[Node, int]:
    """How many steps back each node is, at least."""
    found = dict.fromkeys(graph.roots, 0)
    coming = list(graph.roots)
    for node in coming:
        for source in graph.sources.get(node, ()):
            if source not in found:
                found[source] = found[node] + 1
                coming.append(source)
    return found


def _edges(graph: Graph) -> Iterator[tuple[Node, Node]]:
    for node in _levels(graph):
        for source in graph.sources.get(node, ()):
            yield node, source


def _places(graph: Graph) -> dict[Node, tuple[int, int, int]]:
    """Left, top and width of each node's box."""
    levels, found = _levels(graph), {}
    left = GAP_PX // 2
    for level in range(max(levels.values(), default=-1) + 1):
        column = [node for node in levels if levels[node] == level]
        width = max(len(text) for node in column for text in (*node, UNKNOWN)) * CHAR_PX + LINE_PX
        for row, node in enumerate(column):
            found[node] = (left, LINE_PX + row * ROW_PX, width)
        left += width + GAP_PX
    return found


def _line(made: tuple[int, int, int], source: tuple[int, int, int]) -> str:
    x1, y1 = made[0] + made[2], made[1] + BOX_PX // 2
    return (
        f'<line x1="{x1}" y1="{y1}" x2="{source[0]}" y2="{source[1] + BOX_PX // 2}" stroke="#555"/>'
    )


def _box(node: Node, place: tuple[int, int, int]) -> str:
    x, y, width = place
    words = "".join(
        f'<text x="{x + LINE_PX // 2}" y="{y + LINE_PX * row}">{escape(text)}</text>'
        for row, text in enumerate((node[0], node[1] or UNKNOWN), 1)
    )
    return (
        f'<rect x="{x}" y="{y}" width="{width}" height="{BOX_PX}" fill="#fff" stroke="#555"/>'
        f"{words}"
    )
