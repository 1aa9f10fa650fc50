"""Topics by what is meant: which vectors are compared, and what is asked for twice."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from tests.labels_kit import US
from tests.policy_kit import OTHER, principal
from tests.unit.guardrails.test_guardrails_detectors import InProcess, Topic

from bastide.guardrails.detectors import Detectors
from bastide.guardrails.judging import ABOUT
from bastide.guardrails.meaning import (
    ABOUT_FROM,
    KEPT_MAX,
    PIECE_LETTERS,
    SENTENCE_LETTERS,
    Kept,
    Meaning,
    pieces,
)
from bastide.kernel.errors import Unavailable

WHO = principal()


@dataclass
class Words:
    """A vector of a text counts what it says of rain and of money."""

    asked: list = field(default_factory=list)
    down: bool = False

    def vectors(self, who, texts):
        if self.down:
            raise Unavailable("the model")
        self.asked.append(list(texts))
        rows = [[t.count("rain") + t.count("weather") + 1e-9, t.count("money")] for t in texts]
        made = np.array(rows, np.float32)
        return made / np.linalg.norm(made, axis=1, keepdims=True)


def test_what_is_meant_counts_and_what_is_not_does_not():
    meaning = Meaning(Words())
    topic = Topic(name="weather", definition="rain", examples=("weather",))
    assert meaning.score(WHO, topic, "rain") == pytest.approx(1.0)
    assert meaning.score(WHO, topic, "money") == pytest.approx(0.0, abs=1e-6)
    assert meaning.score(WHO, topic, " \n ") == 0.0


def test_the_nearest_piece_of_a_long_text_tells():
    filler = "money " * (PIECE_LETTERS // 6) + ". "
    long = filler + "It will rain, rain and rain, " + "rain " * 30 + ". " + filler
    assert Meaning(Words()).score(WHO, Topic(), long) == pytest.approx(1.0)


def test_pieces_are_sentences_and_nothing_is_lost():
    text = "One. Two! " + "Three " * 40 + "\nFour? Five"
    found = list(pieces(text))
    assert " ".join(found).split() == text.split()
    assert all(len(piece) >= PIECE_LETTERS for piece in found[:-1])


@dataclass
class At:
    """The last text stands at that cosine from all others."""

    cosine: float

    def vectors(self, who, texts):
        far = [self.cosine, (1 - self.cosine**2) ** 0.5]
        return np.array([[1, 0]] * (len(texts) - 1) + [far])


@pytest.mark.parametrize(("cosine", "holds"), [(ABOUT_FROM, True), (ABOUT_FROM - 0.001, False)])
def test_where_a_topic_begins_is_where_the_judge_hears_it(cosine, holds):
    assert (Meaning(At(cosine)).score(WHO, Topic(), "x") >= ABOUT) is holds


def test_a_text_is_read_once_for_those_who_may_know_that_it_was():
    words = Words()
    meaning = Meaning(words)
    above = replace(WHO, session=US.parse("S"))
    for who in (WHO, WHO, above, principal(account=OTHER)):
        meaning.score(who, Topic(), "rain")
    assert len(words.asked) == 3


def test_what_is_kept_has_a_bound():
    kept = Kept()
    for number in range(KEPT_MAX + 10):
        kept.keep(str(number).encode(), np.zeros(1))
    assert kept.find(b"9") is None
    assert kept.find(b"10") is not None
    assert len(kept._held) == KEPT_MAX


def test_without_a_model_words_tell_and_without_an_answer_nothing_passes():
    class Nobody:
        def vectors(self, who, texts):
            return None

    words = Detectors(InProcess(), meaning=Meaning(Nobody())).of(WHO)
    assert words.is_about(Topic(), "will it rain tomorrow") > ABOUT
    assert words.is_about(Topic(), "umbrella") < ABOUT
    down = Detectors(InProcess(), meaning=Meaning(Words(down=True))).of(WHO)
    with pytest.raises(Unavailable):
        down.is_about(Topic(), "umbrella")


def test_a_text_without_an_end_is_read_in_pieces_too():
    """Of a longer one the model would read the beginning alone, and mean all of it at once."""
    said = "money " * 60 + "rain " * 60 + "money " * 60
    assert max(map(len, pieces(said))) <= PIECE_LETTERS + SENTENCE_LETTERS
    assert "".join("".join(pieces(said)).split()) == "".join(said.split()), "all is read"
    topic = Topic(name="weather", definition="rain", examples=("weather",))
    assert Meaning(Words()).score(WHO, topic, said) > 0.9, "of all of it at once: 0.6"
