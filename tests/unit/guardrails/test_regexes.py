"""Patterns on RE2: what it refuses, and that no pattern takes more than linear time."""

from itertools import pairwise

import pytest

from bastide.guardrails import regexes
from bastide.guardrails.regexes import BadPattern


@pytest.mark.parametrize(
    "pattern",
    [
        "(?=a)b",
        "(?<!a)b",
        r"(a)\1",
        "(",
        "[",
        "a{1001}",
        "((a{100}){100}){100}",
        "\ud800",
        "a++",
        "x" * 3_000_000,
    ],
)
def test_what_is_no_pattern(pattern):
    with pytest.raises(BadPattern):
        regexes.check(pattern)


def test_where_it_matches():
    assert list(regexes.find(r"\d+", "a 12 é 345")) == [(2, 4), (7, 10)]
    assert list(regexes.find(r"x*", "axxb")) == [(1, 3)]
    assert list(regexes.find("b", "a\ud800b")) == [(2, 3)]
    assert list(regexes.find("b", "\U0001f600b\udc00b")) == [(1, 2), (3, 4)]
    assert list(regexes.find("b", "\ud83d\ude00b")) == [(2, 3)]


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|aa)+$", "(.*)*x", "(a|a)*b"])
def test_catastrophes_end_in_a_million_letters(pattern):
    """Where time were not linear, this would not end."""
    assert list(regexes.find(pattern, "a" * 1_000_000 + "!")) == []


class Searching:
    """A pattern, and how many letters its searches were given."""

    def __init__(self, pattern):
        self.pattern, self.letters, self.longest = pattern, 0, 0

    def finditer(self, text, pos, endpos):
        self.letters += endpos - pos
        self.longest = max(self.longest, endpos - pos)
        return self.pattern.finditer(text, pos, endpos)


@pytest.mark.parametrize("pattern", ["a*b|a", "(a|ba?)*c|a", "\\w"])
def test_no_search_sees_much_of_a_text(monkeypatch, pattern):
    """Each letter is a match, and each search for it might look to the end."""
    searching = Searching(regexes._compiled(pattern))
    monkeypatch.setattr(regexes, "_compiled", lambda _: searching)
    count = 50_000
    assert list(regexes.find(pattern, "a" * count)) == [(n, n + 1) for n in range(count)]
    assert searching.longest == regexes.PIECE
    assert searching.letters < count * regexes.PIECE / (regexes.PIECE - regexes.AHEAD) + 9_000


@pytest.mark.parametrize(
    ("pattern", "near"),
    [
        (r"\bkey-\d{4}\b", "key-1234"), ("b{3}$", "bbb"), ("^x", "x"),
        ("(?s)a.{900}b", "a" + "-" * 900 + "b"),
    ],
)  # fmt: skip
def test_where_a_text_is_cut_makes_no_difference(pattern, near):
    """Found wherever it stands, and what only a cut would make is not."""
    alone = regexes._compiled(pattern)
    for before in (0, 1, 3_070, 3_072, 4_090, 4_095, 4_096, 7_000):
        for after in (0, 1, 5_000):
            text = " " * before + near + " " * after
            assert list(regexes.find(pattern, text)) == [m.span() for m in alone.finditer(text)]


def test_what_is_longer_than_a_search_is_found_as_far_as_it_goes():
    found = list(regexes.find("a+", "-" + "a" * 10_000 + "-"))
    assert found[0][0] == 1
    assert found[-1][1] == 10_001
    assert all(one[1] == other[0] for one, other in pairwise(found))


def test_all_that_is_kept_of_patterns_is_no_more_than_a_region_has():
    """One guardrail after another, each with patterns that take all that they may."""
    for number in range(300):
        regexes.check(f"[ab]*a[ab]{{20}}{number}")
    kept = regexes._compiled.cache_info()
    assert kept.currsize * regexes.MEMORY_MAX <= 512 << 20
