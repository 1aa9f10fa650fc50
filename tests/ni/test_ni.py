"""What a session does not dominate changes nothing that it sees, over HTTP, on a real region."""

import pytest

from tests.ni.pairs import difference
from tests.ni.planted import LEAKS
from tests.ni.stage import Stage
from tests.walls_live import walled

ROUNDS = 40
SEEDS_MAX, LEAK_ROUNDS = 10, 3


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    live = walled(tmp_path_factory.mktemp("ni"))
    yield Stage(live)
    live.stop()


@pytest.mark.parametrize("seed", range(2))
def test_what_is_above_is_not_seen_below(stage, seed):
    assert difference(stage, f"few-{seed}", 20) == ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2_000 // ROUNDS))
def test_two_thousand_pairs(stage, seed):
    assert difference(stage, f"many-{seed}", ROUNDS) == ""


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    """A region, and the file that says which of the planted leaks is open."""
    home = tmp_path_factory.mktemp("leaky")
    file = home / "leak"
    file.write_text("none")
    live = walled(home, module="tests.ni.planted")
    yield Stage(live), file
    live.stop()


@pytest.mark.parametrize("leak", [pytest.param(leak, marks=pytest.mark.slow) for leak in LEAKS])
def test_a_planted_leak_is_found(leaky, leak):
    stage, file = leaky
    file.write_text(leak)
    seeds = (f"{leak}-{number}" for number in range(SEEDS_MAX))
    assert any(difference(stage, seed, LEAK_ROUNDS) for seed in seeds)
