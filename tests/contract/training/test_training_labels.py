"""Training jobs behind the wall: names are each label's own, and nothing tells of what is above."""

from datetime import timedelta

import pytest
from tests.sagefakes import ONE, call
from tests.training_kit import request

from bastide.db import derivation_records
from bastide.db.derivations import Thing
from bastide.jobs.model import Status
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.training.training_jobs import job_id

LOW, HIGH = "U", "S"
ARN = f"arn:aws-us-gov:sagemaker:us-gov-west-1:{ONE}:training-job/job-1"
LABEL = "bastide:label"


def create(world, marking, name="Job-1", **more):
    world.api.create_training_job(call(marking=marking), request(name, **more))


def names(world, marking, **more):
    found = world.api.list_training_jobs(call(marking=marking), more)
    return [each["TrainingJobName"] for each in found["TrainingJobSummaries"]], found


def code_of(work):
    with pytest.raises(ServiceError) as refused:
        work()
    return refused.value.code, refused.value.message


def test_two_jobs_of_one_name_at_two_labels_run_and_tell_nothing_of_each_other(world):
    create(world, HIGH, Tags=[{"Key": "team", "Value": "high"}])
    create(world, LOW)
    high, low = job_id(ONE, "Job-1", HIGH), job_id(ONE, "Job-1", LOW)
    assert {high, low} == set(world.jobs.jobs)
    world.jobs.go(high, Status.FAILED, failure="x")
    of = lambda marking: world.api.describe_training_job(  # noqa: E731
        call(marking=marking), {"TrainingJobName": "Job-1"}
    )
    assert (of(HIGH)["TrainingJobStatus"], of(LOW)["TrainingJobStatus"]) == ("Failed", "InProgress")
    tags = lambda marking: world.tags.list_tags(call(marking=marking), {"ResourceArn": ARN})  # noqa: E731
    assert (tags(HIGH)["Tags"], tags(LOW)["Tags"]) == ([{"Key": "team", "Value": "high"}], [])


def test_what_is_above_answers_like_what_is_not_there(world):
    create(world, HIGH)
    low: Call = call(marking=LOW)
    for work, key in (
        (world.api.describe_training_job, "TrainingJobName"),
        (world.api.stop_training_job, "TrainingJobName"),
        (world.tags.list_tags, "ResourceArn"),
    ):
        there, absent = ("Job-1", "None") if key == "TrainingJobName" else (ARN, f"{ARN}-none")
        assert code_of(lambda w=work, k=key, v=there: w(low, {k: v})) == code_of(
            lambda w=work, k=key, v=absent: w(low, {k: v})
        )
    assert names(world, LOW) == ([], {"TrainingJobSummaries": []})
    assert world.things.tags(low.principal, ARN) == {}
    assert world.things.label(low.principal, ARN) is None
    assert world.things.label(call(marking=HIGH).principal, ARN).text == HIGH


def test_a_page_counts_what_is_seen_and_shows_of_one_name_the_sessions_own(world):
    for number in range(3):
        create(world, HIGH, f"high-{number}")
        create(world, LOW, f"low-{number}")
        world.clock.advance(1)
    create(world, LOW, "both")
    create(world, HIGH, "both")
    found, page = names(world, LOW, MaxResults=4, SortBy="Name", SortOrder="Ascending")
    assert found == ["both", "low-0", "low-1", "low-2"]
    assert "NextToken" not in page
    found, page = names(world, HIGH, MaxResults=4, SortBy="Name", SortOrder="Ascending")
    assert (found, "NextToken" in page) == (["both", "high-0", "high-1", "high-2"], True)
    rest, _ = names(world, HIGH, NextToken=page["NextToken"], SortBy="Name", SortOrder="Ascending")
    assert rest == ["low-0", "low-1", "low-2"]
    asked = call(marking=HIGH)
    world.api.describe_training_job(asked, {"TrainingJobName": "low-0"})
    assert asked.notes.label == LOW


def test_what_is_below_is_read_and_not_changed(world):
    create(world, LOW)
    high = call(marking=HIGH)
    assert world.api.describe_training_job(high, {"TrainingJobName": "Job-1"})
    for work, more in (
        (world.api.stop_training_job, {"TrainingJobName": "Job-1"}),
        (world.tags.add_tags, {"ResourceArn": ARN, "Tags": [{"Key": "a", "Value": "b"}]}),
        (world.tags.delete_tags, {"ResourceArn": ARN, "TagKeys": ["a"]}),
    ):
        assert code_of(lambda w=work, m=more: w(high, m))[0] == "AccessDeniedException"
    assert world.jobs.find(job_id(ONE, "Job-1", LOW)).status is Status.PENDING


def test_a_job_is_neither_above_nor_below_its_session(world):
    tagged = lambda marking: {"Tags": [{"Key": LABEL, "Value": marking}]}  # noqa: E731
    assert "above the session" in code_of(lambda: create(world, LOW, **tagged(HIGH)))[1]
    assert code_of(lambda: create(world, HIGH, **tagged(LOW)))[0] == "AccessDenied"
    create(world, HIGH, **tagged(HIGH))
    assert set(world.jobs.jobs) == {job_id(ONE, "Job-1", HIGH)}
    for label in (LOW, "TS"):
        more = {"ResourceArn": ARN, **tagged(label)}
        with pytest.raises(ServiceError, match="Another bastide:label"):
            world.tags.add_tags(call(marking=HIGH), more)


def test_a_role_that_is_not_cleared_for_the_job_is_refused_at_once(world):
    world.api.roles.clearance = LOW
    with pytest.raises(ServiceError, match="not cleared for S"):
        create(world, HIGH)
    assert not world.jobs.jobs
    create(world, LOW)


def test_what_a_job_prints_and_measures_is_at_its_label(world):
    for marking in (HIGH, LOW):
        create(world, marking)
    at_ms = int(world.clock.now().timestamp() * 1000)
    for marking, line in ((HIGH, "loss=1.5"), (LOW, "loss=2.5")):
        job = world.jobs.find(job_id(ONE, "Job-1", marking))
        world.kind.logged(job, 0, [(at_ms, line)], lambda c: None)
    group = {"logGroupName": "/aws/sagemaker/TrainingJobs"}
    for marking, line, value in ((HIGH, "loss=1.5", 1.5), (LOW, "loss=2.5", 2.5)):
        said = world.events.filter_log_events(call(marking=marking), group)["events"]
        assert [each["message"] for each in said] == [line]
        world.metrics.flush()
        ask = call(marking=marking)
        found = world.api.describe_training_job(ask, {"TrainingJobName": "Job-1"})
        assert [each["Value"] for each in found["FinalMetricDataList"]] == [value]
    span = {"StartTime": world.clock.now() - timedelta(hours=1),
            "EndTime": world.clock.now() + timedelta(hours=1), "Period": 60}  # fmt: skip
    asked = {"Namespace": group["logGroupName"], "MetricName": "loss", "Statistics": ["Sum"],
             "Dimensions": [{"Name": "TrainingJobName", "Value": "Job-1"}]}  # fmt: skip
    points = world.figures.get_metric_statistics(call(marking=LOW), {**asked, **span})["Datapoints"]
    assert [each["Sum"] for each in points] == [2.5]


def test_what_a_job_was_made_of_and_what_it_made_is_kept(world, database, tmp_path):
    world.objects.held |= {(ONE, "bkt", "in/a"): b"x", (ONE, "bkt", "code/s.tar.gz"): b""}
    create(world, HIGH)
    job = world.jobs.find(job_id(ONE, "Job-1", HIGH))
    sources = lambda arn: database.read(  # noqa: E731
        lambda c: [made_of for _, made_of in derivation_records.sources_of(c, ONE, [arn])]
    )
    prefix = "arn:aws-us-gov:s3:::bkt"
    assert sources(ARN) == [Thing(f"{prefix}/in/", ""), Thing(f"{prefix}/code/s.tar.gz", "")]
    (launch,) = world.kind.prepare(job, tmp_path)
    assert sources(ARN) == [Thing(f"{prefix}/in/", LOW), Thing(f"{prefix}/code/s.tar.gz", LOW)]
    (launch.home / "model/m").write_text("m")
    world.kind.collect(job, tmp_path)
    made = f"{prefix}/out/Job-1/output/model.tar.gz"
    assert sources(made) == [Thing(ARN, HIGH)]
