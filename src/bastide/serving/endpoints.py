"""Endpoints.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bastide.db import derivation_records
from bastide.db.database import Database
from bastide.db.derivations import Thing
from bastide.db.marks import Marks
from bastide.jobs.ports import Jobs
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms, moment
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.operation import operation
from bastide.serving import records
from bastide.serving.model import Deployment, Endpoint, EndpointStatus, Resource, Variant
from bastide.serving.paging import page_of
from bastide.serving.planning import POLICY, Planner, policy_of, retained
from bastide.serving.ports import Tagging
from bastide.serving.settling import Settler

Params = dict[str, Any]
TRIES_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    database: Database
    clock: Clock
    jobs: Jobs
    marks: Marks
    planner: Planner
    settler: Settler
    tags: Tagging

    @operation("EndpointName", "EndpointConfigName", "Tags", *POLICY)
    def create_endpoint(self, call: Call, req: Params) -> Params:
        name, now = req["EndpointName"], epoch_ms(self.clock.now())
        tags = self.tags.checked(req.get("Tags") or [])
        label = self.marks.of_new(call, tags, "An endpoint")
        config = self.planner.config(call, req["EndpointConfigName"])
        new = Endpoint(
            account=call.account,
            name=name,
            label=label,
            arn=_arn(call, name),
            status=EndpointStatus.CREATING,
            created_ms=now,
            changed_ms=now,
            next=self.planner.deployment(call, name, label, config),
            policy=policy_of(call, req),
        )

        def write(c: Connection) -> bool:
            if not records.add_endpoint(c, new):
                return False
            self.tags.put(c, new.account, new.arn, new.label, tags)
            _derive(c, new, config)
            return True

        if not self._written(new, write):
            raise ServiceError(
                "ValidationException", f'Cannot create already existing endpoint "{new.arn}".'
            )
        self.settler.settle(new.key)
        return {"EndpointArn": new.arn}

    @operation("EndpointName")
    def describe_endpoint(self, call: Call, req: Params) -> Params:
        found = self._found(call, req["EndpointName"])
        call.notes.label = found.label
        answer: Params = {
            "EndpointName": found.name,
            "EndpointArn": found.arn,
            "EndpointStatus": str(found.status),
            "CreationTime": moment(found.created_ms),
            "LastModifiedTime": moment(found.changed_ms),
        }
        if shown := found.live or found.next:
            answer["EndpointConfigName"] = shown.config
        if found.failure:
            answer["FailureReason"] = found.failure
        if found.policy:
            answer["LastDeploymentConfig"] = found.policy
        if found.live:
            answer["ProductionVariants"] = self._variants(found, found.live)
        if found.next and found.status in {EndpointStatus.CREATING, EndpointStatus.UPDATING}:
            answer["PendingDeploymentSummary"] = {
                "EndpointConfigName": found.next.config,
                "ProductionVariants": self._variants(found, found.next),
                "StartTime": moment(found.changed_ms),
            }
        return answer

    @operation(
        "SortBy", "SortOrder", "NextToken", "MaxResults", "NameContains", "CreationTimeBefore",
        "CreationTimeAfter", "LastModifiedTimeBefore", "LastModifiedTimeAfter", "StatusEquals",
    )  # fmt: skip
    def list_endpoints(self, call: Call, req: Params) -> Params:
        rows, token = self._page(call, req)
        answer: Params = {
            "Endpoints": [
                {
                    "EndpointName": row.name,
                    "EndpointArn": row.arn,
                    "CreationTime": moment(row.created_ms),
                    "LastModifiedTime": moment(row.changed_ms),
                    "EndpointStatus": row.status,
                }
                for row in rows
            ]
        }
        return answer | ({"NextToken": token} if token else {})

    @operation(
        "EndpointName", "EndpointConfigName", "RetainAllVariantProperties",
        "ExcludeRetainedVariantProperties", "RetainDeploymentConfig", *POLICY,
    )  # fmt: skip
    def update_endpoint(self, call: Call, req: Params) -> Params:
        name, policy = req["EndpointName"], policy_of(call, req)
        config = self.planner.config(call, req["EndpointConfigName"])
        label = self._found(call, name).label
        coming = self.planner.deployment(call, name, label, config)
        excluded = [
            each["VariantPropertyType"]
            for each in req.get("ExcludeRetainedVariantProperties") or []
        ]

        def updated(before: Endpoint) -> Endpoint:
            keeps = req.get("RetainAllVariantProperties")
            return replace(
                _settled(before, EndpointStatus.IN_SERVICE, EndpointStatus.FAILED),
                status=EndpointStatus.UPDATING if before.live else EndpointStatus.CREATING,
                next=retained(coming, before.live, excluded) if keeps else coming,
                failure="",
                policy=before.policy if req.get("RetainDeploymentConfig") else policy,
            )

        return {"EndpointArn": self._change(call, name, updated, config)}

    @operation(
        "EndpointName", "DesiredWeightsAndCapacities.VariantName",
        "DesiredWeightsAndCapacities.DesiredWeight",
        "DesiredWeightsAndCapacities.DesiredInstanceCount",
    )  # fmt: skip
    def update_endpoint_weights_and_capacities(self, call: Call, req: Params) -> Params:
        desired = req["DesiredWeightsAndCapacities"]

        def updated(before: Endpoint) -> Endpoint:
            return replace(
                _settled(before, EndpointStatus.IN_SERVICE),
                status=EndpointStatus.UPDATING,
                next=self.planner.rescaled(call, before, desired),
                failure="",
            )

        return {"EndpointArn": self._change(call, req["EndpointName"], updated)}

    @operation("EndpointName")
    def delete_endpoint(self, call: Call, req: Params) -> Params:
        def deleted(before: Endpoint) -> Endpoint:
            both = [each.job_ids for each in (before.live, before.next) if each]
            return replace(
                before,
                status=EndpointStatus.DELETING,
                live=None,
                next=None,
                old=tuple(sorted({*before.old}.union(*both))),
            )

        self._change(call, req["EndpointName"], deleted)
        return {}

    def _change(
        self,
        call: Call,
        name: str,
        change: Callable[[Endpoint], Endpoint],
        config: Resource | None = None,
    ) -> str:
        """Write what `change` makes of the endpoint, unless it changed meanwhile: then again.
        `config`: what it is made of from now on, where that changes."""
        for _ in range(TRIES_MAX):
            before = self._found(call, name)
            self.marks.check_own(call, before.label)
            after = replace(change(before), changed_ms=epoch_ms(self.clock.now()))
            if self._written(after, partial(self._replace, before, after, config)):
                self.settler.settle(after.key)
                return after.arn
        raise ServiceError("ValidationException", f'Cannot update in-progress endpoint "{name}".')

    def _replace(
        self, before: Endpoint, after: Endpoint, config: Resource | None, c: Connection
    ) -> bool:
        """One that is deleted has no tags from then on."""
        replaced = records.replace_endpoint(c, before, after)
        if replaced and config is not None:
            _derive(c, after, config)
        if replaced and after.status is EndpointStatus.DELETING:
            self.tags.drop(c, after.account, after.arn, after.label)
        return replaced

    def _written(self, endpoint: Endpoint, write: Callable[[Connection], bool]) -> bool:
        """A write that failed may be durable all the same: then it is settled without the caller,
        who may or may not ask again."""
        try:
            return self.database.write(write)
        except Unavailable:
            self.settler.look_again(endpoint.key)
            raise

    def _found(self, call: Call, name: str) -> Endpoint:
        view = self.marks.view(call.principal)
        found = self.database.read(lambda c: records.seen_endpoint(c, call.account, name, view))
        if found is None:
            raise ServiceError(
                "ValidationException", f'Could not find endpoint "{_arn(call, name)}".'
            )
        return found

    def _page(self, call: Call, req: Params) -> tuple[list[Any], str | None]:
        view = self.marks.view(call.principal)
        return page_of(self.database, records.endpoints, view, call, req)

    def _variants(self, endpoint: Endpoint, shown: Deployment) -> list[Params]:
        """A change of weights and counts alone shows what is desired beside what is."""
        coming = endpoint.next if endpoint.next and endpoint.next.config == shown.config else shown
        desired = {each.name: each for each in coming.variants}
        at = moment(endpoint.changed_ms)
        return [self._variant(each, desired.get(each.name, each), at) for each in shown.variants]

    def _variant(self, variant: Variant, desired: Variant, at: datetime) -> Params:
        image = {"SpecifiedImage": variant.image, "ResolvedImage": variant.image}
        return {
            "VariantName": variant.name,
            "DeployedImages": [{**image, "ResolutionTime": at}],
            "CurrentWeight": variant.weight,
            "DesiredWeight": desired.weight,
            "CurrentInstanceCount": len(self.jobs.sockets(variant.job_id)),
            "DesiredInstanceCount": desired.count,
        }


def _derive(c: Connection, endpoint: Endpoint, config: Resource) -> None:
    sources = [Thing(config.arn, config.label)]
    derivation_records.put(c, endpoint.account, Thing(endpoint.arn, endpoint.label), sources)


def _settled(endpoint: Endpoint, *statuses: EndpointStatus) -> Endpoint:
    if endpoint.status not in statuses:
        raise ServiceError(
            "ValidationException", f'Cannot update in-progress endpoint "{endpoint.arn}".'
        )
    return endpoint


def _arn(call: Call, name: str) -> str:
    return arns.regional(call.region, "sagemaker", call.account, f"endpoint/{name.lower()}")
