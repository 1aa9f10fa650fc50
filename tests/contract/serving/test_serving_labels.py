"""Models and endpoints behind the wall."""

import pytest
from tests.sagefakes import IMAGE, ONE, ROLE, call

from bastide.db import derivation_records
from bastide.db.derivations import Thing
from bastide.jobs.model import Status
from bastide.kernel.errors import ServiceError

LOW, HIGH = "U", "S"
MINE = f"arn:aws-us-gov:sagemaker:us-gov-west-1:{ONE}"


def make(world, marking, *, model=True, config=True):
    """An endpoint E at that label, ready, with its model and its configuration or another's."""
    who = call("sagemaker.CreateEndpoint", marking=marking)
    before = set(world.all_jobs())
    if model:
        world.models.create_model(who, {
            "ModelName": "M", "ExecutionRoleArn": ROLE,
            "PrimaryContainer": {"Image": IMAGE, "ModelDataUrl": "s3://bkt/m.tar.gz"},
        })  # fmt: skip
    if config:
        world.configs.create_endpoint_config(who, {
            "EndpointConfigName": "C",
            "ProductionVariants": [{
                "VariantName": "A", "ModelName": "M", "InitialInstanceCount": 1,
                "InstanceType": "ml.m5.large",
            }],
        })  # fmt: skip
    world.endpoints.create_endpoint(who, {"EndpointName": "E", "EndpointConfigName": "C"})
    (job,) = set(world.all_jobs()) - before
    return job


def ready(world, job, marking, socket):
    world.jobs.where[job] = [socket]
    world.jobs.go(job, Status.READY)
    world.settler.settle((ONE, "E", marking))


def invoke(world, marking, name="E"):
    ask = call("sagemaker-runtime.InvokeEndpoint", marking=marking)
    req = {"EndpointName": name, "Body": b"x"}
    return world.loop.run(world.invocations.invoke_endpoint(ask, req))["Body"]


def refusal(work):
    with pytest.raises(ServiceError) as refused:
        work()
    return refused.value.code, refused.value.message


def test_two_endpoints_of_one_name_answer_each_its_own_label(world, echo):
    for marking, name in ((HIGH, "high"), (LOW, "low")):
        ready(world, make(world, marking), marking, echo(name))
    assert (invoke(world, HIGH), invoke(world, LOW)) == (b"high:x", b"low:x")
    world.endpoints.delete_endpoint(call(marking=LOW), {"EndpointName": "E"})
    assert invoke(world, HIGH) == b"high:x"


def test_what_is_above_answers_like_what_is_not_there(world, echo):
    ready(world, make(world, HIGH), HIGH, echo("high"))
    low = call("sagemaker.X", marking=LOW)
    for work, key in (
        (world.endpoints.describe_endpoint, "EndpointName"),
        (world.endpoints.delete_endpoint, "EndpointName"),
        (world.configs.describe_endpoint_config, "EndpointConfigName"),
        (world.configs.delete_endpoint_config, "EndpointConfigName"),
        (world.models.describe_model, "ModelName"),
        (world.models.delete_model, "ModelName"),
    ):
        name = {"EndpointName": "E", "EndpointConfigName": "C", "ModelName": "M"}[key]
        code, message = refusal(lambda w=work, k=key, n=name: w(low, {k: n}))
        other = refusal(lambda w=work, k=key: w(low, {k: "none"}))
        assert (code, message.replace(f"/{name.lower()}", "/none")) == other
    code, message = refusal(lambda: invoke(world, LOW))
    assert (code, message.replace(" E ", " N ")) == refusal(lambda: invoke(world, LOW, "N"))
    assert world.models.list_models(low, {}) == {"Models": []}
    assert world.configs.list_endpoint_configs(low, {}) == {"EndpointConfigs": []}
    assert world.endpoints.list_endpoints(low, {}) == {"Endpoints": []}


def test_a_lower_endpoint_is_seen_but_neither_called_nor_changed(world, echo):
    ready(world, make(world, LOW), LOW, echo("low"))
    high = call("sagemaker.X", marking=HIGH)
    assert world.endpoints.describe_endpoint(high, {"EndpointName": "E"})["EndpointName"] == "E"
    assert high.notes.label == LOW
    assert refusal(lambda: invoke(world, HIGH))[0] == "ValidationError"
    update = {"EndpointName": "E", "EndpointConfigName": "C"}
    for work, req in (
        (world.endpoints.delete_endpoint, {"EndpointName": "E"}),
        (world.endpoints.update_endpoint, update),
        (world.configs.delete_endpoint_config, {"EndpointConfigName": "C"}),
        (world.models.delete_model, {"ModelName": "M"}),
    ):
        assert refusal(lambda w=work, r=req: w(high, r))[0] == "AccessDeniedException"
    assert invoke(world, LOW) == b"low:x"


def test_a_higher_endpoint_of_a_lower_model_works_at_its_own_label(world, database):
    make(world, LOW)
    job = world.jobs.find(make(world, HIGH, model=False, config=False))
    assert job.spec.payload["label"] == HIGH
    sources = lambda noun: database.read(  # noqa: E731
        lambda c: derivation_records.sources_of(c, ONE, [f"{MINE}:{noun}"])
    )
    config, model = Thing(f"{MINE}:endpoint-config/c", LOW), Thing(f"{MINE}:model/m", LOW)
    assert [(made.label, of) for made, of in sources("endpoint/e")] == [
        (LOW, config),
        (HIGH, config),
    ]
    assert sources("endpoint-config/c") == [(config, model)]
    assert sources("model/m") == [(model, Thing("arn:aws-us-gov:s3:::bkt/m.tar.gz", ""))]


def test_a_role_that_is_not_cleared_is_refused_when_the_model_is_made(world):
    world.models.roles.clearance = LOW
    assert "not cleared for S" in refusal(lambda: make(world, HIGH))[1]
    make(world, LOW)
    with pytest.raises(ServiceError, match="not cleared for S"):
        make(world, HIGH, model=False, config=False)
