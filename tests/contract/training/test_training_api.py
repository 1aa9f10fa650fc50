"""Training jobs: the API over jobs, and the kind's staging and collecting with real folders."""

import io
import json
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from tests.sagefakes import (
    IMAGE,
    ONE,
    OTHER,
    ROLE,
    call,
)
from tests.training_kit import CREATE, created, finished, request

from bastide.jobs.model import Exit, Status, StopCause
from bastide.jobs.ports import JobFailed
from bastide.kernel.clock import epoch_ms
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.training.scanner import PatternScanner
from bastide.training.training_jobs import job_id


@pytest.mark.parametrize(
    ("steps", "seconds"),
    [((Status.STAGING,), None), ((Status.STAGING, Status.RUNNING), 1)],
)
def test_what_a_job_of_no_time_is_billed(world, steps, seconds):
    """A second at least, as the model says; and nothing for what never began."""
    job = created(world)
    for status in (*steps, Status.FAILED):
        world.jobs.go(job.spec.id, status)
    told = world.describe()
    assert told["TrainingJobStatus"] == "Failed"
    assert "TrainingEndTime" in told
    times = [told.get(f"{kind}TimeInSeconds") for kind in ("Training", "Billable")]
    assert times == [seconds, seconds]


def test_life_of_a_job(world):
    job = created(world)
    told = world.describe()
    assert told["TrainingJobArn"].endswith(f":{ONE}:training-job/job-1")
    assert (told["TrainingJobStatus"], told["SecondaryStatus"]) == ("InProgress", "Starting")
    assert told["SecondaryStatusTransitions"][-1]["StatusMessage"]
    for status, word in [
        (Status.STAGING, "Downloading"), (Status.RUNNING, "Training"),
        (Status.COLLECTING, "Uploading"), (Status.COMPLETED, "Completed"),
    ]:  # fmt: skip
        world.clock.advance(2)
        world.jobs.go(job.spec.id, status)
        assert world.describe()["SecondaryStatus"] == word
    told = world.describe()
    assert told["TrainingJobStatus"] == "Completed"
    assert told["BillableTimeInSeconds"] == 4
    assert [step["Status"] for step in told["SecondaryStatusTransitions"]] == [
        "Starting", "Downloading", "Training", "Uploading", "Completed",
    ]  # fmt: skip
    assert all("EndTime" in step for step in told["SecondaryStatusTransitions"])
    assert told["LastModifiedTime"] == world.clock.now()
    with pytest.raises(ServiceError, match="in status Completed"):
        world.api.stop_training_job(call(), {"TrainingJobName": "Job-1"})


def test_stopped_by_the_clock(world):
    job = created(world)
    world.jobs.go(job.spec.id, Status.RUNNING)
    world.jobs.go(job.spec.id, Status.STOPPED, stop_cause=StopCause.MAX_RUNTIME)
    told = world.describe()
    assert (told["TrainingJobStatus"], told["SecondaryStatus"]) == (
        "Stopped", "MaxRuntimeExceeded",
    )  # fmt: skip


def test_stop(world):
    created(world)
    world.api.stop_training_job(call(), {"TrainingJobName": "Job-1"})
    assert world.describe()["TrainingJobStatus"] == "Stopping"


@pytest.mark.parametrize("name", ["Job-1", "JOB-1"])
def test_names_are_taken_once(world, name):
    """In any case: two jobs of one ARN would have each other's tags, and who may act by them."""
    created(world, Tags=[{"Key": "owner", "Value": "v"}])
    mine = [{"Key": "owner", "Value": "u"}]
    with pytest.raises(ServiceError, match="ResourceInUse"):
        world.api.create_training_job(CREATE, request(name, Tags=mine))
    tags = world.tags.list_tags(call(), {"ResourceArn": world.describe()["TrainingJobArn"]})
    assert tags["Tags"] == [{"Key": "owner", "Value": "v"}]


def test_other_accounts_see_nothing(world):
    created(world)
    with pytest.raises(ServiceError, match="Requested resource not found"):
        world.describe(account=OTHER)
    answer = world.api.list_training_jobs(call(account=OTHER), {})
    assert answer["TrainingJobSummaries"] == []
    arn = world.describe()["TrainingJobArn"]
    for ask in (world.tags.list_tags, world.tags.add_tags):
        with pytest.raises(ServiceError, match="Requested resource not found"):
            ask(call(account=OTHER), {"ResourceArn": arn, "Tags": []})


def test_tags(world):
    arn = world.api.create_training_job(CREATE, request(Tags=[{"Key": "a", "Value": "1"}]))[
        "TrainingJobArn"
    ]
    world.tags.add_tags(call(), {"ResourceArn": arn, "Tags": [{"Key": "b", "Value": "2"}]})
    world.tags.delete_tags(call(), {"ResourceArn": arn, "TagKeys": ["a"]})
    assert world.tags.list_tags(call(), {"ResourceArn": arn})["Tags"] == [
        {"Key": "b", "Value": "2"}
    ]


def test_list(world):
    for index in range(5):
        world.clock.advance(60)
        created(world, name=f"job-{index}")
    world.jobs.go(job_id(ONE, "job-3", "U"), Status.FAILED, failure="x")
    page = world.api.list_training_jobs(call(), {"MaxResults": 2})
    assert [row["TrainingJobName"] for row in page["TrainingJobSummaries"]] == ["job-4", "job-3"]
    rest = world.api.list_training_jobs(call(), {"NextToken": page["NextToken"]})
    assert [row["TrainingJobName"] for row in rest["TrainingJobSummaries"]] == [
        "job-2", "job-1", "job-0",
    ]  # fmt: skip
    failed = world.api.list_training_jobs(call(), {"StatusEquals": "Failed"})
    assert [row["TrainingJobName"] for row in failed["TrainingJobSummaries"]] == ["job-3"]
    late = world.clock.now() - timedelta(seconds=90)
    found = world.api.list_training_jobs(
        call(), {"CreationTimeAfter": late, "SortBy": "Name", "SortOrder": "Ascending"}
    )
    assert [row["TrainingJobName"] for row in found["TrainingJobSummaries"]] == ["job-3", "job-4"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 2,
                             "VolumeSizeInGB": 1}}, "UnsupportedOperation"),
        ({"ResourceConfig": {"InstanceType": "ml.p3.2xlarge", "InstanceCount": 1,
                             "VolumeSizeInGB": 1}}, "ValidationException"),
        ({"AlgorithmSpecification": {"TrainingImage": "unknown", "TrainingInputMode": "File"}},
         "ValidationException"),
        ({"AlgorithmSpecification": None}, "ValidationException"),
        ({"AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "Pipe"}},
         "UnsupportedOperation"),
        ({"RoleArn": ROLE.replace(ONE, OTHER)}, "AccessDeniedException"),
        ({"CheckpointConfig": {"S3Uri": "s3://bkt/c", "LocalPath": "/etc"}},
         "UnsupportedOperation"),
        ({"CheckpointConfig": {"S3Uri": "s3://bkt/c", "LocalPath": "/opt/ml/model"}},
         "ValidationException"),
        ({"CheckpointConfig": {"S3Uri": "s3://bkt/c", "LocalPath": "/opt/ml/../x"}},
         "ValidationException"),
        ({"OutputDataConfig": {"S3OutputPath": "s3:/x"}}, "ValidationException"),
        ({"DebugHookConfig": {"S3OutputPath": "s3://bkt/d",
                              "CollectionConfigurations": [{"CollectionName": "x"}]}},
         "UnsupportedOperation"),
    ],
)  # fmt: skip
def test_refused(world, more, code):
    with pytest.raises(ServiceError, match=code):
        world.api.create_training_job(CREATE, request(**more))
    assert world.jobs.jobs == {}


def test_prepare(world, tmp_path):
    world.objects.held |= {
        (ONE, "bkt", "in/a/x.csv"): b"1,2",
        (ONE, "bkt", "in/"): b"",
        (ONE, "bkt", "code/s.tar.gz"): b"tar",
        (ONE, "bkt", "ck/7"): b"seven",
    }
    more = {"CheckpointConfig": {"S3Uri": "s3://bkt/ck"}, "Environment": {"A": "1"}}
    job = created(world, **more)
    (launch,) = world.kind.prepare(job, tmp_path)
    (launch,) = world.kind.prepare(job, tmp_path)  # after a crash
    home = launch.home
    assert launch.argv == ("/opt/environments/sklearn/bin/train",)
    assert (home / "input/data/train/a/x.csv").read_bytes() == b"1,2"
    assert (home / "checkpoints/7").read_bytes() == b"seven"
    hyper = json.loads((home / "input/config/hyperparameters.json").read_text())
    submit = json.loads(hyper["sagemaker_submit_directory"])
    assert (home / submit.removeprefix("/opt/ml/")).read_bytes() == b"tar"
    assert json.loads((home / "input/config/resourceconfig.json").read_text())["hosts"] == [
        "algo-1"
    ]
    assert launch.env["TRAINING_JOB_NAME"] == "Job-1"
    assert launch.env["SM_CHANNEL_TRAIN"] == "/opt/ml/input/data/train"
    assert launch.env["A"] == "1"


def test_manifest_and_entry_point(world, tmp_path):
    world.objects.held |= {
        (ONE, "bkt", "m.json"): json.dumps([{"prefix": "s3://bkt/p/"}, "x.csv"]).encode(),
        (ONE, "bkt", "p/x.csv"): b"x",
    }
    source = {"S3DataType": "ManifestFile", "S3Uri": "s3://bkt/m.json"}
    job = created(
        world,
        HyperParameters={},
        InputDataConfig=[{"ChannelName": "c", "DataSource": {"S3DataSource": source}}],
        AlgorithmSpecification={
            "TrainingImage": IMAGE, "TrainingInputMode": "FastFile",
            "ContainerEntrypoint": ["/bin/bash", "-c"], "ContainerArguments": ["echo"],
        },
    )  # fmt: skip
    (launch,) = world.kind.prepare(job, tmp_path)
    assert launch.argv == ("/bin/bash", "-c", "echo")
    assert (launch.home / "input/data/c/x.csv").read_bytes() == b"x"


@pytest.mark.parametrize("key", ["in/../../x", "in//etc/passwd", "in/" + "n" * 300, "in/a\0b"])
def test_keys_that_cannot_be_files(world, tmp_path, key):
    world.objects.held |= {(ONE, "bkt", key): b"x", (ONE, "bkt", "code/s.tar.gz"): b""}
    with pytest.raises(JobFailed, match="cannot become a file"):
        world.kind.prepare(created(world), tmp_path)


@pytest.mark.parametrize("action", ["s3:GetObject", "s3:ListBucket"])
def test_the_roles_policies_are_asked(world, tmp_path, action):
    world.objects.held[ONE, "bkt", "in/a"] = b"x"
    world.permits.denied.add(action)
    with pytest.raises(JobFailed, match=action):
        world.kind.prepare(created(world), tmp_path)


def test_another_accounts_data(world, tmp_path):
    world.objects.held[OTHER, "bkt", "in/a"] = b"x"
    with pytest.raises(JobFailed, match="No S3 objects found"):
        world.kind.prepare(created(world), tmp_path)


def test_collect(world, tmp_path):
    job, home = finished(world, tmp_path, CheckpointConfig={"S3Uri": "s3://bkt/ck/"})
    (home / "model/m.txt").write_text("model")
    (home / "output/data/o.txt").write_text("out")
    (home / "checkpoints/1").write_text("one")
    world.kind.collect(job, tmp_path)
    world.kind.collect(job, tmp_path)  # after a crash
    packed = world.objects.held[ONE, "bkt", "out/Job-1/output/model.tar.gz"]
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["m.txt"]
    assert (ONE, "bkt", "out/Job-1/output/output.tar.gz") in world.objects.held
    assert world.objects.held[ONE, "bkt", "ck/1"] == b"one"
    assert world.describe()["ModelArtifacts"]["S3ModelArtifacts"].endswith("/model.tar.gz")


def test_collect_unpacked(world, tmp_path):
    output = {"S3OutputPath": "s3://bkt/out/", "CompressionType": "NONE"}
    job, home = finished(world, tmp_path, OutputDataConfig=output)
    (home / "model/m.txt").write_text("model")
    world.kind.collect(job, tmp_path)
    assert world.objects.held[ONE, "bkt", "out/Job-1/output/model/m.txt"] == b"model"
    artifact = world.describe()["ModelArtifacts"]["S3ModelArtifacts"]
    assert artifact == "s3://bkt/out/Job-1/output/model/"


def test_outputs_larger_than_the_volume_fail_the_job(world, tmp_path):
    """Sparse files take no room on the disk, and all of it in the store."""
    output = {"S3OutputPath": "s3://bkt/out/", "CompressionType": "NONE"}
    job, home = finished(world, tmp_path, OutputDataConfig=output)
    with (home / "model/sparse").open("wb") as file:
        file.truncate((1 << 30) + 1)
    with pytest.raises(JobFailed, match="sparse: the files hold more than 1073741824 bytes"):
        world.kind.collect(job, tmp_path)
    assert not any("sparse" in key for _, _, key in world.objects.held)


def test_a_fifo_fails_the_job(world, tmp_path):
    job, home = finished(world, tmp_path)
    os.mkfifo(home / "model/pipe")
    with pytest.raises(JobFailed, match="pipe"):
        world.kind.collect(job, tmp_path)


def test_links_in_place_of_folders_give_nothing_away(world, tmp_path):
    job, home = finished(
        world, tmp_path, CheckpointConfig={"S3Uri": "s3://bkt/ck", "LocalPath": "/opt/ml/a/b"}
    )
    secret = tmp_path / "secret"
    (secret / "b").mkdir(parents=True)
    (secret / "data").mkdir()
    for where in ("data/x", "b/x", "failure"):
        (secret / where).write_text("secret")
    for name in ("output", "a"):
        (home / name).rename(home / f"{name}-away")
        (home / name).symlink_to(secret)
    before = dict(world.objects.held)
    world.kind.collect(job, tmp_path)
    assert world.objects.held == before
    assert "secret" not in world.kind.failure_reason(job, [Exit(replica=0, code=1)])


def test_failure_reasons(world, tmp_path):
    job, home = finished(world, tmp_path)
    bad = Exit(replica=0, code=1, stderr_tail="Traceback\nValueError: no")
    reason = world.kind.failure_reason(job, [bad])
    assert reason.startswith("AlgorithmError: ExecuteUserScriptError: ExitCode 1")
    assert reason.endswith('ValueError: no", exit code: 1')
    (home / "output/failure").write_text("I broke")
    world.kind.collect(job, tmp_path)
    assert world.kind.failure_reason(job, [bad]) == "AlgorithmError: I broke, exit code: 1"
    assert "memory" in world.kind.failure_reason(job, [Exit(replica=0, code=137, cause="memory")])


def refuse(_connection):
    raise Unavailable("the disk is full")


def test_log_and_metrics(world, tmp_path):
    job = created(world)
    at = epoch_ms(world.clock.now())
    lines = [(at, "loss=0.5"), (at + 1, "x"), (at + 2, "loss=0.25 loss=9")]
    with pytest.raises(Unavailable):
        world.kind.logged(job, 0, lines, refuse)  # told again, from where nothing was kept
    assert "FinalMetricDataList" not in world.describe()
    world.kind.logged(job, 0, lines, lambda _connection: None)
    (metric,) = world.describe()["FinalMetricDataList"]
    assert (metric["MetricName"], metric["Value"]) == ("loss", 0.25)
    got = world.events.get_log_events(
        call(),
        {"logGroupName": "/aws/sagemaker/TrainingJobs", "startFromHead": True,
         "logStreamName": f"Job-1/algo-1-{epoch_ms(job.created) // 1000}"},
    )  # fmt: skip
    assert len(got["events"]) == 3


@pytest.fixture
def scanner():
    made = PatternScanner(deadline_s=0.3)
    yield made
    made.close()


def test_a_catastrophic_pattern_harms_nobody(scanner):
    bad, good = "(a+)+$", "b=([0-9]+)"
    assert scanner.scan("1", [bad, good], ["a" * 40 + "!", "b=7"]) == [(1, 1, "7")]
    assert scanner.scan("1", [bad, good, "("], ["aaa", "b=8"]) == [(1, 1, "8")]


def test_scanners_of_agencies_that_rest_are_let_go(scanner, monkeypatch):
    monkeypatch.setattr("bastide.training.scanner.SCANNERS_MAX", 1)
    for account in ("1", "2", "1"):
        assert scanner.scan(account, ["b=.*"], ["b=7"]) == [(0, 0, "b=7")]
        assert list(scanner._of) == [account]


def test_a_pattern_that_is_slow_on_one_agencys_lines_is_not_skipped_for_another(scanner):
    assert scanner.scan("1", ["(a+)+$"], ["a" * 40 + "!"]) == []
    assert scanner.scan("2", ["(a+)+$"], ["aaa"]) == [(0, 0, "aaa")]


def test_an_agency_waits_for_no_other(scanner):
    """The first is still being asked when the second has its answer."""
    answers = []

    def patterns():
        another = ThreadPoolExecutor()
        answers.append(another.submit(scanner.scan, "2", ["b=.*"], ["b=7"]).result(20))
        yield "c=.*"

    assert scanner.scan("1", patterns(), ["c=1"]) == [(0, 0, "c=1")]
    assert answers == [[(0, 0, "b=7")]]
