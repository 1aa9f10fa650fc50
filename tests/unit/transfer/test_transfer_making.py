"""A bundle that is broken off while it is made goes on, and ends as if it were made in one go."""

import random
from dataclasses import dataclass, replace

import pytest
from tests.faults import killed
from tests.transfer_kit import HIGH, ORIGIN, Held, gate_of, made

from bastide.kernel.clock import ManualClock
from bastide.store.carrying import Carried
from bastide.transfer import chunks
from bastide.transfer.bundles import inspected
from bastide.transfer.model import CHUNK_BYTES, Refused
from bastide.transfer.sources import ObjectSource

ONE = random.Random(1).randbytes(CHUNK_BYTES)
SMALL = [Held(f"s{number}", b"%d" % number) for number in range(3)]
SOURCES = [*SMALL, Held("large", ONE + ONE[:9]), Held("none", b""), Held("last", ONE[5:])]


@dataclass(frozen=True)
class Counted(Held):
    """Remembers in `log` that it was read."""

    log: list = ()

    @property
    def state(self):
        return f"{self.name} {hash(self.data)}"

    def open(self):
        self.log.append(self.name)
        return super().open()


def create(gate, sources, base=""):
    return gate.create(HIGH, ORIGIN, base, sources)


def finished(gate, sources, base=""):
    *_, last = create(gate, sources, base)
    return last["made"]


def broken_off(gate, sources, after):
    """Ask for it, and be gone after so many steps."""
    steps = create(gate, sources)
    for _ in range(after):
        next(steps)
    steps.close()


def said_of(bundle):
    """All that it is, but for its id, its date and signatures."""
    predicate = bundle.statement.predicate
    digests = [one.digest["sha256"] for one in bundle.statement.subject]
    return digests, predicate.items, predicate.base, predicate.size


def left(gate):
    return sorted(path.name for path in gate.made.folder.iterdir() if path.name.startswith("."))


def whole(bundle):
    list(inspected(bundle))
    return {path.name for path in bundle.folder.iterdir()} == {
        "bundle.json", *(one.name for one in bundle.statement.subject)
    }  # fmt: skip


@pytest.fixture
def gate(tmp_path):
    return gate_of(tmp_path / "gate")


STEPS = 2 * len([one for one in SOURCES if one.data])


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Made in one go, with the same ids, at the same time."""
    return finished(gate_of(tmp_path_factory.mktemp("alone")), SOURCES)


@pytest.mark.parametrize("after", range(1, STEPS + 1))
def test_broken_off_at_each_step_it_ends_as_if_made_in_one_go(gate, alone, after):
    broken_off(gate, SOURCES, after)
    assert gate.rows() == []
    bundle = finished(gate, SOURCES)
    assert bundle.digest == alone.digest
    assert whole(bundle)
    assert left(gate) == []


def is_touch(event, _):
    """Of a file."""
    return event == "open" or event.startswith("os.")


def test_killed_at_each_touch_of_a_file_it_ends_as_if_made_in_one_go(tmp_path):
    sources = [Held("a", b"a"), Held("b", ONE + b"x"), Held("c", b"")]
    gate_of(tmp_path / "gate")  # its keys
    gate = gate_of(tmp_path / "gate")
    (tmp_path / "gate" / "bundles").mkdir(exist_ok=True)
    want = said_of(finished(gate_of(tmp_path / "other"), sources))
    at = 0
    while killed(lambda: finished(gate, sources), at, is_touch):
        bundle = finished(gate_of(tmp_path / "gate"), sources)
        assert said_of(bundle) == want
        assert whole(bundle)
        assert left(gate) == []
        assert gate.made.digests() == [bundle.digest]
        for path in bundle.folder.iterdir():
            path.unlink()
        bundle.folder.rmdir()
        at += 1
    assert at > 20


@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_it_ends_all_the_same(tmp_path, alone, seed):
    chance = random.Random(seed)
    gate = gate_of(tmp_path / "gate")
    while killed(lambda: finished(gate, SOURCES), chance.randrange(5, 60), is_touch):
        assert len(left(gate)) <= 1
    (digest,) = gate.made.digests()
    bundle = gate.made.unchecked(digest)
    assert bundle.digest == alone.digest
    assert whole(bundle)
    assert left(gate) == []


def test_what_lies_in_whole_chunks_is_not_read_or_written_again(gate):
    log = []
    sources = [Counted(one.name, one.data, log=log) for one in SOURCES]
    broken_off(gate, sources, STEPS)  # `last` is begun
    (place,) = gate.made.folder.glob(".*.making")
    there = {path.name: path.stat().st_ino for path in place.glob("*.chunk")}
    assert sorted(there) == ["00000000.chunk", "00000001.chunk", "00000002.chunk"]
    log.clear()
    bundle = finished(gate, sources)
    assert log == ["last"]  # the third chunk, in which it ends, was not full
    now = {path.name: path.stat().st_ino for path in bundle.folder.glob("*.chunk")}
    first = ("00000000.chunk", "00000001.chunk")
    assert [now[name] for name in first] == [there[name] for name in first]


def test_a_chunk_that_is_not_what_it_was_is_made_anew(gate):
    broken_off(gate, SOURCES, STEPS)
    (place,) = gate.made.folder.glob(".*.making")
    with (place / "00000001.chunk").open("r+b") as file:
        file.write(b"!")
    assert whole(finished(gate, SOURCES))


@pytest.mark.parametrize("cut", [0, 1, 40, 400, -1, -30])
def test_a_journal_that_is_torn_anywhere_costs_work_and_nothing_else(gate, cut):
    broken_off(gate, SOURCES, STEPS)
    (place,) = gate.made.folder.glob(".*.making")
    (journal,) = place.glob("*.journal")
    journal.write_bytes(journal.read_bytes()[:cut])
    bundle = finished(gate, SOURCES)
    assert whole(bundle)
    assert left(gate) == []


def test_another_state_of_a_source_begins_anew_and_the_old_one_goes(gate):
    broken_off(gate, SOURCES, STEPS)
    (old,) = left(gate)
    changed = [*SOURCES[:3], Held("large", ONE + ONE[:9], tags={"k": "v"}), *SOURCES[4:]]
    broken_off(gate, changed, 1)
    (new,) = left(gate)
    assert (old != new, old.partition("-")[0]) == (True, new.partition("-")[0])
    bundle = finished(gate, changed)
    assert bundle.statement.predicate.items[3].tags == {"k": "v"}
    assert whole(bundle)
    assert left(gate) == []


def test_a_source_that_changes_between_being_listed_and_read_is_never_mixed(gate):
    @dataclass(frozen=True)
    class Sly(Held):
        state = "the same"

    broken_off(gate, [Sly("a", ONE + ONE[:9])], 2)
    with pytest.raises(Refused, match="has changed"):
        finished(gate, [Sly("a", ONE[1:] + ONE[:10])])
    assert left(gate) == []
    assert whole(finished(gate, [Sly("a", ONE[1:] + ONE[:10])]))


def test_a_delta_goes_on_too(gate):
    base = finished(gate, SOURCES)
    changed = [*SOURCES[:3], Held("large", ONE[1:] + ONE[:99]), SOURCES[4], Held("last", ONE[7:])]
    steps = create(gate, changed, base.digest)
    for _ in range(3):
        next(steps)
    steps.close()
    bundle = finished(gate, changed, base.digest)
    assert [one.name for one in bundle.statement.predicate.items] == ["large", "last"]
    assert whole(bundle)


def test_a_full_disk_is_told_and_it_goes_on(gate):
    @dataclass(frozen=True)
    class Full(Held):
        def open(self):
            raise OSError(28, "No space left on device")

        @property
        def state(self):
            return repr(SOURCES[5])

    with pytest.raises(Refused, match="disk is full"):
        finished(gate, [*SOURCES[:5], Full("last", ONE[5:])])
    (place,) = gate.made.folder.glob(".*.making")
    there = (place / "00000000.chunk").stat().st_ino
    bundle = finished(gate, SOURCES)
    assert (bundle.folder / "00000000.chunk").stat().st_ino == there
    assert whole(bundle)


def test_two_who_ask_for_the_same_do_not_meet(gate):
    steps = create(gate, SOURCES)
    next(steps)
    with pytest.raises(Refused, match="being made already"):
        finished(gate, SOURCES)
    broken_off(gate, [Held("another", b"x")], 1)  # another state does not take it away
    *_, last = steps
    assert whole(last["made"])


def test_one_whose_asker_never_learned_of_it_is_not_made_twice(gate):
    steps = create(gate, SOURCES)
    for step in steps:
        if "made" in step:
            break
    steps.close()
    assert finished(gate, SOURCES).digest == step["made"].digest
    assert finished(gate, SOURCES).digest != step["made"].digest  # that one is asked for anew


def test_what_nobody_goes_on_with_is_thrown_away_after_a_week(tmp_path):
    clock = ManualClock()
    gate = gate_of(tmp_path / "gate", clock=clock)
    broken_off(gate, SOURCES, STEPS)
    (gate.made.folder / ".old-one.making").mkdir()  # of a time before there was a journal
    gate_of(tmp_path / "gate", clock=clock)
    assert len(left(gate)) == 1
    clock.advance(7 * 86_400 + 1)
    gate_of(tmp_path / "gate", clock=clock)
    assert left(gate) == []


def test_what_is_refused_leaves_nothing(gate):
    @dataclass(frozen=True)
    class Gone(Held):
        def open(self):
            raise Refused("it is gone")

    with pytest.raises(Refused, match="it is gone"):
        finished(gate, [*SOURCES[:5], Gone("z", b"z")])
    assert left(gate) == []
    assert chunks.total(made(gate, Held("a", b"x")).statement.predicate) == 1


LISTED = Carried(key="k", id="one", size=3, label="U", headers={"a": "b"}, tags={"k": "v"})


@pytest.mark.parametrize(
    "other",
    [{"id": "two"}, {"key": "l"}, {"label": "S"}, {"headers": {}}, {"metadata": {"m": "n"}},
     {"tags": {"k": "w"}}],
)  # fmt: skip
def test_an_object_is_in_another_state_when_anything_of_it_is_another(other):
    def state(listed):
        return ObjectSource(carrying=None, account="1", bucket="b", listed=listed).state

    assert state(LISTED) == state(replace(LISTED))
    assert state(LISTED) != state(replace(LISTED, **other))
