"""Values for any shape of a service model, by Hypothesis; and what they look like when equal."""

import math
import os
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

DEPTH_MAX = 4
TEXT = st.text(
    st.characters(min_codepoint=32, max_codepoint=0x2FF, exclude_characters="\x7f"), max_size=8
)
HEADER_TEXT = st.text("abcdefghijklmnopqrstuvwxyzABC0123456789-_/ =", min_size=1, max_size=8).map(
    lambda text: text.strip() or "x"
)
LABEL_TEXT = st.text("abcXYZ019-_.:/%+ ~ü", min_size=1, max_size=8).filter(
    lambda text: text.strip("./ ") and not text.startswith("/")
)
MOMENTS = st.integers(0, 4_000_000_000).map(lambda s: datetime.fromtimestamp(s, UTC))
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(-10, 10) | TEXT,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXT, inner, max_size=2),
    max_leaves=3,
)


def values(shape: Any, depth: int = 0, where: str = "") -> st.SearchStrategy[Any]:
    kind = shape.type_name
    if kind == "structure":
        if shape.is_document_type:
            return DOCUMENTS.filter(lambda value: value is not None)
        return structures(shape, depth)
    if kind in ("list", "map") and depth > DEPTH_MAX + 4:
        return st.just([] if kind == "list" else {})  # a recursive shape ends somewhere
    if kind == "list":
        least = int(bool(where))
        return st.lists(values(shape.member, depth + 1, where), min_size=least, max_size=2)
    if kind == "map":
        keys = HEADER_TEXT.map(str.lower) if where else TEXT.filter(bool)
        return st.dictionaries(keys, values(shape.value, depth + 1, where), min_size=1, max_size=2)
    return scalars(shape, where)


def scalars(shape: Any, where: str) -> st.SearchStrategy[Any]:
    kind = shape.type_name
    if kind in ("integer", "long"):
        return st.integers(-(2**31), 2**31 - 1)
    if kind in ("float", "double"):
        return st.floats(-1e6, 1e6).map(lambda value: round(value, 3) + 0.5)
    if kind == "boolean":
        return st.booleans()
    if kind == "timestamp":
        return MOMENTS
    if kind == "blob":
        return st.binary(max_size=12)
    if where == "uri":
        return LABEL_TEXT
    if shape.serialization.get("hostLabel"):
        return st.text("abc019", min_size=1, max_size=8)
    if where:
        return HEADER_TEXT
    if shape.enum:
        return st.sampled_from(list(shape.enum))
    return TEXT


def _breadth(shape: Any) -> int:
    """How little a value of a shape needs: nothing inside, then no other union inside."""
    if shape.type_name in ("list", "map"):
        inner = shape.member if shape.type_name == "list" else shape.value
        return 8 if inner.type_name == "structure" else 1
    if shape.type_name != "structure":
        return 0
    return 9 if shape.is_tagged_union else 2 + len(shape.required_members)


def structures(shape: Any, depth: int = 0) -> st.SearchStrategy[dict[str, Any]]:
    required, optional = {}, {}
    for name, member in shape.members.items():
        if member.serialization.get("eventstream"):
            continue
        deep = depth >= DEPTH_MAX and member.type_name in ("structure", "list", "map")
        where = member.serialization.get("location", "")
        if name in shape.required_members and not (deep and depth > DEPTH_MAX + 4):
            required[name] = values(member, depth + 1, where)
        elif not deep:
            optional[name] = values(member, depth + 1, where)
    if shape.is_tagged_union:
        if not optional:  # a union needs one member, however deep it is
            name, member = min(shape.members.items(), key=lambda one: _breadth(one[1]))
            optional[name] = values(member, depth + 1)
        choices = list((optional | required).items())
        return st.sampled_from(choices).flatmap(lambda one: st.fixed_dictionaries({one[0]: one[1]}))
    picked = dict(list(optional.items())[:12])
    return st.fixed_dictionaries(required, optional=picked)


def same(left: Any, right: Any) -> bool:
    """Equal, but for what the wire cannot tell apart: "" or {} or [] and nothing at all,
    and an empty structure in a list, which a flat form cannot write."""
    if isinstance(left, dict) and isinstance(right, dict):
        keys = {key for key in left.keys() | right.keys() if not key.startswith("ResponseMeta")}
        return all(same(left.get(key), right.get(key)) for key in keys)
    if isinstance(left, list) and isinstance(right, list):
        left, right = ([item for item in side if not _is_hollow(item)] for side in (left, right))
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float | int):
        return math.isclose(left, right, rel_tol=1e-9)
    if isinstance(left, datetime) and isinstance(right, datetime):
        return left.timestamp() == right.timestamp()
    if _is_empty(left) and _is_empty(right):
        return True
    return bool(left == right)


def _is_empty(value: Any) -> bool:
    if isinstance(value, list):
        return not [*filter(None, value)]
    return value in (None, "", b"") or _is_hollow(value)


def _is_hollow(value: Any) -> bool:
    """A structure in which nothing is set."""
    return isinstance(value, dict) and all(map(_is_empty, value.values()))


EXAMPLES = int(os.environ.get("BASTIDE_WIRE_EXAMPLES", "3"))  # of each operation


def with_examples(asked: st.SearchStrategy[Any], check: Callable[[Any], None]) -> None:
    """Run `check` on some values, the same ones in each run."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    @given(asked)
    def run(value: Any) -> None:
        check(value)

    run()
