"""The step to labels of machine learning, over rows that were there before it."""

import json
import shutil

import pytest
from sqlalchemy import text

from bastide.db.engines import new_engine
from bastide.db.migrate import SCRIPTS, migrate

ONE = "111122223333"
ARN = f"arn:aws-us-gov:sagemaker:us-gov-west-1:{ONE}:training-job/j"
STEP = "labels_of_machine_learning"


@pytest.fixture
def before(database_url, tmp_path):
    """A database as it was before the step, with a job, its metric, a tag and an endpoint."""
    versions = tmp_path / "versions"
    versions.mkdir()
    for path in sorted((SCRIPTS / "versions").glob("0*.py")):
        if path.stem.endswith(STEP):
            break
        shutil.copy(path, versions)
    migrate(database_url, versions)
    job = json.dumps({"spec": {"id": f"training/{ONE}/J", "payload": {"arn": ARN}}})
    deployment = {"config": "C", "variants": [{"name": "A", "payload": {"endpoint": "E"}}]}
    body = json.dumps({"live": deployment, "next": None, "old": [], "policy": None})
    run(
        database_url,
        "INSERT INTO training_jobs (account, name, arn, status, created_ms, changed_ms, request, "
        "failure, artifact) VALUES (:a, 'J', :arn, 'Completed', 1, 1, '{}', '', '')",
        "INSERT INTO training_metrics (account, job, name, value, at_ms) "
        "VALUES (:a, 'J', 'loss', 0.5, 1)",
        "INSERT INTO sagemaker_tags (account, arn, key, value) VALUES (:a, :arn, 'k', 'v')",
        "INSERT INTO jobs (id, kind, account, status, rev, body) "
        "VALUES (:id, 'training', :a, 'Completed', 1, :job)",
        "INSERT INTO serving_endpoints (account, name, arn, status, created_ms, changed_ms, "
        "failure, body) VALUES (:a, 'E', 'arn:e', 'InService', 1, 1, '', :body)",
        a=ONE, arn=ARN, id=f"training/{ONE}/J", job=job, body=body,
    )  # fmt: skip
    return database_url


def run(url, *statements, **values):
    engine = new_engine(url)
    found = []
    with engine.begin() as connection:
        for one in statements:
            statement = text(one)
            named = {name: values[name] for name in statement.compile().params}
            answer = connection.execute(statement, named)
            found = answer.all() if answer.returns_rows else []
    engine.dispose()
    return [tuple(row) for row in found]


def test_what_was_there_is_u_and_jobs_keep_their_ids(before):
    migrate(before)
    job_id = f"training/{ONE}/J"
    asked = "SELECT account, name, label, job_id FROM training_jobs"
    assert run(before, asked) == [(ONE, "J", "U", job_id)]
    assert run(before, "SELECT job_id, name, value FROM training_metrics") == [
        (job_id, "loss", 0.5)
    ]
    assert run(before, "SELECT account, arn, label, key FROM sagemaker_tags") == [
        (ONE, ARN, "U", "k")
    ]
    ((job,),) = run(before, "SELECT body FROM jobs")
    assert json.loads(job)["spec"]["payload"] == {"arn": ARN, "label": "U"}
    ((label, endpoint),) = run(before, "SELECT label, body FROM serving_endpoints")
    (variant,) = json.loads(endpoint)["live"]["variants"]
    assert (label, variant["payload"]) == ("U", {"endpoint": "E", "label": "U"})


def test_one_name_is_free_at_another_label(before):
    migrate(before)
    again = (
        "INSERT INTO sagemaker_tags (account, arn, label, key, value) "
        "VALUES (:a, :arn, 'S', 'k', 'other')"
    )
    run(before, again, a=ONE, arn=ARN)
    assert run(before, "SELECT COUNT(*) FROM sagemaker_tags") == [(2,)]


@pytest.mark.parametrize(("agencies", "left"), [(0, []), (1, [("U",)])])
def test_u_is_in_use_only_where_somebody_is_there_to_use_it(database_url, tmp_path, agencies, left):
    """Else a region of a scheme without that level could never start."""
    versions = tmp_path / "older"
    versions.mkdir()
    for path in sorted((SCRIPTS / "versions").glob("0*.py")):
        if path.stem.endswith("label_settings"):
            break
        shutil.copy(path, versions)
    migrate(database_url, versions)
    if agencies:
        insert = "INSERT INTO identity_agencies (account_id, name, created_ms) VALUES (:a, 'x', 1)"
        run(database_url, insert, a=ONE)
    migrate(database_url)
    assert run(database_url, "SELECT label FROM labels_in_use") == left
