"""The runner, again and again through worlds that refuse and crash. To see one run again:
`pytest tests/sim -k 'seed and 123-'`."""

import logging

import pytest

from bastide.jobs import runner
from tests.sim.simulation import Simulation
from tests.sim.stepped import SteppedDatabase

SEEDS, SEEDS_LONG, STEPS_LONG = 100, range(1000, 3000), 400


@pytest.fixture(scope="module")
def database():
    made = SteppedDatabase()
    logging.disable(logging.CRITICAL)  # what is made to fail is logged as such
    yield made
    logging.disable(logging.NOTSET)
    made.engine.dispose()


@pytest.fixture(autouse=True)
def _gives_up_soon(monkeypatch):
    """What follows from giving up is to be seen in runs that are short."""
    monkeypatch.setattr(runner, "TRIES_MAX", 2)


@pytest.mark.parametrize("seed", range(SEEDS), ids="{}-".format)
def test_a_seed(seed, database, tmp_path):
    Simulation(seed, database, tmp_path).run()


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS_LONG, ids="{}-".format)
def test_a_seed_for_long(seed, database, tmp_path):
    Simulation(seed, database, tmp_path, steps=STEPS_LONG).run()


def test_a_seed_decides_everything(database, tmp_path):
    """Else what a failure prints is of no use."""
    traces = ([], [])
    for which, trace in enumerate(traces):
        for seed in range(6):
            folder = tmp_path / f"{which}-{seed}"
            folder.mkdir()
            simulation = Simulation(seed, database, folder)
            simulation.run()
            trace += simulation.trace
    assert traces[0] == traces[1]
    assert any("crash" in line for line in traces[0])
