"""Patterns on RE2: what it refuses, and that no pattern takes more than linear time."""

import time

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
def test_catastrophes_take_no_time(pattern):
    began = time.process_time()
    list(regexes.find(pattern, "a" * 20_000 + "!"))
    assert time.process_time() - began < 5


def test_all_that_is_kept_of_patterns_is_no_more_than_a_region_has():
    """One guardrail after another, each with patterns that take all that they may."""
    for number in range(300):
        regexes.check(f"[ab]*a[ab]{{20}}{number}")
    kept = regexes._compiled.cache_info()
    assert kept.currsize * regexes.MEMORY_MAX <= 512 << 20
