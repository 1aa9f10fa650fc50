"""What a hostile or careless script may try, by boto3: each ends as AWS would end it, with a
reason, and the region goes on."""

import io
import json
import os
import tarfile

import pytest
from tests.service.test_service_slice import IMAGE, tar
from tests.waiting import wait_for

ENDED = {"Completed", "Failed", "Stopped"}
FORKS = "import os\nwhile True:\n  try: os.fork()\n  except OSError: pass\n"
EATS = "held = []\nwhile True: held.append(bytearray(64 << 20))"
OOM = "ClientError: The job used more memory than the instance type has"
EATEN = OOM if os.getuid() == 0 else "MemoryError"  # without a cgroup a limit on the data refuses
FILLS = "f = open('/opt/ml/output/data/f', 'wb')\nwhile True: f.write(bytes(16 << 20))"
PRINTS = "yes 0123456789012345678901234567890123456789012345678901234567890 | head -c 1000000000"
DEAF = "import signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\ntime.sleep(600)"


@pytest.fixture(scope="module")
def site(trained_region):
    trained_region.s3("hostile", "hostile")
    return trained_region


@pytest.fixture
def run(site):
    """Creates a training job and answers what became of it."""
    client = site.client("sagemaker", "hostile")

    def go(name, *argv, **extra):
        algorithm = {"TrainingImage": IMAGE, "TrainingInputMode": "File"}
        if argv:
            algorithm["ContainerEntrypoint"] = list(argv)
        client.create_training_job(
            TrainingJobName=name,
            RoleArn=site.account("hostile")["role_arn"],
            AlgorithmSpecification=algorithm,
            OutputDataConfig={"S3OutputPath": "s3://hostile/out"},
            ResourceConfig={"InstanceType": "ml.t3.medium", "InstanceCount": 1,
                            "VolumeSizeInGB": 1},
            **{"StoppingCondition": {"MaxRuntimeInSeconds": 90}} | extra,
        )  # fmt: skip
        return wait_for(
            lambda: client.describe_training_job(TrainingJobName=name),
            "TrainingJobStatus",
            ENDED,
            limit_s=200.0,
        )

    yield go
    assert site.client("sts", "hostile").get_caller_identity()["Account"]  # it is still there


def python(program):
    """In one line: an entry point holds no line ends."""
    return ("/opt/environments/sklearn/bin/python", "-c", f"exec({program!r})")


@pytest.mark.parametrize(
    ("name", "argv", "reason"),
    [
        ("eats", python(EATS), EATEN),
        ("fills", python(FILLS), "ClientError: The job wrote more than VolumeSizeInGB"),
        ("device", ("/bin/sh", "-c", "mknod /opt/ml/model/d b 7 0"), "AlgorithmError"),
        ("fifo", ("/usr/bin/mkfifo", "/opt/ml/model/p"),
         "Artifact upload failed: p is neither a file nor a folder"),
        ("socket", python("import socket as s\ns.socket(s.AF_UNIX).bind('/opt/ml/model/s')"),
         "Artifact upload failed: s is neither a file nor a folder"),
        ("link", ("/bin/ln", "-s", "/etc/shadow", "/opt/ml/model/l"),
         "Artifact upload failed: l is a link that points out of its folder"),
        ("sparse", ("/usr/bin/truncate", "-s", "900M", "/opt/ml/model/f", "/opt/ml/model/g"),
         "Artifact upload failed: g: the outputs are too large"),
    ],
)  # fmt: skip
def test_what_fails_says_why(run, name, argv, reason):
    found = run(name, *argv)
    assert found["TrainingJobStatus"] == "Failed"
    assert reason in found["FailureReason"]


@pytest.mark.parametrize(
    ("name", "program"),
    [("forks", FORKS), pytest.param("deaf", DEAF, marks=pytest.mark.slow)],  # 120 s of grace
)
def test_what_does_not_end_is_ended(run, site, name, program):
    limit = {"MaxRuntimeInSeconds": 3}
    client = site.client("sagemaker", "hostile")
    found = run(name, *python(program), StoppingCondition=limit)
    assert (found["TrainingJobStatus"], found["SecondaryStatus"]) == (
        "Stopped",
        "MaxRuntimeExceeded",
    )
    assert client.list_training_jobs(StatusEquals="InProgress")["TrainingJobSummaries"] == []


def test_a_gigabyte_of_output_is_cut_and_said(run, site):
    found = run("prints", "/bin/sh", "-c", PRINTS)
    assert found["TrainingJobStatus"] == "Completed"
    pages = site.client("logs", "hostile").get_paginator("filter_log_events").paginate(
        logGroupName="/aws/sagemaker/TrainingJobs", logStreamNamePrefix="prints/",
        filterPattern='"printed too fast and not kept"',
    )  # fmt: skip
    assert pages.build_full_result()["events"], "nothing was said of the lines left out"


def archive(*members):
    """A tar.gz of (name, type, link)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as made:
        for name, kind, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, link
            made.addfile(info)
    return out.getvalue()


def bomb():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz", compresslevel=9) as made:
        info = tarfile.TarInfo("train.py")
        info.size = 1200 << 20
        made.addfile(info, Zeros())
    return out.getvalue()


class Zeros(io.RawIOBase):
    def read(self, size=-1):
        return bytes(size)


SOURCES = {
    "out": lambda: archive(("../../x", tarfile.REGTYPE, "")),
    "absolute": lambda: archive(("/etc/cron.d/x", tarfile.REGTYPE, "")),
    "link-out": lambda: archive(("l", tarfile.SYMTYPE, "/etc/shadow")),
    "device": lambda: archive(("d", tarfile.BLKTYPE, "")),
    "torn": lambda: tar({"train.py": b"print(1)"})[:-20],
    "bomb": bomb,
}


@pytest.mark.parametrize("name", SOURCES)
def test_hostile_sources_harm_nobody(run, site, name):
    site.client("s3", "hostile").put_object(
        Bucket="hostile", Key=f"{name}.tar.gz", Body=SOURCES[name]()
    )
    parameters = {
        "sagemaker_program": json.dumps("train.py"),
        "sagemaker_submit_directory": json.dumps(f"s3://hostile/{name}.tar.gz"),
    }
    found = run(f"source-{name}", HyperParameters=parameters)
    assert found["TrainingJobStatus"] == "Failed"
    assert found["FailureReason"]
