"""Every creation of several steps, with every step failing in turn, and done twice."""

import pytest

from bastide.db.schema import metadata
from tests.saga import others, sagemaker
from tests.saga.driver import Saboteur, Trial
from tests.sim.stepped import SteppedDatabase

STORIES = (
    sagemaker.CreateTrainingJob, sagemaker.CreateEndpoint, sagemaker.UpdateEndpoint,
    sagemaker.DeleteEndpoint, others.PutObject, others.CompleteMultipartUpload,
    others.CreateAgency, others.PullModel, others.AddModel, others.ImportImage,
)  # fmt: skip


@pytest.fixture(scope="module")
def database():
    made = SteppedDatabase(metadata.sorted_tables)
    yield made
    made.engine.dispose()


@pytest.fixture(params=STORIES, ids=lambda kind: kind.__name__)
def trial(request, tmp_path, database, monkeypatch):
    saboteur = Saboteur()
    saboteur.sit_at_the_disk(monkeypatch)
    return Trial(request.param, tmp_path, database, saboteur)


def test_every_step_may_fail(trial):
    assert trial.uses
    assert trial.whole != trial.before
    trial.fail_every_step()
    assert trial.problems == []


def test_done_twice_is_done_once(trial):
    trial.act_twice()
    assert trial.problems == []
