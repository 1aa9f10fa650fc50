"""Endpoints that change: weights, counts, retained properties, policies; what fails is undone."""

import pytest
from tests.sagefakes import IMAGE, ONE, ROLE, call

from bastide.jobs.model import Status
from bastide.kernel.errors import ServiceError
from bastide.serving.settling import PLACE_TIMEOUT


@pytest.fixture
def two(world, echo):
    """An endpoint in service with the variants a (3 of 4 calls) and b."""
    world.model()
    world.config("C", ("a", 3.0, 1), ("b", 1.0, 1))
    world.create()
    for job_id in world.all_jobs():
        world.jobs.where[job_id] = [echo(job_id[-1])]
    world.go(Status.READY)
    return world


def scale(world, *desired):
    world.endpoints.update_endpoint_weights_and_capacities(
        call(), {"EndpointName": "E", "DesiredWeightsAndCapacities": list(desired)}
    )


def update(world, config, **more):
    req = {"EndpointName": "E", "EndpointConfigName": config, **more}
    world.endpoints.update_endpoint(call("sagemaker.UpdateEndpoint"), req)


def variants(world):
    return {each["VariantName"]: each for each in world.describe()["ProductionVariants"]}


def test_weights_change_at_once_and_nothing_is_restarted(two):
    before = two.all_jobs()
    assert [two.invoke()["InvokedProductionVariant"] for _ in range(4)].count("a") == 3
    scale(two, {"VariantName": "a", "DesiredWeight": 0.0})
    assert two.describe()["EndpointStatus"] == "InService"
    assert {two.invoke()["InvokedProductionVariant"] for _ in range(4)} == {"b"}
    assert two.all_jobs() == before
    assert variants(two)["a"]["CurrentWeight"] == 0.0


def test_a_count_changes_beside_what_runs(two, echo):
    a, b = two.all_jobs()
    scale(two, {"VariantName": "a", "DesiredInstanceCount": 2})
    told = two.describe()
    assert told["EndpointStatus"] == "Updating"
    assert [
        (each["CurrentInstanceCount"], each["DesiredInstanceCount"])
        for each in told["ProductionVariants"]
    ] == [(1, 2), (1, 1)]
    assert two.invoke(TargetVariant="a")["Body"] == b"a:x"
    (new,) = {*two.all_jobs()} - {a, b}
    assert two.jobs.find(new).spec.replicas == 2
    two.jobs.where[new] = [echo("x"), echo("y")]
    two.jobs.go(new, Status.READY)
    two.settler.settle((ONE, "E", "U"))
    two.drain()
    assert two.all_jobs() == sorted([b, new])
    assert {two.invoke(TargetVariant="a")["Body"] for _ in range(2)} == {b"x:x", b"y:x"}


def test_a_count_that_fails_leaves_what_runs(two):
    before = two.all_jobs()
    scale(two, {"VariantName": "a", "DesiredInstanceCount": 2})
    (new,) = {*two.all_jobs()} - {*before}
    two.jobs.go(new, Status.FAILED, failure="no")
    two.settler.settle((ONE, "E", "U"))
    told = two.describe()
    assert (told["EndpointStatus"], told["FailureReason"]) == ("InService", "no")
    two.drain()
    assert two.all_jobs() == before
    assert two.invoke(TargetVariant="b")["Body"] == b"b:x"


@pytest.mark.parametrize(
    ("desired", "says"),
    [
        ([{"VariantName": "z", "DesiredWeight": 1.0}], "variant z does not exist"),
        ([{"VariantName": "a", "DesiredWeight": 0.0}, {"VariantName": "b", "DesiredWeight": 0.0}],
         "above 0"),
        ([{"VariantName": "a", "DesiredInstanceCount": 0}], "one instance at least"),
        ([{"VariantName": "a", "DesiredInstanceCount": 17}], "ResourceLimitExceeded"),
    ],
)  # fmt: skip
def test_scales_that_cannot_be(two, desired, says):
    with pytest.raises(ServiceError, match=says):
        scale(two, *desired)
    assert two.describe()["EndpointStatus"] == "InService"


@pytest.mark.parametrize(
    ("more", "weights"),
    [
        ({}, (1.0, 1.0)),
        ({"RetainAllVariantProperties": True}, (5.0, 1.0)),
        (
            {
                "RetainAllVariantProperties": True,
                "ExcludeRetainedVariantProperties": [{"VariantPropertyType": "DesiredWeight"}],
            },
            (1.0, 1.0),
        ),
    ],
)
def test_variant_properties_are_retained_if_asked_for(two, more, weights):
    scale(two, {"VariantName": "a", "DesiredWeight": 5.0})
    two.config("C2", ("a", 1.0, 1), ("c", 1.0, 1))
    update(two, "C2", **more)
    pending = two.describe()["PendingDeploymentSummary"]
    assert pending["EndpointConfigName"] == "C2"
    two.go(Status.READY)
    told = two.describe()
    assert tuple(each["CurrentWeight"] for each in told["ProductionVariants"]) == weights
    assert "PendingDeploymentSummary" not in told


ALL_AT_ONCE = {
    "BlueGreenUpdatePolicy": {
        "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE", "WaitIntervalInSeconds": 0}
    }
}


def test_the_policy_that_we_have_is_shown_and_kept(two):
    two.config("C2", ("a", 1.0, 1))
    update(two, "C2", DeploymentConfig=ALL_AT_ONCE)
    two.go(Status.READY)
    assert two.describe()["LastDeploymentConfig"] == ALL_AT_ONCE
    update(two, "C", RetainDeploymentConfig=True)
    assert two.describe()["LastDeploymentConfig"] == ALL_AT_ONCE


@pytest.mark.parametrize(
    ("green", "named"),
    [
        ({"TrafficRoutingConfiguration": {"Type": "CANARY"}}, "Type=CANARY"),
        (
            {
                "TrafficRoutingConfiguration": {
                    "Type": "ALL_AT_ONCE",
                    "WaitIntervalInSeconds": 9,
                }
            },
            "WaitIntervalInSeconds",
        ),
        (
            {
                "TrafficRoutingConfiguration": {"Type": "ALL_AT_ONCE"},
                "TerminationWaitInSeconds": 9,
            },
            "TerminationWaitInSeconds",
        ),
    ],
)
def test_policies_that_we_do_not_have_are_refused_by_name(two, green, named):
    two.config("C2", ("a", 1.0, 1))
    with pytest.raises(ServiceError, match=named):
        update(two, "C2", DeploymentConfig={"BlueGreenUpdatePolicy": green})
    assert two.describe()["EndpointStatus"] == "InService"


def test_an_update_that_finds_no_room_is_undone(two):
    before = two.all_jobs()
    two.config("C2", ("a", 1.0, 1))
    update(two, "C2")
    two.clock.advance(PLACE_TIMEOUT.total_seconds() + 1)
    two.settler.settle((ONE, "E", "U"))
    told = two.describe()
    assert told["EndpointStatus"] == "InService"
    assert "Unable to provision" in told["FailureReason"]
    two.drain()
    assert two.all_jobs() == before


def test_jobs_that_are_refused_fail_the_endpoint(world):
    world.model()
    world.config()

    def refuse(spec):
        raise ServiceError("ValidationException", "The sandbox of this machine lacks: x.")

    world.jobs.submit = refuse
    world.create()
    told = world.describe()
    assert told["EndpointStatus"] == "Failed"
    assert "lacks: x" in told["FailureReason"]


BAD = [{"Key": "aws:x", "Value": "1"}]


def test_tags_are_looked_at_before_anything_is_made(world):
    with pytest.raises(ServiceError, match="reserved"):
        world.models.create_model(
            call(),
            {
                "ModelName": "M",
                "ExecutionRoleArn": ROLE,
                "PrimaryContainer": {"Image": IMAGE},
                "Tags": BAD,
            },
        )
    assert world.models.list_models(call(), {})["Models"] == []
    world.model()
    variant = {
        "VariantName": "v",
        "ModelName": "M",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    req = {"EndpointConfigName": "C", "ProductionVariants": [variant]}
    with pytest.raises(ServiceError, match="reserved"):
        world.configs.create_endpoint_config(call(), {**req, "Tags": BAD})
    world.configs.create_endpoint_config(call(), req)
    with pytest.raises(ServiceError, match="reserved"):
        world.endpoints.create_endpoint(
            call(), {"EndpointName": "E", "EndpointConfigName": "C", "Tags": BAD}
        )
    assert world.endpoints.list_endpoints(call(), {})["Endpoints"] == []
    assert world.all_jobs() == []


def test_what_is_replaced_ends_its_calls_first(two):
    a, _ = two.all_jobs()
    two.config("C2", ("n", 1.0, 1))
    update(two, "C2")
    (new,) = {*two.all_jobs()} - {a, _}
    with two.load.call(two.jobs.where[a][0]):
        two.jobs.go(new, Status.READY)
        two.settler.settle((ONE, "E", "U"))
        two.drain()
        assert two.all_jobs() == sorted([a, new])
    two.drain()
    assert two.all_jobs() == [new]


@pytest.mark.parametrize("state", [Status.PENDING, Status.RUNNING])
def test_an_endpoint_can_be_deleted_while_it_is_made(world, state):
    world.model()
    world.config()
    world.create()
    world.go(state)
    world.endpoints.delete_endpoint(call(), {"EndpointName": "E"})
    world.settler.settle((ONE, "E", "U"))
    assert world.all_jobs() == []
    with pytest.raises(ServiceError, match="Could not find endpoint"):
        world.describe()


def test_an_endpoint_can_be_deleted_while_it_is_updated(two):
    two.config("C2", ("a", 1.0, 1))
    update(two, "C2")
    two.endpoints.delete_endpoint(call(), {"EndpointName": "E"})
    two.settler.settle((ONE, "E", "U"))
    assert two.all_jobs() == []


def test_an_endpoint_outlives_its_model_and_its_configuration(two):
    two.models.delete_model(call(), {"ModelName": "M"})
    two.configs.delete_endpoint_config(call(), {"EndpointConfigName": "C"})
    assert two.invoke(TargetVariant="a")["Body"] == b"a:x"
    scale(two, {"VariantName": "a", "DesiredInstanceCount": 2})
    assert two.describe()["EndpointStatus"] == "Updating"
