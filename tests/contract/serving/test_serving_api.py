"""Models, endpoints and invocations: every state, over jobs that go where the test sends them."""

import base64
import hashlib
import io
import json
import tarfile
from pathlib import Path

import pytest
from tests.sagefakes import (
    IMAGE,
    ONE,
    OTHER,
    ROLE,
    FakeRuntime,
    call,
)

from bastide.jobs.model import Exit, Status
from bastide.jobs.ports import JobFailed
from bastide.kernel.errors import ServiceError
from bastide.kernel.receipts import commitment
from bastide.serving import records
from bastide.serving.invocations import SIZE_MAX
from bastide.serving.kind import model_digest
from bastide.serving.routes import Routes
from bastide.serving.settling import Settler

STREAM = "InvokeEndpointWithResponseStream"


def stream(world, body):
    """The bytes of the parts that came."""

    async def run():
        answer = await world.invocations.invoke_endpoint_with_response_stream(
            call(f"sagemaker-runtime.{STREAM}"),
            {"EndpointName": "E", "Body": body},
        )
        return [part["PayloadPart"]["Bytes"] async for part in answer["Body"]]

    return b"".join(world.loop.run(run()))


def test_models(world):
    world.model("M")
    with pytest.raises(ServiceError, match="already existing model"):
        world.model("M")
    told = world.models.describe_model(call(), {"ModelName": "M"})
    assert told["PrimaryContainer"]["Image"] == IMAGE
    assert told["ModelArn"].endswith(":model/m")
    other = call(account=OTHER)
    for ask in (world.models.describe_model, world.models.delete_model):
        with pytest.raises(ServiceError, match="Could not find model"):
            ask(other, {"ModelName": "M"})
    assert world.models.list_models(other, {})["Models"] == []
    for index in range(3):
        world.clock.advance(1)
        world.model(f"n{index}")
    page = world.models.list_models(call(), {"MaxResults": 2})
    rest = world.models.list_models(call(), {"NextToken": page["NextToken"]})
    names = [row["ModelName"] for row in page["Models"] + rest["Models"]]
    assert names == ["n2", "n1", "n0", "M"]
    world.models.delete_model(call(), {"ModelName": "M"})
    with pytest.raises(ServiceError, match="Could not find model"):
        world.models.describe_model(call(), {"ModelName": "M"})


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({}, "ValidationException"),
        ({"PrimaryContainer": {"Image": "unknown"}}, "ValidationException"),
        ({"PrimaryContainer": {"Image": IMAGE, "Mode": "MultiModel"}}, "UnsupportedOperation"),
        ({"PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "http://x"}},
         "ValidationException"),
        ({"Containers": [{"Image": IMAGE}] * 2}, "UnsupportedOperation"),
        ({"PrimaryContainer": {"Image": IMAGE}, "ExecutionRoleArn": ROLE.replace(ONE, OTHER)},
         "AccessDeniedException"),
    ],
)  # fmt: skip
def test_models_refused(world, more, code):
    req = {"ModelName": "M", "ExecutionRoleArn": ROLE, **more}
    with pytest.raises(ServiceError, match=code):
        world.models.create_model(call("sagemaker.CreateModel"), req)


def test_configs(world):
    with pytest.raises(ServiceError, match="Could not find model"):
        world.config()
    world.model()
    world.config()
    told = world.configs.describe_endpoint_config(call(), {"EndpointConfigName": "C"})
    assert told["ProductionVariants"][0]["VariantName"] == "AllTraffic"
    with pytest.raises(ServiceError, match="already existing"):
        world.config()
    with pytest.raises(ServiceError, match="above 0"):
        world.config("Z", ("a", 0.0, 1))
    with pytest.raises(ServiceError, match="Could not find endpoint configuration"):
        world.configs.delete_endpoint_config(call(account=OTHER), {"EndpointConfigName": "C"})
    world.configs.delete_endpoint_config(call(), {"EndpointConfigName": "C"})
    assert world.configs.list_endpoint_configs(call(), {})["EndpointConfigs"] == []


@pytest.mark.parametrize("case", [str.lower, str.upper])
def test_names_are_taken_in_any_case(world, case):
    """Two things of one ARN would have each other's tags, and who may act by them."""
    world.model("M")
    world.config("C")
    world.create()
    with pytest.raises(ServiceError, match="already existing model"):
        world.model(case("M"))
    with pytest.raises(ServiceError, match="already existing endpoint configuration"):
        world.config(case("C"))
    with pytest.raises(ServiceError, match="already existing endpoint"):
        world.endpoints.create_endpoint(
            call(), {"EndpointName": case("E"), "EndpointConfigName": "C"}
        )


def test_in_service_only_when_ready(world):
    world.model()
    world.config()
    world.create()
    for status in (Status.STAGING, Status.RUNNING):
        world.go(status)
        assert world.describe()["EndpointStatus"] == "Creating"
    with pytest.raises(ServiceError, match="not in service"):
        world.invoke()
    world.go(Status.READY)
    assert world.describe()["EndpointStatus"] == "InService"


def test_a_failed_creation(world):
    world.model()
    world.config()
    world.create()
    world.go(Status.FAILED, failure="ping")
    told = world.describe()
    assert (told["EndpointStatus"], told["FailureReason"]) == ("Failed", "ping")
    world.endpoints.delete_endpoint(call(), {"EndpointName": "E"})
    with pytest.raises(ServiceError, match="Could not find endpoint"):
        world.describe()


def test_delete(in_service):
    in_service.endpoints.delete_endpoint(call(), {"EndpointName": "E"})
    assert in_service.all_jobs() == []
    assert in_service.describe()["EndpointStatus"] == "Deleting"
    in_service.settler.settle((ONE, "E", "U"))  # as the jobs' last transition has it done
    with pytest.raises(ServiceError, match="Could not find endpoint"):
        in_service.describe()
    with pytest.raises(ServiceError, match="not found"):
        in_service.invoke()


def test_update_brings_the_new_up_first(in_service, echo):
    (old,) = in_service.all_jobs()
    in_service.config("C2")
    in_service.endpoints.update_endpoint(call(), {"EndpointName": "E", "EndpointConfigName": "C2"})
    assert in_service.describe()["EndpointStatus"] == "Updating"
    assert in_service.invoke()["Body"] == b"a:x"
    with pytest.raises(ServiceError, match="in-progress"):
        in_service.endpoints.update_endpoint(
            call(), {"EndpointName": "E", "EndpointConfigName": "C2"}
        )
    (new,) = {*in_service.all_jobs()} - {old}
    in_service.jobs.where[new] = [echo("b")]
    in_service.jobs.go(new, Status.READY)
    in_service.settler.settle((ONE, "E", "U"))
    told = in_service.describe()
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", "C2")
    assert in_service.all_jobs() == sorted([old, new])  # somebody may be on the way to the old
    in_service.drain()
    assert in_service.all_jobs() == [new]
    assert in_service.invoke()["Body"] == b"b:x"


def test_a_failed_update_changes_nothing(in_service):
    (old,) = in_service.all_jobs()
    in_service.config("C2")
    in_service.endpoints.update_endpoint(call(), {"EndpointName": "E", "EndpointConfigName": "C2"})
    (new,) = {*in_service.all_jobs()} - {old}
    in_service.jobs.go(new, Status.FAILED, failure="broken")
    in_service.settler.settle((ONE, "E", "U"))
    told = in_service.describe()
    assert (told["EndpointStatus"], told["EndpointConfigName"]) == ("InService", "C")
    assert told["FailureReason"] == "broken"
    assert in_service.invoke()["Body"] == b"a:x"


def test_a_crash_between_the_row_and_the_job(world, database):
    world.model()
    world.config()
    world.create()
    world.jobs.jobs.clear()
    again = Settler(
        database=database,
        clock=world.clock,
        jobs=world.jobs,
        load=world.load,
        routes=Routes(database=database),
    )
    again.start()
    again.close()
    assert len(world.all_jobs()) == 1
    assert database.read(lambda c: records.unsettled(c, every=False)) == [(ONE, "E", "U")]


def test_variants_by_weight_and_replicas(world, echo):
    world.model()
    world.config("C", ("big", 3.0, 1), ("small", 1.0, 2))
    world.create()
    big, small = world.all_jobs()
    world.jobs.where |= {big: [echo("big")], small: [echo("s1"), echo("s2")]}
    world.go(Status.READY)
    assert world.jobs.find(small).spec.replicas == 2
    said = [world.invoke()["InvokedProductionVariant"] for _ in range(16)]
    assert (said.count("big"), said.count("small")) == (12, 4)
    aimed = {world.invoke(TargetVariant="small")["Body"] for _ in range(4)}
    assert aimed == {b"s1:x", b"s2:x"}
    with pytest.raises(ServiceError, match="ValidationError"):
        world.invoke(TargetVariant="none")
    told = world.describe()["ProductionVariants"]
    assert [each["CurrentInstanceCount"] for each in told] == [1, 2]


def test_headers_go_there_and_come_back(in_service):
    answer = in_service.invoke(Accept="a/b", CustomAttributes="c=1", ContentType="t/x")
    assert (answer["ContentType"], answer["CustomAttributes"]) == ("a/b", "c=1")
    with pytest.raises(ServiceError, match="line break"):
        in_service.invoke(CustomAttributes="a\r\nX: y")
    with pytest.raises(ServiceError, match="not ASCII"):
        in_service.invoke(CustomAttributes="é\u4e2d")


def test_a_body_that_is_too_large(in_service):
    assert in_service.invoke(b"x" * (SIZE_MAX - 2))["Body"].endswith(b"x")  # comes back as a:xxx…
    with pytest.raises(ServiceError, match=r"ModelError.*answer is larger"):
        in_service.invoke(b"x" * SIZE_MAX)
    with pytest.raises(ServiceError, match="Body is larger") as caught:
        in_service.invoke(b"x" * (SIZE_MAX + 1))
    assert caught.value.status == 413


@pytest.mark.parametrize("status", [400, 415, 500, 503])
def test_model_errors(in_service, status):
    with pytest.raises(ServiceError, match="ModelError") as caught:
        in_service.invoke(str(status).encode())
    assert caught.value.status == 424
    assert caught.value.members["OriginalStatusCode"] == status
    assert caught.value.members["OriginalMessage"] == f"a:{status}"
    assert in_service.invoke()["Body"] == b"a:x"


def test_streamed(in_service):
    assert stream(in_service, b"y" * 100_000) == b"a:" + b"y" * 100_000
    with pytest.raises(ServiceError, match="ModelError"):
        stream(in_service, b"500")
    load = in_service.invocations.load
    assert (load.busy, load.held) == ({}, {})


def test_other_accounts(in_service):
    with pytest.raises(ServiceError, match=f"Endpoint E of account {OTHER} not found"):
        in_service.invoke(account=OTHER)
    with pytest.raises(ServiceError, match="Could not find endpoint"):
        in_service.describe(OTHER)
    other = call(account=OTHER)
    assert in_service.endpoints.list_endpoints(other, {})["Endpoints"] == []
    with pytest.raises(ServiceError, match="Could not find"):
        in_service.endpoints.delete_endpoint(other, {"EndpointName": "E"})
    listed = in_service.endpoints.list_endpoints(call(), {"StatusEquals": "InService"})
    assert [row["EndpointName"] for row in listed["Endpoints"]] == ["E"]


def tar(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name.replace("__", "/"))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def test_prepare(world, tmp_path):
    model = tar(m=b"model")  # once: gzip's head says when
    world.objects.held |= {
        (ONE, "bkt", "m.tar.gz"): model,
        (ONE, "bkt", "s.tar.gz"): tar(serve__inf=b"code"),
    }
    env = {"SAGEMAKER_PROGRAM": "inf.py", "SAGEMAKER_SUBMIT_DIRECTORY": "s3://bkt/s.tar.gz"}
    world.model(ModelDataUrl="s3://bkt/m.tar.gz", Environment=env)
    world.config("C", ("v", 1.0, 2))
    world.create()
    job = world.jobs.find(world.all_jobs()[0])
    json.dumps(job.spec.payload)
    for _ in range(2):  # the second time after a crash
        one, two = world.kind.prepare(job, tmp_path)
    assert (one.home / "model/m").read_bytes() == b"model"
    assert (two.home / "code/serve/inf").read_bytes() == b"code"
    assert one.env["SAGEMAKER_SUBMIT_DIRECTORY"] == "/opt/ml/code"
    assert one.argv[0].endswith("/bin/python")
    assert (one.home / Path(one.argv[1]).relative_to("/opt/ml")).exists()
    assert (one.serves, one.port) == (True, None)
    world.environments.runtime = FakeRuntime(python=None, rootfs=tmp_path, entrypoint=("/run.sh",))
    one, _ = world.kind.prepare(job, tmp_path)
    assert (one.argv, one.port, one.root) == (("/run.sh", "serve"), 8080, tmp_path)
    packed = hashlib.sha256(model).hexdigest()
    assert model_digest(tmp_path) == f"sha256:{packed}", "one for all replicas"
    (tmp_path / "algo-2.sha256").write_text("another")
    assert model_digest(tmp_path).startswith("absent: the model data changed")
    assert model_digest(tmp_path / "none").startswith("absent: the container")
    world.permits.denied.add("s3:GetObject")
    with pytest.raises(JobFailed, match="s3:GetObject"):
        world.kind.prepare(job, tmp_path)


def test_probe_and_reason(world, echo, tmp_path):
    world.model()
    world.config()
    world.create()
    job = world.jobs.find(world.all_jobs()[0])
    assert world.kind.probe(job, 0, tmp_path / "none") is False
    assert world.kind.probe(job, 0, echo("p")) is False  # answers 501 to GET
    reason = world.kind.failure_reason(job, [Exit(replica=0, code=1, stderr_tail="boom")])
    assert "did not pass the ping health check" in reason
    assert "boom" in reason


def test_an_answer_has_a_receipt_whole_or_streamed(in_service):
    whole, parts = (call(f"sagemaker-runtime.{name}") for name in ("InvokeEndpoint", STREAM))
    req = {"EndpointName": "E", "Body": b"x"}
    in_service.loop.run(in_service.invocations.invoke_endpoint(whole, req))

    async def streamed():
        answer = await in_service.invocations.invoke_endpoint_with_response_stream(parts, req)
        assert parts.notes.inference is None, "it is not whole yet"
        return [part async for part in answer["Body"]]

    in_service.loop.run(streamed())
    for made in (whole, parts):
        said = made.notes.inference
        salt = base64.b64decode(made.notes.headers["x-bastide-receipt-salt"])
        assert said.prompt == commitment(salt, b"x")
        assert said.answer == commitment(salt, b"a:x")
        assert said.model.endswith(":endpoint/e#AllTraffic")
        assert said.energy.startswith("modelled: ")
        assert said.model_digest == "absent: the container brings its own model"
        assert (said.input_tokens, said.output_tokens) == (None, None)
    refused = call("sagemaker-runtime.InvokeEndpoint")
    with pytest.raises(ServiceError):
        in_service.loop.run(
            in_service.invocations.invoke_endpoint(refused, {**req, "Body": b"500"})
        )
    assert (refused.notes.inference, refused.notes.headers) == (None, {})
