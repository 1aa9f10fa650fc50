"""What comes out of the cage of documents is believed no more than what went in."""

import msgspec
import pytest

from bastide.jobs.worker import WorkerFailed
from bastide.kernel.errors import Unavailable
from bastide.kernel.shares import view_of
from bastide.knowledge.caged_reader import REASON_MAX, CagedReader
from bastide.knowledge.parsing import TEXT_MAX
from bastide.knowledge.reading import Unreadable

ACCOUNT = "1" * 12
OURS = view_of(ACCOUNT, "CUI")


class Answering:
    """A worker, taken over by what it has read."""

    def __init__(self, answer: bytes) -> None:
        self.answer, self.heard = answer, []

    def ask(self, question: bytes, timeout_s: float, *, whose: str = "") -> bytes:
        self.heard.append((whose, timeout_s))
        if not self.answer:
            raise WorkerFailed("it died")
        return self.answer


def read(answer: bytes, **wanted) -> str:
    return CagedReader(worker=Answering(answer), **wanted).read(b"x", "a.txt", "", whose=OURS)


def packed(**said) -> bytes:
    return msgspec.msgpack.encode(said)


def test_its_text_is_taken():
    assert read(packed(text="a\0b")) == "ab"


@pytest.mark.parametrize(
    "answer",
    [
        b"\xc1",
        packed(text=7),
        b"\xdf\xff\xff\xff\xff",
        msgspec.msgpack.encode(["a"]),
        packed(text="a" * (TEXT_MAX + 1)),
        packed(text=" "),
        packed(),
        b"",
    ],
)
def test_what_is_no_answer_fails_its_own_document_alone(answer):
    with pytest.raises(Unreadable, match="could not be read"):
        read(answer)


def test_a_reason_is_bounded():
    with pytest.raises(Unreadable) as told:
        read(packed(reason="x" * 10_000_000))
    assert len(told.value.reason) == REASON_MAX


def test_it_is_said_whose_a_document_is_and_how_long_it_may_take():
    worker = Answering(packed(text="a"))
    reader = CagedReader(worker=worker, timeout_s=20.0)
    reader.read(b"x", "a.txt", "", whose=OURS)
    reader.read(b"x", "a.txt", "", whose=view_of(ACCOUNT, "SECRET"))
    (one, timeout_s), (other, _) = worker.heard
    assert one != other
    assert timeout_s == 20.0


def test_the_labels_of_an_agency_take_turns_as_agencies_do():
    class Told:
        def turn(self, who, timeout_s):
            asked.append(who)
            raise TimeoutError

    asked = []
    for label in ("CUI", "SECRET"):
        reader = CagedReader(worker=Answering(b""), turns=Told())
        with pytest.raises(Unavailable):
            reader.read(b"x", "a.txt", "", whose=view_of(ACCOUNT, label))
    assert len(set(asked)) == 2


def test_who_waits_behind_others_for_too_long_is_not_told_that_its_document_is_broken():
    class Never:
        def turn(self, who, timeout_s):
            raise TimeoutError

    with pytest.raises(Unavailable):
        read(packed(text="a"), turns=Never())
