"""What a session does not dominate changes nothing that it sees, over HTTP, on a real region."""

import pytest

from tests.ni.pairs import difference
from tests.ni.planted import CLOSED, LEAKS
from tests.ni.stage import Stage
from tests.walls_live import walled

ROUNDS, FEW_ROUNDS, LEAK_ROUNDS = 100, 15, 1


@pytest.fixture(scope="module")
def leaky(tmp_path_factory):
    """A region, and the file that says which of the planted leaks is open. With none open it is a
    region as any, and serves for the histories too."""
    home = tmp_path_factory.mktemp("ni")
    file = home / "leak"
    file.write_text(CLOSED)
    live = walled(home, module="tests.ni.planted")
    live.cli("env", "build", "sklearn")
    live.cli("models", "pull", "smollm2-135m")
    yield Stage(live), file
    live.stop()


@pytest.fixture
def stage(leaky):
    stage, file = leaky
    file.write_text(CLOSED)
    return stage


@pytest.mark.parametrize("seed", range(2))
def test_what_is_above_is_not_seen_below(stage, seed):
    assert difference(stage, f"few-{seed}", FEW_ROUNDS) == ""


def test_what_runs_and_answers_above_is_not_seen_below(stage):
    assert difference(stage, "answers", LEAK_ROUNDS, serves=True) == ""


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2_000 // ROUNDS))
def test_two_thousand_pairs(stage, seed):
    assert difference(stage, f"many-{seed}", ROUNDS, serves=True) == ""


@pytest.mark.parametrize("leak", LEAKS)
def test_a_planted_leak_is_found(leaky, leak):
    """By what ends each pair, and so at once, whatever is drawn."""
    stage, file = leaky
    file.write_text(leak)
    assert difference(stage, leak, LEAK_ROUNDS)
