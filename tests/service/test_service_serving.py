"""A real image of our own: imported, trained in and served from, by boto3; endpoints under load,
under change, and under kill -9."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from botocore.exceptions import ClientError, EventStreamError, ReadTimeoutError
from tests.images import file, image, layer, link, python_entries, shell_entries
from tests.waiting import wait_for

URI = "registry.example/team/mine:1"
SETTLED = {"InService", "Failed"}
SLOW = 50  # more than the region has handler threads


def own_image(path: Path) -> Path:
    """Layers with white-outs, links of both kinds, and an entry point in a working directory."""
    program = Path(__file__).with_name("container_program.py").read_bytes()
    first = layer(*shell_entries(), *python_entries(), file("opt/hidden"), file("opt/first", b"a"))
    second = layer(file("opt/.wh.hidden", b""), file("opt/program/main", program, 0o755))
    third = layer(link("opt/hard", "opt/first", kind=b"1"), link("opt/entry", "/opt/program/main"))
    config = {
        "Entrypoint": ["/opt/entry"],
        "Cmd": ["not", "used"],
        "Env": [
            *("FLAVOUR=vanilla", "PYTHONHOME=/usr/local", "LD_LIBRARY_PATH=/usr/local/lib"),
            "PATH=/usr/local/bin:/bin",
        ],
        "WorkingDir": "/srv/app",
        "User": "1001",
    }
    return image(path, first, second, third, config=config)


@pytest.fixture(scope="module")
def tarball(tmp_path_factory):
    return own_image(tmp_path_factory.mktemp("image") / "mine.tar")


@pytest.fixture(scope="module")
def site(region, tarball):
    region.cli("env", "import-oci", str(tarball), "--name", URI)
    region.s3("own-image", "own")
    made = Site(region)
    yield made
    made.close()


class Site:
    def __init__(self, region, agency="own"):
        self.region, self.agency = region, agency
        self.sagemaker = region.client("sagemaker", agency)
        self.runtime = region.client("sagemaker-runtime", agency, max_pool_connections=SLOW + 8)
        self.role = region.account(agency)["role_arn"]

    def config(self, name, count=1, variants=None, **container):
        self.sagemaker.create_model(
            ModelName=name,
            ExecutionRoleArn=self.role,
            PrimaryContainer={"Image": URI, **container},
        )
        self.sagemaker.create_endpoint_config(
            EndpointConfigName=name,
            ProductionVariants=[
                {
                    "VariantName": variant,
                    "ModelName": name,
                    "InitialInstanceCount": count,
                    "InitialVariantWeight": weight,
                    "InstanceType": "ml.t2.medium",
                }
                for variant, weight in (variants or {"AllTraffic": 1.0}).items()
            ],
        )

    def up(self, name, **config):
        self.config(name, **config)
        self.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
        return self.settled(name)

    def settled(self, name):
        found = wait_for(lambda: self.describe(name), "EndpointStatus", SETTLED)
        assert found["EndpointStatus"] == "InService", found.get("FailureReason")
        return found

    def describe(self, name):
        return self.sagemaker.describe_endpoint(EndpointName=name)

    def ask(self, name, what, **more):
        answer = self.runtime.invoke_endpoint(EndpointName=name, Body=what, **more)
        return json.loads(answer["Body"].read())

    def close(self):
        self.sagemaker.close()
        self.runtime.close()

    def down(self, name):
        self.sagemaker.delete_endpoint(EndpointName=name)


@pytest.fixture(scope="module")
def endpoint(site):
    """One replica of our image."""
    site.up("plain")
    yield "plain"
    site.down("plain")


def test_our_own_image_trains_and_serves(site):
    s3 = site.region.client("s3", "own")
    s3.put_object(Bucket="own-image", Key="train/t.txt", Body=b"hello")
    request = {
        "TrainingJobName": "own",
        "RoleArn": site.role,
        "HyperParameters": {"depth": "3"},
        "AlgorithmSpecification": {"TrainingImage": URI, "TrainingInputMode": "File"},
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {
                    "S3DataSource": {
                        "S3DataType": "S3Prefix",
                        "S3Uri": "s3://own-image/train/",
                        "S3DataDistributionType": "FullyReplicated",
                    }
                },
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://own-image/out"},
        "ResourceConfig": {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    site.sagemaker.create_training_job(**request)
    ended = wait_for(
        lambda: site.sagemaker.describe_training_job(TrainingJobName="own"),
        "TrainingJobStatus",
        {"Completed", "Failed"},
    )
    assert ended["TrainingJobStatus"] == "Completed", ended["FailureReason"]
    site.up("trained", ModelDataUrl=ended["ModelArtifacts"]["S3ModelArtifacts"])
    facts = site.ask("trained", "facts")
    trained = facts["trained"]
    assert (trained["text"], trained["hyperparameters"]) == ("hello", {"depth": "3"})
    for one in (facts, trained):
        assert (one["cwd"], one["flavour"]) == ("/srv/app", "vanilla")
        assert (one["hidden"], one["linked"]) == (False, "a")
        assert one["uid"] != 0
    site.down("trained")


def test_an_image_that_nobody_added_names_the_command(site):
    with pytest.raises(ClientError, match="bastide env import-oci") as refused:
        site.config("unknown", Image="registry.example/other:2")
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_members_go_there_and_come_back(site, endpoint):
    answer = site.runtime.invoke_endpoint(
        EndpointName=endpoint,
        Body=b"headers",
        ContentType="text/x",
        Accept="a/b",
        CustomAttributes="c=1",
        InferenceId="i-1",
        TargetVariant="AllTraffic",
    )
    assert answer["CustomAttributes"] == "from=container"
    assert answer["InvokedProductionVariant"] == "AllTraffic"
    assert answer["ContentType"] == "application/json"
    there = json.loads(answer["Body"].read())
    assert (there["content-type"], there["accept"]) == ("text/x", "a/b")
    assert there["x-amzn-sagemaker-custom-attributes"] == "c=1"
    assert there["x-amzn-sagemaker-inference-id"] == "i-1"


@pytest.mark.parametrize("member", ["TargetModel", "EnableExplanations", "SessionId"])
def test_members_that_we_do_not_honour_are_refused_by_name(site, endpoint, member):
    with pytest.raises(ClientError, match=member) as refused:
        site.ask(endpoint, "facts", **{member: "NEW_SESSION"})
    assert refused.value.response["Error"]["Code"] == "UnsupportedOperation"


def test_a_containers_error_is_a_model_error(site, endpoint):
    with pytest.raises(ClientError) as refused:
        site.ask(endpoint, "refuse")
    told = refused.value.response
    assert told["Error"]["Code"] == "ModelError"
    assert told["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert (told["OriginalStatusCode"], told["OriginalMessage"]) == (418, '"no tea"')
    assert told["LogStreamArn"].endswith(f":log-group:/aws/sagemaker/Endpoints/{endpoint}")


def test_parts_come_as_they_are_made(site):
    site.up("streams")
    ask = site.runtime.invoke_endpoint_with_response_stream
    answer = ask(EndpointName="streams", Body=b"stream")
    assert answer["CustomAttributes"] == "from=container"
    parts = iter(answer["Body"])
    assert next(parts)["PayloadPart"]["Bytes"] == b"first"
    site.ask("streams", "release")  # the second part is made only now
    assert [part["PayloadPart"]["Bytes"] for part in parts] == [b"second"]
    broken = ask(EndpointName="streams", Body=b"broken")
    with pytest.raises(EventStreamError) as caught:
        list(broken["Body"])
    assert "ModelStreamError" in str(caught.value)
    assert "broke off" in str(caught.value)
    with pytest.raises(ClientError, match="ModelError"):
        ask(EndpointName="streams", Body=b"refuse")
    site.down("streams")


def test_slow_endpoints_keep_nobody_else_waiting(site, endpoint):
    other = site.region.client("sts", "demo")
    s3 = site.region.client("s3", "own")
    with ThreadPoolExecutor(SLOW) as callers:
        calls = [callers.submit(site.ask, endpoint, "block") for _ in range(SLOW)]
        wait_for(lambda: site.ask(endpoint, "count"), "waiting", {SLOW})
        for _ in range(3):
            assert other.get_caller_identity()["Account"]
            s3.put_object(Bucket="own-image", Key="k", Body=b"x")
            assert s3.get_object(Bucket="own-image", Key="k")["Body"].read() == b"x"
        assert not any(call.done() for call in calls)
        site.ask(endpoint, "release")
        assert {call.result() for call in calls} == {"released"}


def test_a_caller_that_leaves_frees_its_replica(site):
    site.up("left")
    impatient = site.region.client("sagemaker-runtime", "own", read_timeout=0.5)
    with pytest.raises(ReadTimeoutError):
        impatient.invoke_endpoint(EndpointName="left", Body=b"block")
    impatient.close()
    wait_for(lambda: site.ask("left", "count"), "gone", {1, 2})
    site.down("left")


def test_a_container_that_does_not_start_fails_with_its_logs_named(site):
    site.config("crash", Environment={"MODE": "crash"})
    site.sagemaker.create_endpoint(EndpointName="crash", EndpointConfigName="crash")
    found = wait_for(lambda: site.describe("crash"), "EndpointStatus", SETTLED)
    assert found["EndpointStatus"] == "Failed"
    assert "/aws/sagemaker/Endpoints/crash" in found["FailureReason"]
    assert "this container does not start" in found["FailureReason"]
    site.down("crash")


def test_an_update_loses_no_call(site):
    """Callers go on all the while; so does one whose answer takes longer than the update."""
    site.up("moving")
    site.config("moved", variants={"a": 3.0, "b": 1.0})
    done, failures, answers = threading.Event(), [], []

    def call():
        while not done.is_set():
            try:
                answers.append(site.runtime.invoke_endpoint(EndpointName="moving", Body=b"host"))
            except ClientError as error:
                failures.append(error)

    with ThreadPoolExecutor(3) as callers:
        running = [callers.submit(call) for _ in range(3)]
        try:
            site.sagemaker.update_endpoint(EndpointName="moving", EndpointConfigName="moved")
            assert site.settled("moving")["EndpointConfigName"] == "moved"
            seen = len(answers)
            wait_for(lambda: {"more": len(answers) > seen + 40}, "more", {True})
        finally:
            done.set()
    for one in running:
        one.result()
    assert failures == []
    by = [answer["InvokedProductionVariant"] for answer in answers]
    assert by[0] == "AllTraffic"
    late = [site.runtime.invoke_endpoint(EndpointName="moving", Body=b"host") for _ in range(40)]
    by = [answer["InvokedProductionVariant"] for answer in late]
    # A round of four is exact; the end of the old deployment starts one anew.
    assert by.count("a") in {29, 30, 31}
    assert by.count("b") == 40 - by.count("a")
    site.config("broken", Environment={"MODE": "crash"})
    site.sagemaker.update_endpoint(EndpointName="moving", EndpointConfigName="broken")
    found = site.settled("moving")
    assert found["EndpointConfigName"] == "moved"
    assert "does not start" in found["FailureReason"]
    site.sagemaker.update_endpoint_weights_and_capacities(
        EndpointName="moving",
        DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredWeight": 0}],
    )
    site.settled("moving")
    more = [site.runtime.invoke_endpoint(EndpointName="moving", Body=b"host") for _ in range(4)]
    assert {answer["InvokedProductionVariant"] for answer in more} == {"b"}
    site.down("moving")


def test_a_killed_replica_is_replaced_and_calls_go_on(site):
    site.up("pair", count=2)
    before = {site.ask("pair", "host") for _ in range(4)}
    assert before == {"algo-1", "algo-2"}
    with pytest.raises(ClientError, match="ModelError"):  # it was read: it is not asked again
        site.ask("pair", "die")
    assert {site.ask("pair", "host") for _ in range(20)} <= before

    def count():
        return site.describe("pair")["ProductionVariants"][0]

    wait_for(count, "CurrentInstanceCount", {2})
    wait_for(lambda: {"all": {site.ask("pair", "host") for _ in range(4)} == before}, "all", {True})
    site.down("pair")


def test_endpoints_serve_on_after_the_control_plane_was_killed(own_region, tarball):
    own_region.cli("env", "import-oci", str(tarball), "--name", URI)
    site = Site(own_region)
    site.up("lasting")
    pid = site.ask("lasting", "facts")
    own_region.kill()
    site.close()
    own_region.start()
    site = Site(own_region)
    wait_for(lambda: site.describe("lasting")["ProductionVariants"][0], "CurrentInstanceCount", {1})
    assert site.ask("lasting", "facts") == pid
    site.down("lasting")

    def gone():
        return {"left": len(site.sagemaker.list_endpoints()["Endpoints"])}

    wait_for(gone, "left", {0})
    site.close()
