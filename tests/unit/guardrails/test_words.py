"""Words and managed lists: found as a reader sees them, and only where they stand alone."""

import pytest

from bastide.guardrails.folding import folded
from bastide.guardrails.managed_words import LISTS
from bastide.guardrails.words import WordFinder

RUSSIAN = "\u0442\u0430\u0439\u043d\u0430"
WIDE = "".join(chr(0xFEE0 + ord(letter)) for letter in "secret")
PROFANITY = WordFinder(LISTS["PROFANITY"])


def hits(words, text):
    return [text[hit.start : hit.end] for hit in WordFinder(words).find(text)]


@pytest.mark.parametrize(
    ("word", "text", "there"),
    [
        ("secret", "a secret.", "secret"),
        ("secret", "A SECRET!", "SECRET"),
        ("Secret", "secret", "secret"),
        ("secret", WIDE, WIDE),
        ("secret", "s\u0435cret", "s\u0435cret"),  # a Cyrillic letter
        ("secret", "s\u200be\u200bcret", "s\u200be\u200bcret"),  # nothing that is seen
        ("secret", "\u202esecret\u202c", "secret"),
        ("secret", "se\u0301cret", "se\u0301cret"),
        ("secret", "s\u00e9cr\u00eat", "s\u00e9cr\u00eat"),
        ("secret", "s3cr3t", "s3cr3t"),
        ("hello", "he11o", "he11o"),
        ("strasse", "Straße", "Straße"),
        ("code name", "the code\n  name is", "code\n  name"),
        ("code name", "code\u00a0name", "code\u00a0name"),
        ("C++", "in C++, it", "C++"),
        ("4711", "no 4711.", "4711"),
        (RUSSIAN, RUSSIAN.upper(), RUSSIAN.upper()),
    ],
)  # fmt: skip
def test_a_word_is_found_as_it_is_read(word, text, there):
    assert hits([word], text) == [there]


@pytest.mark.parametrize(
    ("word", "text"),
    [
        ("secret", "secretary"), ("hell", "shell"), ("mall", "mail"), ("ass", "455"),
        ("code name", "codename"), ("4711", "a4711b"), ("4711", "47 11"), ("all", "a11y b"),
        ("secret", ""), ("secret", "\u200b\ud800"),
    ],
)  # fmt: skip
def test_what_only_looks_like_it_is_not(word, text):
    assert hits([word], text) == []


def test_words_within_words_are_all_found():
    assert sorted(hits(["red", "red fox", "fox"], "a red fox")) == ["fox", "red", "red fox"]


@pytest.mark.parametrize(
    "text", ["what a sh1t day", "5h1t", "$hit!", "A$$", "ASSHOLE", "fu\u200bck"]
)
def test_profanity(text):
    assert list(PROFANITY.find(text))


@pytest.mark.parametrize(
    "text",
    ["Scunthorpe", "a class of assets", "cockpit", "Dickens", "titan", "pass the assay", "$455"],
)
def test_no_profanity(text):
    assert not list(PROFANITY.find(text))


def test_places_are_those_of_the_original():
    text = "x\u200b ﬁne  \u0301 SECRET"
    seen = folded(text)
    assert seen.text == "x fine secret"
    start = seen.text.index("secret")
    assert text[slice(*seen.span(start, start + 6))] == "SECRET"


class Passes:
    """An automaton, and how much it was given to read."""

    def __init__(self, automaton):
        self.automaton, self.letters = automaton, 0

    def iter(self, text):
        self.letters += len(text)
        return self.automaton.iter(text)


def test_a_hundred_thousand_words_are_one_pass():
    finder = WordFinder(f"word{number}x" for number in range(100_000))
    assert len(finder._automaton) == 100_000
    passes = finder._automaton = Passes(finder._automaton)
    text = "word word1 word77 " * 5_000
    assert not list(finder.find(text))
    assert passes.letters == len(text)
    assert len(list(finder.find("a word77777x b"))) == 1
