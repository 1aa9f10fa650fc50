"""The verdict: what is found, hidden and stopped, however the text comes."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guardrails_kit import FakeDetectors, both, in_parts, judged, rules

from bastide.guardrails.judging import SPANS_MAX, Grounds
from bastide.guardrails.model import Action, Filter, Grounding, Pii, Sides, Strength, Topic
from bastide.guardrails.verdicts import Content, assessment, coverage, usage
from bastide.guardrails.windows import OVERLAP, STRIDE_MAX
from bastide.kernel.errors import Unavailable

EVERYTHING = rules(
    words=["secret", "code name"],
    regexes=[(r"\b\d{3}-\d{4}\b", "ANONYMIZE"), (r"[A-Z]{30,}", "ANONYMIZE"), ("zz+", "NONE")],
    managed={"PROFANITY": both()},
    pii=(Pii("NAME", both("ANONYMIZE")), Pii("EMAIL", both())),
    filters=(Filter("HATE", Strength.HIGH, Strength.MEDIUM, both()),),
    topics=(Topic("gambling", "Bets.", (), both()),),
)
HIDING = rules(
    regexes=[(r"\b\d{3}-\d{4}\b", "ANONYMIZE"), (r"[A-Z]{30,}", "ANONYMIZE"), ("^b+", "ANONYMIZE")],
    pii=(Pii("NAME", both("ANONYMIZE")), Pii("EMAIL", both("ANONYMIZE"))),
)
PIECES = st.sampled_from(
    [
        "secret", "a code  name", "555-1234", "zzz", "Ada Lovelace", "ada@example.org", "shit",
        "hate0.7", "gambling", "plain words of no weight", "\u200b" * 150, "\u202eab", "x" * 300,
        "A" * 45, "\ud83d", "é", "\n", "b" * 50, "word " * 60, "Q" * 1500,
    ]
)  # fmt: skip


@st.composite
def chunked(draw):
    """A text, and its parts: cut anywhere, within words and pairs too."""
    glue = draw(st.sampled_from([" ", "", ". "]))
    text = glue.join(draw(st.lists(PIECES, max_size=25)))
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=20)))
    ends = [*cuts, len(text)]
    return text, [text[a:b] for a, b in zip([0, *cuts], ends, strict=True)]


@settings(max_examples=150, deadline=None)
@given(chunked(), st.sampled_from([EVERYTHING, HIDING]))
def test_the_verdict_is_that_of_the_whole_text(case, said):
    text, parts = case
    whole = judged(said, text, source="OUTPUT")
    judge, out = in_parts(said, parts)
    assert judge.is_blocked == whole.blocked
    assert tuple(judge.spans) == whole.spans
    assert tuple(judge.scores.values()) == whole.scores
    if not whole.blocked:
        assert (out,) == whole.texts


@settings(max_examples=60, deadline=None)
@given(chunked())
def test_nothing_is_lost_and_nothing_hidden_shows(case):
    text, parts = case
    assert in_parts(rules(words=["no such word"]), parts)[1] == text
    out = in_parts(HIDING, parts)[1]
    assert "Ada Lovelace" not in out
    assert "ada@example.org" not in out
    assert "AAAAAAAAAA" not in out
    assert "QQQQQQQQQQ" not in out


@pytest.mark.parametrize("at", range(760, 1010, 7))
@pytest.mark.parametrize("space", [" ", "x"])
def test_across_the_end_of_a_window(at, space):
    """Wherever it stands, and whether or not a window can end between words."""
    fill = ("w" + space) * 2_000
    text = f"{fill[:at]} Ada Lovelace, 555-1234 secret {fill}"
    for size in (1, 3, 4_096):
        parts = [text[i : i + size] for i in range(0, len(text), size)]
        judge, _ = in_parts(EVERYTHING, parts)
        found = {span.match for span in judge.spans}
        assert found == {"Ada Lovelace", "555-1234", "secret"}
        assert len(judge.spans) == 3
        hidden = text.replace("Ada Lovelace", "{NAME}").replace("555-1234", "{r0}")
        assert in_parts(HIDING, parts)[1] == hidden


@pytest.mark.parametrize("size", [OVERLAP - 1, OVERLAP, OVERLAP + 1, 3 * OVERLAP])
@pytest.mark.parametrize("at", range(STRIDE_MAX - OVERLAP - 2, STRIDE_MAX - OVERLAP + 3))
def test_what_begins_where_the_next_window_does_is_found(at, size):
    text = "." * at + "A" * size
    assert judged(rules(regexes=[("A{30,}", "BLOCK")]), text).blocked
    hidden = judged(rules(regexes=[("A{30,}", "ANONYMIZE")]), text)
    assert hidden.texts == ("." * at + "{r0}",)


def test_what_shows_only_at_its_end_what_it_is_is_found():
    """The window before saw no address yet, and this one has lost its beginning."""
    assert judged(rules(regexes=[(r"\w+@\w+", "BLOCK")]), "Q" * 1_500 + "ada@example").blocked
    assert "ada" not in in_parts(HIDING, "Q" * 1_500 + "ada@example.org")[1]


def test_a_pattern_that_matches_every_letter_is_bounded():
    """Compared pair by pair, what was found in the longest text took an hour; all was kept."""
    text = "a b c d " * 1_000
    found = judged(rules(regexes=[(f"(?:.|{n})", "ANONYMIZE") for n in range(2)]), text, "secret")
    assert found.texts[0] == "{r0}" * len(text)
    assert len(found.spans) == SPANS_MAX
    assert judged(rules(words=["a", "secret"]), "a " * 2_000, "secret").blocked


@pytest.mark.parametrize("size", range(1, 24))
def test_a_window_that_begins_within_a_word_finds_no_other(size):
    text = f"{'x' * size}hell " * 300
    assert not judged(rules(words=["hell"]), text).blocked


def test_what_was_settled_goes_before_the_end():
    """A stream is not held back longer than a window, and what it overlaps."""
    judge, _ = in_parts(HIDING, [])
    gone = sum(len(judge.add("word ")) for _ in range(1_000))
    assert gone >= 5_000 - STRIDE_MAX - OVERLAP - 10


def test_what_is_invisible_does_not_break_a_word_apart():
    text = "x " * 300 + "sec" + "\u200b" * 3_000 + "ret " + "x " * 600
    judge, _ = in_parts(
        rules(words=["secret"]), [text[i : i + 50] for i in range(0, len(text), 50)]
    )
    assert judge.is_blocked


@pytest.mark.parametrize("between", ["\u200b", "\u00ad", "\u2060", "\ufe0f", "\x00", "\ud800"])
@pytest.mark.parametrize("said", ["555-1234", "\uff15\uff15\uff15-1234", "ada@example.org"])
def test_what_is_invisible_hides_no_number_and_no_name(said, between):
    written = f"x {between.join(said)} y"
    assert judged(HIDING, written).texts[0] in ("x {r0} y", "x {EMAIL} y")
    assert in_parts(HIDING, written)[1] in ("x {r0} y", "x {EMAIL} y")


def test_a_pattern_may_ask_for_what_is_invisible():
    assert judged(rules(regexes=[("\u200b{3}", "BLOCK")]), "a\u200b\u200b\u200bb").blocked


def test_of_a_window_with_something_to_stop_nothing_goes():
    judge, out = in_parts(rules(words=["secret"]), ["secret " + "more " * 200, "and more"])
    assert judge.is_blocked
    assert out == ""


def test_blocking_says_the_message_and_no_text():
    verdict = judged(EVERYTHING, "the secret", "harmless")
    assert (verdict.action, verdict.reason) == ("GUARDRAIL_INTERVENED", "Guardrail blocked.")
    assert verdict.texts == ()
    assert verdict.message == "No question."
    assert judged(EVERYTHING, "a secret", source="OUTPUT").message == "No answer."


def test_hiding_says_what_was_there():
    verdict = judged(EVERYTHING, "Ask Ada Lovelace at 555-1234.", "And nobody.")
    assert verdict.action == "GUARDRAIL_INTERVENED"
    assert verdict.reason == "Guardrail masked."
    assert verdict.texts == ("Ask {NAME} at {r0}.", "And nobody.")


def test_what_overlaps_is_hidden_as_one():
    said = rules(regexes=[("ab+", "ANONYMIZE"), ("b+c", "ANONYMIZE")])
    assert judged(said, "xabbcx").texts == ("x{r0}x",)


def test_telling_only_is_no_intervention():
    verdict = judged(EVERYTHING, "zzz")
    assert verdict.action == "NONE"
    (found,) = assessment(verdict, full=False)["sensitiveInformationPolicy"]["regexes"]
    assert found == {
        "match": "zzz",
        "name": "r2",
        "regex": "zz+",
        "action": "NONE",
        "detected": True,
    }


def test_sides_are_apart():
    word = rules().words
    assert word == ()
    said = rules(regexes=[("a", "BLOCK")])
    regex = said.regexes[0]
    for sides, blocked in (
        (Sides(Action.BLOCK, None), (True, False)),
        (Sides(None, Action.BLOCK), (False, True)),
        (Sides(Action.NONE, Action.BLOCK), (False, True)),
    ):
        object.__setattr__(regex, "sides", sides)
        assert tuple(judged(said, "a", source=s).blocked for s in ("INPUT", "OUTPUT")) == blocked


@pytest.mark.parametrize(
    ("strength", "score", "stops"),
    [
        ("HIGH", 0.4, True), ("HIGH", 0.2, False), ("MEDIUM", 0.4, False), ("MEDIUM", 0.7, True),
        ("LOW", 0.7, False), ("LOW", 0.9, True), ("NONE", 1.0, False),
    ],
)  # fmt: skip
def test_strengths(strength, score, stops):
    said = rules(filters=(Filter("HATE", Strength(strength), Strength.NONE, both()),))
    verdict = judged(said, f"hate{score}")
    assert verdict.blocked is stops
    assert not judged(said, f"hate{score}", source="OUTPUT").blocked


def test_what_is_not_guarded_passes():
    verdict = judged(EVERYTHING, Content("a secret", guarded=False), Content("fine"))
    assert not verdict.intervened
    assert coverage(verdict) == {"textCharacters": {"guarded": 4, "total": 12}}


def test_grounding_is_held_against_its_source():
    said = rules(
        grounding=(
            Grounding("GROUNDING", 0.7, Action.BLOCK),
            Grounding("RELEVANCE", 0.5, Action.NONE),
        )
    )
    grounds = Grounds("The sky is blue today.", "sky colour")
    good = judged(said, "The sky is blue", source="OUTPUT", grounds=grounds)
    bad = judged(said, "It is green", source="OUTPUT", grounds=grounds)
    assert (good.blocked, bad.blocked) == (False, True)
    told = assessment(bad, full=False)["contextualGroundingPolicy"]["filters"]
    assert told == [
        {
            "type": "GROUNDING",
            "threshold": 0.7,
            "score": 0.0,
            "action": "BLOCKED",
            "detected": True,
        },
        {"type": "RELEVANCE", "threshold": 0.5, "score": 0.0, "action": "NONE", "detected": True},
    ]
    assert not judged(said, "It is green", grounds=grounds).blocked  # an input has no source
    assert usage(bad)["contextualGroundingPolicyUnits"] == 1


@pytest.mark.parametrize("down", ["pii", "content", "topic"])
def test_a_detector_that_is_down_lets_nothing_pass(down):
    with pytest.raises(Unavailable):
        judged(EVERYTHING, "harmless", detectors=FakeDetectors(down={down}))


def test_a_filter_that_was_not_scored_lets_nothing_pass():
    class Forgetful(FakeDetectors):
        def content_scores(self, text):
            return {}

    with pytest.raises(KeyError):
        judged(EVERYTHING, "harmless", detectors=Forgetful())


def test_full_tells_what_was_not_found():
    told = assessment(judged(EVERYTHING, "fine"), full=True)
    assert told["topicPolicy"]["topics"][0]["detected"] is False
    assert told["contentPolicy"]["filters"][0]["confidence"] == "NONE"
    assert {one["type"] for one in told["sensitiveInformationPolicy"]["piiEntities"]} == {
        "NAME", "EMAIL",
    }  # fmt: skip
    assert assessment(judged(EVERYTHING, "fine"), full=False) == {}


def test_units_are_thousands_of_characters():
    found = usage(judged(EVERYTHING, "x " * 600))
    assert found["wordPolicyUnits"] == found["topicPolicyUnits"] == found["contentPolicyUnits"] == 2
    assert usage(judged(rules(words=["w"]), "x"))["topicPolicyUnits"] == 0
