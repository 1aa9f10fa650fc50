"""What a session does not dominate changes nothing that models, knowledge bases and agents tell it.

2,000 pairs under the slow mark; the first 40 of the same seeds in the quick suite.
"""

import pytest

from tests.ni import minds
from tests.ni.minds import Minds, difference
from tests.ni.minds_planted import PLANTS, usage_of_the_engine

SEEDS, ROUNDS, FEW_ROUNDS = 20, 99, 19  # and one pair more at each end


@pytest.mark.parametrize("seed", range(2))
def test_what_is_above_is_not_seen_below(tmp_path, seed):
    assert difference(tmp_path, f"minds-{seed}", FEW_ROUNDS) == ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(SEEDS))
def test_two_thousand_pairs(tmp_path, seed):
    assert difference(tmp_path, f"minds-{seed}", ROUNDS) == ""


@pytest.mark.parametrize("leak", PLANTS)
def test_a_planted_leak_is_found(tmp_path, monkeypatch, leak):
    """By what ends each pair: everything is done above, and then everything below."""
    PLANTS[leak](monkeypatch)
    assert difference(tmp_path, leak, 0)


def test_usage_of_the_engine_is_found(tmp_path, monkeypatch):
    """It takes a second call below, after the place was taken above."""
    usage_of_the_engine(monkeypatch)
    monkeypatch.setattr(minds, "DOINGS", (Minds.talks,))
    monkeypatch.setattr(minds, "LOOKS", (Minds.talks,))
    assert difference(tmp_path, "places", FEW_ROUNDS)
