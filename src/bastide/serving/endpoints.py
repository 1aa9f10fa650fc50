"""Endpoints.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpoint.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from bastide.db.database import Database
from bastide.jobs.ports import Jobs
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import ALNUM, Ids
from bastide.kernel.operation import operation
from bastide.serving import endpoint_configs, models, records
from bastide.serving.model import Deployment, Endpoint, EndpointStatus, Resource, Variant
from bastide.serving.models import container_of
from bastide.serving.paging import moment, page_of
from bastide.serving.ports import Sizes, Tagging
from bastide.serving.settling import Settler, ids_of

Params = dict[str, Any]
READY_TIMEOUT_S = 600  # AWS's default for a container's start
TRIES_MAX = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    database: Database
    clock: Clock
    ids: Ids
    jobs: Jobs
    sizes: Sizes
    settler: Settler
    tags: Tagging

    @operation("EndpointName", "EndpointConfigName", "Tags")
    def create_endpoint(self, call: Call, req: Params) -> Params:
        name, now = req["EndpointName"], epoch_ms(self.clock.now())
        new = Endpoint(
            account=call.account,
            name=name,
            arn=_arn(call, name),
            status=EndpointStatus.CREATING,
            created_ms=now,
            changed_ms=now,
            next=self._deployment(call, name, req["EndpointConfigName"]),
        )
        if not self.database.write(lambda c: records.add_endpoint(c, new)):
            raise ServiceError(
                "ValidationException", f'Cannot create already existing endpoint "{new.arn}".'
            )
        self.tags.set(call.account, new.arn, req.get("Tags") or [])
        self.settler.settle(call.account, name)
        return {"EndpointArn": new.arn}

    @operation("EndpointName")
    def describe_endpoint(self, call: Call, req: Params) -> Params:
        found = self._found(call, req["EndpointName"])
        shown = found.live or found.next
        answer: Params = {
            "EndpointName": found.name,
            "EndpointArn": found.arn,
            "EndpointStatus": str(found.status),
            "CreationTime": moment(found.created_ms),
            "LastModifiedTime": moment(found.changed_ms),
        }
        if shown:
            answer["EndpointConfigName"] = shown.config
        if found.failure:
            answer["FailureReason"] = found.failure
        if found.live:
            answer["ProductionVariants"] = [
                self._variant(variant, found) for variant in found.live.variants
            ]
        return answer

    @operation(
        "SortBy", "SortOrder", "NextToken", "MaxResults", "NameContains", "CreationTimeBefore",
        "CreationTimeAfter", "LastModifiedTimeBefore", "LastModifiedTimeAfter", "StatusEquals",
    )  # fmt: skip
    def list_endpoints(self, call: Call, req: Params) -> Params:
        rows, token = page_of(self.database, records.endpoints, call, req)
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

    @operation("EndpointName", "EndpointConfigName")
    def update_endpoint(self, call: Call, req: Params) -> Params:
        name = req["EndpointName"]
        deployment = self._deployment(call, name, req["EndpointConfigName"])

        def updated(before: Endpoint) -> Endpoint:
            if before.status not in {EndpointStatus.IN_SERVICE, EndpointStatus.FAILED}:
                raise ServiceError(
                    "ValidationException", f'Cannot update in-progress endpoint "{before.arn}".'
                )
            return replace(
                before,
                status=EndpointStatus.UPDATING if before.live else EndpointStatus.CREATING,
                next=deployment,
                failure="",
            )

        return {"EndpointArn": self._change(call, name, updated)}

    @operation("EndpointName")
    def delete_endpoint(self, call: Call, req: Params) -> Params:
        def deleted(before: Endpoint) -> Endpoint:
            jobs = {*before.old, *ids_of(before.live), *ids_of(before.next)}
            return replace(
                before,
                status=EndpointStatus.DELETING,
                live=None,
                next=None,
                old=tuple(sorted(jobs)),
            )

        arn = self._change(call, req["EndpointName"], deleted)
        self.tags.drop(call.account, arn)
        return {}

    def _change(self, call: Call, name: str, change: Any) -> str:
        """Write what `change` makes of the endpoint, unless it changed meanwhile: then again."""
        for _ in range(TRIES_MAX):
            before = self._found(call, name)
            after = replace(change(before), changed_ms=epoch_ms(self.clock.now()))
            if self.database.write(
                lambda c, b=before, a=after: records.replace_endpoint(c, b, a)  # type: ignore[misc]
            ):
                self.settler.settle(call.account, name)
                return str(after.arn)
        raise ServiceError("ValidationException", f'Cannot update in-progress endpoint "{name}".')

    def _found(self, call: Call, name: str) -> Endpoint:
        found = self.database.read(lambda c: records.find_endpoint(c, call.account, name))
        if found is None:
            raise ServiceError(
                "ValidationException", f'Could not find endpoint "{_arn(call, name)}".'
            )
        return found

    def _deployment(self, call: Call, endpoint: str, config: str) -> Deployment:
        found = self.database.read(lambda c: records.find(c, records.configs, call.account, config))
        if found is None:
            raise endpoint_configs.missing(call, config)
        run = self.ids.word(10, ALNUM)
        variants = [
            self._planned(call, endpoint, each, run) for each in found.request["ProductionVariants"]
        ]
        return Deployment(config=config, variants=tuple(variants))

    def _planned(self, call: Call, endpoint: str, asked: Mapping[str, Any], run: str) -> Variant:
        name, model_name = asked["VariantName"], asked["ModelName"]
        model = self.database.read(
            lambda c: records.find(c, records.models, call.account, model_name)
        )
        if model is None:
            raise models.missing(call, model_name)
        cpus, memory = self.sizes(asked["InstanceType"])
        return Variant(
            name=name,
            weight=asked.get("InitialVariantWeight", 1.0),
            count=asked["InitialInstanceCount"],
            job_id=f"endpoint/{call.account}/{endpoint}/{run}/{name}",
            image=container_of(model.request)["Image"],
            cpus=cpus,
            memory_bytes=memory,
            ready_timeout_s=asked.get("ContainerStartupHealthCheckTimeoutInSeconds")
            or READY_TIMEOUT_S,
            payload=_payload(model, endpoint, name),
        )

    def _variant(self, variant: Variant, endpoint: Endpoint) -> Params:
        return {
            "VariantName": variant.name,
            "DeployedImages": [
                {
                    "SpecifiedImage": variant.image,
                    "ResolvedImage": variant.image,
                    "ResolutionTime": moment(endpoint.changed_ms),
                }
            ],
            "CurrentWeight": variant.weight,
            "DesiredWeight": variant.weight,
            "CurrentInstanceCount": len(self.jobs.sockets(variant.job_id)),
            "DesiredInstanceCount": variant.count,
        }


def _payload(model: Resource, endpoint: str, variant: str) -> Params:
    return {
        "container": container_of(model.request),
        "role": model.request["ExecutionRoleArn"],
        "endpoint": endpoint,
        "variant": variant,
    }


def _arn(call: Call, name: str) -> str:
    return arns.regional(call.region, "sagemaker", call.account, f"endpoint/{name.lower()}")
