"""What is to run for an endpoint configuration, and for a change of what runs already."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Table

from bastide.db.database import Database
from bastide.db.marks import Marks
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.ids import ALNUM, Ids
from bastide.serving import endpoint_configs, models, records
from bastide.serving.endpoint_configs import check_count, check_weights
from bastide.serving.model import Deployment, Endpoint, Resource, Variant
from bastide.serving.models import SERVICE, container_of
from bastide.serving.ports import Roles, Sizes

Params = dict[str, Any]
READY_TIMEOUT_S = 600  # AWS's default for a container's start
POLICY = (
    "DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration.Type",
    "DeploymentConfig.BlueGreenUpdatePolicy.TrafficRoutingConfiguration.WaitIntervalInSeconds",
    "DeploymentConfig.BlueGreenUpdatePolicy.TerminationWaitInSeconds",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Planner:
    """`label`: of the endpoint, at which its jobs run."""

    database: Database
    ids: Ids
    marks: Marks
    roles: Roles
    sizes: Sizes

    def config(self, call: Call, name: str) -> Resource:
        """The configuration of that name that the caller sees."""
        found = self._find(call, records.configs, name)
        if found is None:
            raise endpoint_configs.missing(call, name)
        return found

    def deployment(self, call: Call, endpoint: str, label: str, config: Resource) -> Deployment:
        run = self._run(call, endpoint)
        asked = config.request["ProductionVariants"]
        variants = [self._planned(call, run, label, each) for each in asked]
        return Deployment(config=config.name, variants=tuple(variants))

    def rescaled(self, call: Call, endpoint: Endpoint, desired: Sequence[Params]) -> Deployment:
        """Other weights and counts. A variant of another count runs as a new job; the others go
        on as they are."""
        assert endpoint.live is not None
        run, asked = self._run(call, endpoint.name), {each["VariantName"]: each for each in desired}
        unknown = asked.keys() - {each.name for each in endpoint.live.variants}
        if unknown or len(asked) != len(desired):
            name = min(unknown, default="of that name, once,")
            raise ServiceError(
                "ValidationException",
                f'The variant {name} does not exist in endpoint "{endpoint.arn}".',
            )
        variants = [
            _rescaled(each, asked.get(each.name, {}), run) for each in endpoint.live.variants
        ]
        check_weights([each.weight for each in variants])
        return replace(endpoint.live, variants=tuple(variants))

    def _run(self, call: Call, endpoint: str) -> str:
        """What the jobs of one deployment have in common."""
        return f"endpoint/{call.account}/{endpoint}/{self.ids.word(10, ALNUM)}"

    def _planned(self, call: Call, run: str, label: str, asked: Mapping[str, Any]) -> Variant:
        name, model_name = asked["VariantName"], asked["ModelName"]
        model = self._find(call, records.models, model_name)
        if model is None:
            raise models.missing(call, model_name)
        role = model.request["ExecutionRoleArn"]
        self.roles.assume_for_service(call.account, role, SERVICE, label)
        cpus, memory = self.sizes(asked["InstanceType"])
        container = container_of(model.request)
        return Variant(
            name=name,
            weight=asked.get("InitialVariantWeight", 1.0),
            count=asked["InitialInstanceCount"],
            job_id=f"{run}/{name}",
            image=container["Image"],
            cpus=cpus,
            memory_bytes=memory,
            ready_timeout_s=asked.get("ContainerStartupHealthCheckTimeoutInSeconds")
            or READY_TIMEOUT_S,
            payload={
                "container": container,
                "role": role,
                "endpoint": run.split("/")[2],
                "variant": name,
                "label": label,
            },
        )

    def _find(self, call: Call, table: Table, name: str) -> Resource | None:
        view = self.marks.view(call.principal)
        return self.database.read(lambda c: records.find(c, table, call.account, name, view))


def retained(coming: Deployment, live: Deployment | None, but: Collection[str]) -> Deployment:
    """RetainAllVariantProperties: weights and counts of the variants that are there already."""
    known = {each.name: each for each in live.variants} if live else {}

    def kept(variant: Variant) -> Variant:
        before = known.get(variant.name, variant)
        return replace(
            variant,
            weight=variant.weight if "DesiredWeight" in but else before.weight,
            count=variant.count if "DesiredInstanceCount" in but else before.count,
        )

    return replace(coming, variants=tuple(kept(each) for each in coming.variants))


def policy_of(call: Call, req: Params) -> Params | None:
    """The DeploymentConfig, if it asks for what is done here: the new deployment is brought up
    beside the old one, takes all calls at once, and the old one ends."""
    policy: Params | None = req.get("DeploymentConfig")
    green = (policy or {}).get("BlueGreenUpdatePolicy") or {}
    routing = green.get("TrafficRoutingConfiguration") or {}
    kind = routing.get("Type", "ALL_AT_ONCE")
    if kind != "ALL_AT_ONCE":
        raise unsupported(call.operation, f"TrafficRoutingConfiguration.Type={kind}")
    for where, name in ((routing, "WaitIntervalInSeconds"), (green, "TerminationWaitInSeconds")):
        if where.get(name):
            raise unsupported(call.operation, f"{name} above 0")
    return policy


def _rescaled(variant: Variant, asked: Mapping[str, Any], run: str) -> Variant:
    weight, count = asked.get("DesiredWeight"), asked.get("DesiredInstanceCount")
    changed = variant if weight is None else replace(variant, weight=weight)
    if count is None or count == variant.count:
        return changed
    check_count(count)
    return replace(changed, count=count, job_id=f"{run}/{variant.name}")
