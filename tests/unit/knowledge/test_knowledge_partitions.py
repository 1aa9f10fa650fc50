"""What a session sees of the index is all that there is to it: whatever lies above."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.index_kit import KB, SEMANTIC, chunk, ids, index_at, query

from bastide.keys.opening import open_keyring
from bastide.knowledge.index import graph

WORDS = ["harbour", "ship", "storm", "bread", "pier"]
TEXTS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=6).map(" ".join)
VECTORS = st.none() | st.lists(st.integers(-2, 2), min_size=2, max_size=2)
LOW, HIGH = ["U", "C"], ["S", "TS", "TS//SI-G"]


@st.composite
def doings(draw):
    """Puts and removals at labels of both kinds, in one order."""
    made = []
    for number in range(draw(st.integers(1, 12))):
        marking = draw(st.sampled_from(LOW + HIGH))
        name = f"{'low' if marking in LOW else 'high'}{draw(st.integers(0, 4))}"
        if draw(st.integers(0, 4)) == 0:
            made.append((marking, name, None))
        else:
            text, vector = draw(TEXTS), draw(VECTORS)
            one = chunk(f"{name}/{number}", text, marking, vector, n=draw(st.integers(0, 2)))
            made.append((marking, name, one))
    return made


def done(index, made):
    for _, name, one in made:
        if one is None:
            index.remove(KB, [name])
        else:
            index.put(KB, [one])


QUESTIONS = [
    query("harbour ship", sees=LOW),
    query("storm", [1, 1], sees=LOW),
    query("bread pier", [0, 1], sees=LOW, mode=SEMANTIC),
    query("ship storm", [1, 0], sees=LOW, filter={"lessThan": {"key": "n", "value": 2}}),
]


@settings(max_examples=25, deadline=None)
@given(made=doings(), warm=st.booleans())
def test_below_nothing_differs_by_what_is_above(made, warm):
    """Bit for bit: chunks, scores, order and count, with all of it and with the low part alone;
    whoever asked before."""
    with tempfile.TemporaryDirectory() as folder:
        keys = open_keyring(Path(folder) / "keys", "")
        found = []
        for name, part in (("all", made), ("low", [one for one in made if one[0] in LOW])):
            place = Path(folder) / name
            place.mkdir()
            index = index_at(place, keys)
            if warm:
                index.search(query("harbour", [1, 0], sees=LOW + HIGH))
            done(index, part)
            if warm:
                index.search(query("harbour ship storm", [1, 0], sees=LOW + HIGH))
            found.append([index.search(each) for each in QUESTIONS])
            index.close()
        assert found[0] == found[1]


def test_how_rare_a_word_is_is_counted_below_alone(tmp_path):
    """Above, the same word in many chunks makes it common there, and nowhere else."""
    index = index_at(tmp_path)
    index.put(KB, [chunk("a", "storm harbour"), chunk("b", "ship harbour"), chunk("c", "bread")])
    before = index.search(query("storm harbour"))
    index.put(KB, [chunk(f"s{n}", "storm storm", "S") for n in range(300)])
    assert index.search(query("storm harbour")) == before
    above = index.search(query("storm harbour", sees=("U", "S")))
    assert ids(above) != ids(before)
    index.close()


def test_a_session_without_labels_sees_nothing(tmp_path):
    index = index_at(tmp_path)
    index.put(KB, [chunk("a", "storm", vector=[1, 0])])
    assert index.search(query("storm", [1, 0], sees=())) == []
    index.close()


@pytest.fixture(scope="module")
def many():
    random = np.random.default_rng(7)
    centres = random.standard_normal((60, 32))
    made = centres[random.integers(0, 60, 3_000)] + 0.7 * random.standard_normal((3_000, 32))
    return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)


def test_a_large_partition_has_a_graph_of_its_own(tmp_path, many):
    """What it proposes is nearly always what comparing all finds, at each label; what came later,
    what went and what is filtered is right at once."""
    exact = index_at(tmp_path, graph_from=10**9)
    labels = ("U", "S")
    for start in range(0, len(many), 500):
        exact.put(KB, [
            chunk(f"{n}", "word", labels[n % 2], many[n], half=n % 2)
            for n in range(start, start + 500)
        ])  # fmt: skip
    asked = [
        query("?", many[n] + 0.05, sees=sees, mode=SEMANTIC)
        for n in range(0, 3_000, 60) for sees in (("U",), ("S",), labels)
    ]  # fmt: skip
    truth = [exact.search(each) for each in asked]
    exact.close()
    index = index_at(tmp_path, graph_from=1_000)
    index.search(asked[2])
    index._graphs.wait()
    assert [one.graph.covers for one in index._memory._held.values()] == [1_500, 1_500]
    found = [index.search(each) for each in asked]
    same = sum(len({*ids(a)} & {*ids(b)}) for a, b in zip(truth, found, strict=True))
    assert same >= 0.99 * 10 * len(asked)

    one = query("?", many[0], mode=SEMANTIC)
    index.put(KB, [chunk("late", "word", vector=many[0])])
    assert set(ids(index.search(one))[:2]) == {"0", "late"}
    index.remove(KB, ["0"])
    assert ids(index.search(one))[0] == "late"
    filtered = query("?", many[0], mode=SEMANTIC, filter={"equals": {"key": "half", "value": 1}})
    assert index.search(filtered) == []
    index.close()


def test_large_is_a_hundred_thousand(tmp_path):
    index = index_at(tmp_path)
    assert index._graphs._from == 100_000
    index.close()


def test_a_graph_is_kept_sealed_and_is_there_after_a_start(tmp_path, many):
    index = index_at(tmp_path, graph_from=100)
    index.put(KB, [chunk(f"{n}", "word", vector=many[n]) for n in range(300)])
    asked = query("?", many[5], mode=SEMANTIC)
    index.search(asked)
    index._graphs.wait()
    before = index.search(asked)
    held = b"".join(path.read_bytes() for path in tmp_path.glob("index.db*"))
    assert b"usearch" not in held
    index.close()
    again = index_at(tmp_path, graph_from=100)
    assert again.search(asked) == before
    (one,) = again._memory._held.values()
    assert one.graph.covers == 300
    again.close()


def test_a_build_ends_when_it_is_told(many):
    asked = iter([True, False])
    assert graph.build(many, lambda: next(asked)) is None
