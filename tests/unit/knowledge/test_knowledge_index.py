"""The index: what is found in which order, what is kept sealed, and what a crash leaves."""

import multiprocessing
import os
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tests.index_kit import KB, OTHER_KB, SEMANTIC, chunk, ids, index_at, query
from tests.labels_kit import US

from bastide.keys.opening import open_keyring
from bastide.knowledge.index import records


@pytest.fixture
def index(tmp_path):
    made = index_at(tmp_path)
    yield made
    made.close()


PIER = chunk("pier", "The pier was closed after the storm", vector=[1, 0, 0])
SHIP = chunk("ship", "A ship entered the harbour", vector=[0.8, 0.6, 0])
BREAD = chunk("bread", "Bread is baked every morning", vector=[0, 0, 1])


def test_by_meaning(index):
    index.put(KB, [PIER, SHIP, BREAD])
    hits = index.search(query("?", [1, 0, 0], mode=SEMANTIC))
    assert ids(hits) == ["pier", "ship", "bread"]
    assert [hit.score for hit in hits] == pytest.approx([1, 0.9, 0.5])
    assert hits[0].chunk.text == PIER.text
    opposite = index.search(query("?", [-1, 0, 0], mode=SEMANTIC))
    assert all(0 < hit.score <= 1 for hit in opposite)


def test_by_words_and_by_both(index):
    index.put(KB, [PIER, SHIP, BREAD])
    assert ids(index.search(query("who baked bread"))) == ["bread"]
    both = index.search(query("bread", [1, 0, 0]))
    assert ids(both)[0] == "bread", "third by meaning and first by words"
    assert all(0 < hit.score <= 1 for hit in both)
    agreed = index.search(query("pier", [1, 0, 0]))
    assert agreed[0].score == 1, "the first of both"
    assert index.search(query("nothing of that kind")) == []
    assert index.search(query("")) == []


def test_a_filtered_question_does_not_wait_for_what_is_put_above(index):
    """How long it takes would tell that somebody writes there."""
    index.put(KB, [chunk("low", "harbour", year=1)])
    asked = query("harbour", filter={"equals": {"key": "year", "value": 1}})
    index.search(asked)
    with ThreadPoolExecutor(1) as another, index._changing(KB):
        found = another.submit(index.search, asked)
        assert ids(found.result(timeout=60)) == ["low"]


def test_words_are_rare_or_common(index):
    chunks = [chunk(f"c{n}", "harbour report of the day") for n in range(20)]
    index.put(KB, [*chunks, chunk("rare", "harbour collision"), chunk("twice", "harbour harbour")])
    assert ids(index.search(query("collision harbour")))[0] == "rare"
    assert ids(index.search(query("harbour")))[0] == "twice"


def test_a_document_that_is_put_again_has_what_it_has_now(index):
    index.put(KB, [chunk("d/1", "first words"), chunk("d/2", "second words")])
    index.search(query("words"))
    index.put(KB, [chunk("d/1", "other words")])
    assert [hit.chunk.text for hit in index.search(query("words"))] == ["other words"]
    index.put(KB, [chunk("e/1", "more words")])
    index.remove(KB, ["d", "never there"])
    assert ids(index.search(query("words"))) == ["e/1"]


def test_it_is_the_same_after_a_start(tmp_path):
    first = index_at(tmp_path)
    first.put(KB, [PIER, SHIP, BREAD])
    first.search(query("ship"))
    first.put(KB, [chunk("late", "a late ship", vector=[0, 1, 0])])
    first.remove(KB, ["pier"])
    asked = [query("ship", [0, 1, 0]), query("ship"), query("x", [1, 1, 1], mode=SEMANTIC)]
    before = [first.search(each) for each in asked]
    first.close()
    again = index_at(tmp_path)
    assert [again.search(each) for each in asked] == before
    again.close()


def test_nothing_of_another_knowledge_base_or_agency(index):
    index.put(KB, [PIER])
    index.put(OTHER_KB, [SHIP])
    assert ids(index.search(query("ship pier"))) == ["pier"]
    index.drop(KB)
    assert index.search(query("ship pier")) == []
    assert ids(index.search(query("ship pier", kb=OTHER_KB))) == ["ship"]


@pytest.mark.parametrize(
    "vector", [[float("nan"), 0, 0], [float("inf"), 0, 0], [[1, 0, 0]], [1, 0]]
)
def test_no_vector(index, vector):
    index.put(KB, [PIER])
    with pytest.raises(ValueError, match="vector"):
        index.put(KB, [chunk("bad", vector=vector)])
    with pytest.raises(ValueError, match="vector"):
        index.search(query("pier", vector))
    assert ids(index.search(query("pier"))) == ["pier"]


def test_odd_texts(index):
    odd = ["", "\x00\x01", "a" * 10**6, "w " * 10**6, "\ud800", "\u6f22\u5b57", "' OR 1=1 --"]
    index.put(KB, [chunk(f"o{n}", text or " ") for n, text in enumerate(odd)])
    for text in odd:
        index.search(query(text))
    assert ids(index.search(query("\u6f22\u5b57"))) == ["o5"]
    zero = index.search(query("\u6f22\u5b57", [0, 0, 0]))
    assert ids(zero) == ["o5"], "a vector without a direction says nothing"


def test_equal_ones_come_in_the_order_in_which_they_were_put(index):
    index.put(KB, [chunk(f"c{n:03d}", "the same", vector=[1, 0]) for n in range(150)])
    wanted = [f"c{n:03d}" for n in range(10)]
    for asked in (query("same"), query("same", [1, 0]), query("x", [1, 0], mode=SEMANTIC)):
        assert ids(index.search(asked)) == wanted


def test_nothing_lies_in_the_clear(index, tmp_path):
    index.put(
        KB, [chunk("nomdeguerre/7", "the codeword is heliotrope", vector=[1, 2], colour="mauve")]
    )
    held = b"".join(path.read_bytes() for path in tmp_path.glob("index.db*"))
    assert KB.id.encode() in held
    vector = (np.array([1, 2]) / np.sqrt(5)).astype("<f4").tobytes()
    for word in (b"heliotrope", b"nomdeguerre", b"mauve", b"colour", vector[:4], vector[4:]):
        assert word not in held


def test_a_key_that_is_destroyed_ends_its_label(tmp_path):
    keys = open_keyring(tmp_path / "keys", "")
    index = index_at(tmp_path, keys)
    index.put(KB, [chunk("low", "the harbour"), chunk("high", "the harbour", "S")])
    both = query("harbour", sees=("U", "S"))
    assert set(ids(index.search(both))) == {"low", "high"}
    keys.destroy(KB.account, US.parse("S").text)
    assert ids(index.search(both)) == ["low"], "not from memory either"
    index.put(KB, [chunk("new", "the harbour", "S")])
    assert set(ids(index.search(both))) == {"low", "new"}
    keys.rotate(KB.account, US.parse("U").text)
    assert set(ids(index.search(both))) == {"low", "new"}
    index.close()


def test_what_is_dropped_leaves_no_key_in_the_file(index, tmp_path):
    index.put(KB, [PIER])
    (row,) = index._file.read(lambda db: records.partitions(db, KB.key))
    (sealed,) = index._file.read(lambda db: records.page(db, row.id, 0))
    held = lambda: b"".join(path.read_bytes() for path in tmp_path.glob("index.db*"))  # noqa: E731
    assert row.wrapped in held()
    index.drop(KB)
    assert row.wrapped not in held()
    assert sealed[2] not in held()


def test_what_was_changed_on_the_disk_is_not_answered(tmp_path):
    index = index_at(tmp_path)
    index.put(KB, [PIER, SHIP])
    index.close()
    with sqlite3.connect(tmp_path / "index.db") as db:
        ((first,), (second,)) = db.execute("SELECT body FROM chunks ORDER BY id").fetchall()
        db.execute("UPDATE chunks SET body = ? WHERE id = 1", (second,))
        db.execute("UPDATE chunks SET body = ? WHERE id = 2", (first,))
    db.close()
    again = index_at(tmp_path)
    with pytest.raises(Exception, match="does not authenticate"):
        again.search(query("ship"))
    again.close()


def _put_for_ever(folder, ready):
    index = index_at(folder)
    number = 0
    while True:
        words = f"version{number}"
        index.put(KB, [chunk(f"d/{n}", f"{words} part{n}", vector=[n + 1, 1]) for n in range(20)])
        if number == 2:
            ready.set()
        number += 1


def test_killed_while_it_puts_it_has_all_of_a_document_or_what_was_there(tmp_path):
    context = multiprocessing.get_context("spawn")
    for round_ in range(2):
        ready = context.Event()
        folder = tmp_path / str(round_)
        folder.mkdir()
        process = context.Process(target=_put_for_ever, args=(folder, ready))
        process.start()
        assert ready.wait(60)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        index = index_at(folder)
        texts = [hit.chunk.text for hit in index.search(query("", [1, 1], mode=SEMANTIC, k=100))]
        assert len(texts) == 20
        assert len({text.split()[0] for text in texts}) == 1
        index.close()


def test_what_is_high_makes_room_and_what_is_low_stays(tmp_path):
    index = index_at(tmp_path, memory_bytes=150_000)
    for marking in ("U", "S", "TS"):
        index.put(KB, [chunk(f"{marking}{n}", "same", marking, [1] * 64) for n in range(200)])
    held = lambda: {one.row.label for one in index._memory._held.values()}  # noqa: E731
    index.search(query("same", sees=("U",)))
    assert held() == {US.parse("U").text}
    for _ in range(3):
        assert len(index.search(query("same", sees=("U", "S", "TS")))) == 10
        assert US.parse("U").text in held()
        assert US.parse("TS").text not in held()
    index.close()
