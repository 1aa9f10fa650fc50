"""AWS's filter grammar: what each operator finds, held against a plain reading of it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.index_kit import KB, chunk, ids, index_at, matches, query

from bastide.kernel.errors import ServiceError
from bastide.knowledge.index import filters
from bastide.knowledge.index.attribute_records import Attributes

KEYS = st.sampled_from(["a", "b", "A", "a b", "\x00", "'"])
TEXTS = st.text("aA1%_'\x00\u00e9\U0001f600", max_size=3) | st.sampled_from(["1", "true", "\ud800"])
NUMBERS = st.integers(-3, 3) | st.sampled_from([0.5, -0.0, 1e300, 2**63, -(2**70), 1.0])
SCALARS = TEXTS | NUMBERS | st.booleans()
METADATA = st.dictionaries(KEYS, SCALARS | st.lists(TEXTS, max_size=3), max_size=4)


def leaf(names, values):
    made = st.fixed_dictionaries({"key": KEYS, "value": values})
    return st.builds(lambda name, inside: {name: inside}, st.sampled_from(names), made)


LEAVES = (
    leaf(["equals", "notEquals"], SCALARS)
    | leaf(["greaterThan", "greaterThanOrEquals", "lessThan", "lessThanOrEquals"], NUMBERS)
    | leaf(["in", "notIn"], st.lists(SCALARS, min_size=1, max_size=4))
    | leaf(["startsWith", "stringContains", "listContains"], TEXTS)
)
FILTERS = st.recursive(
    LEAVES,
    lambda inner: st.builds(
        lambda name, of: {name: of}, st.sampled_from(["andAll", "orAll"]),
        st.lists(inner, min_size=2, max_size=3),
    ),
    max_leaves=6,
)  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(rows=st.lists(METADATA, max_size=12), wanted=FILTERS)
def test_it_finds_what_a_plain_reading_finds(rows, wanted):
    attributes = Attributes()
    attributes.add(0, rows)
    tree = filters.read(wanted)
    found = attributes.mask(tree, len(rows)).tolist()
    assert found == [matches(wanted, row) for row in rows]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"equals": {"key": "year", "value": 1989}}, ["old"]),
        ({"notEquals": {"key": "year", "value": 1989}}, ["new", "none"]),
        ({"greaterThanOrEquals": {"key": "year", "value": 2000.5}}, ["new"]),
        ({"equals": {"key": "open", "value": True}}, ["new"]),
        ({"equals": {"key": "open", "value": 1}}, []),
        ({"in": {"key": "year", "value": [1989, "1989"]}}, ["old"]),
        ({"notIn": {"key": "year", "value": [1989, 2024]}}, ["none"]),
        ({"listContains": {"key": "tags", "value": "sea"}}, ["old"]),
        ({"stringContains": {"key": "tags", "value": "ea"}}, ["old"]),
        ({"equals": {"key": "tags", "value": "sea"}}, []),
        ({"in": {"key": "tags", "value": ["sea"]}}, []),
        ({"startsWith": {"key": "tags", "value": "sea"}}, []),
        ({"startsWith": {"key": "name", "value": "har"}}, ["new", "old"]),
        (
            {
                "andAll": [
                    {"startsWith": {"key": "name", "value": "har"}},
                    {
                        "orAll": [
                            {"equals": {"key": "open", "value": True}},
                            {"lessThan": {"key": "year", "value": 0}},
                        ]
                    },
                ]
            },
            ["new"],
        ),
    ],
)
def test_search(tmp_path, wanted, found):
    """Before anything is ranked, for meaning and for words, and of what is put later too."""
    index = index_at(tmp_path)
    old = chunk("old", "words", vector=[1, 0], year=1989, name="harbour", tags=["sea", "wall"])
    index.put(KB, [old, chunk("none", "words", vector=[1, 0])])
    index.search(query("words", filter={"equals": {"key": "year", "value": 0}}))
    index.put(KB, [chunk("new", "words", vector=[1, 0], year=2024, name="hare", open=True)])
    for asked in (query("words", filter=wanted), query("x", [1, 0], filter=wanted)):
        assert sorted(ids(index.search(asked))) == found
    index.remove(KB, ["old"])
    again = sorted(ids(index.search(query("words", filter=wanted))))
    assert again == [each for each in found if each != "old"]
    index.close()


def deep(levels):
    inner = {"equals": {"key": "a", "value": 1}}
    for _ in range(levels):
        inner = {"andAll": [inner, {"equals": {"key": "a", "value": 1}}]}
    return inner


LEAF = {"equals": {"key": "a", "value": 1}}


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"equals": {"key": "a", "value": 1}, "in": {"key": "a", "value": [1]}},
        {"like": {"key": "a", "value": 1}},
        {"equals": {"key": "a"}},
        {"equals": {"key": "", "value": 1}},
        {"equals": {"key": 1, "value": 1}},
        {"equals": {"key": "a", "value": None}},
        {"equals": {"key": "a", "value": ["list"]}},
        {"equals": {"key": "a", "value": {"b": 1}}},
        {"equals": {"key": "a", "value": float("nan")}},
        {"greaterThan": {"key": "a", "value": "1"}},
        {"greaterThan": {"key": "a", "value": True}},
        {"greaterThan": {"key": "a", "value": float("inf")}},
        {"startsWith": {"key": "a", "value": 1}},
        {"listContains": {"key": "a", "value": ["x"]}},
        {"in": {"key": "a", "value": "x"}},
        {"in": {"key": "a", "value": []}},
        {"in": {"key": "a", "value": [1] * 1_001}},
        {"andAll": [LEAF]},
        {"andAll": LEAF},
        {"orAll": [LEAF, {}]},
        {"orAll": [LEAF] * 101},
        {"andAll": [{"orAll": [LEAF] * 60}, {"orAll": [LEAF] * 60}]},
        ["equals"],
        deep(8),
        deep(1_000_000),
    ],
    ids=range(26),
)
def test_no_filter(wanted):
    with pytest.raises(ServiceError) as caught:
        filters.read(wanted)
    assert caught.value.code == "ValidationException"
    assert len(caught.value.message) < 200


def test_as_deep_as_may_be():
    filters.read(deep(7))
