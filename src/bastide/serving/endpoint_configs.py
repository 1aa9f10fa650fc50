"""Endpoint configurations.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
"""

from dataclasses import dataclass
from typing import Any

from bastide.db.database import Database
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import operation
from bastide.serving import models, records
from bastide.serving.model import Resource
from bastide.serving.paging import moment, page_of
from bastide.serving.ports import Sizes, Tagging

Params = dict[str, Any]
REPLICAS_MAX = 16
_VARIANT = (
    "VariantName", "ModelName", "InitialInstanceCount", "InstanceType", "InitialVariantWeight",
    "ContainerStartupHealthCheckTimeoutInSeconds",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfigs:
    database: Database
    clock: Clock
    sizes: Sizes
    tags: Tagging

    @operation(
        "EndpointConfigName", "Tags", *(f"ProductionVariants.{name}" for name in _VARIANT),
        "DataCaptureConfig.EnableCapture", "ProductionVariants.RoutingConfig.RoutingStrategy",
        "EnableNetworkIsolation",
        accepted={
            "ProductionVariants.VolumeSizeInGB": "an endpoint has the disk of its machine",
            "ProductionVariants.ModelDataDownloadTimeoutInSeconds":
                "the model comes from the region's own store and is waited for",
        },
    )  # fmt: skip
    def create_endpoint_config(self, call: Call, req: Params) -> Params:
        self._check(call, req)
        name = req["EndpointConfigName"]
        resource = f"endpoint-config/{name.lower()}"
        new = Resource(
            account=call.account,
            name=name,
            arn=arns.regional(call.region, "sagemaker", call.account, resource),
            created_ms=epoch_ms(self.clock.now()),
            request={key: value for key, value in req.items() if key != "Tags"},
        )
        if not self.database.write(lambda c: records.add(c, records.configs, new)):
            raise ServiceError(
                "ValidationException",
                f'Cannot create already existing endpoint configuration "{new.arn}".',
            )
        self.tags.set(call.account, new.arn, req.get("Tags") or [])
        return {"EndpointConfigArn": new.arn}

    @operation("EndpointConfigName")
    def describe_endpoint_config(self, call: Call, req: Params) -> Params:
        name = req["EndpointConfigName"]
        found = self.database.read(lambda c: records.find(c, records.configs, call.account, name))
        if found is None:
            raise missing(call, name)
        return {
            "EnableNetworkIsolation": False,
            **found.request,
            "EndpointConfigArn": found.arn,
            "CreationTime": moment(found.created_ms),
        }

    @operation(
        "SortBy", "SortOrder", "NextToken", "MaxResults", "NameContains", "CreationTimeBefore",
        "CreationTimeAfter",
    )  # fmt: skip
    def list_endpoint_configs(self, call: Call, req: Params) -> Params:
        rows, token = page_of(self.database, records.configs, call, req)
        answer: Params = {
            "EndpointConfigs": [
                {
                    "EndpointConfigName": row.name,
                    "EndpointConfigArn": row.arn,
                    "CreationTime": moment(row.created_ms),
                }
                for row in rows
            ]
        }
        return answer | ({"NextToken": token} if token else {})

    @operation("EndpointConfigName")
    def delete_endpoint_config(self, call: Call, req: Params) -> Params:
        name = req["EndpointConfigName"]
        gone = self.database.write(lambda c: records.remove(c, records.configs, call.account, name))
        if gone is None:
            raise missing(call, name)
        self.tags.drop(call.account, gone.arn)
        return {}

    def _check(self, call: Call, req: Params) -> None:
        variants = req["ProductionVariants"]
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) != len(names):
            raise ServiceError("ValidationException", "Variant names must be unique.")
        if (req.get("DataCaptureConfig") or {}).get("EnableCapture"):
            raise unsupported(call.operation, "DataCaptureConfig.EnableCapture")
        for variant in variants:
            self._check_variant(call, variant)
        if not any(variant.get("InitialVariantWeight", 1.0) > 0 for variant in variants):
            raise ServiceError("ValidationException", "One weight at least must be above 0.")

    def _check_variant(self, call: Call, variant: Params) -> None:
        for key in ("ModelName", "InstanceType", "InitialInstanceCount"):
            if not variant.get(key):
                raise ServiceError("ValidationException", f"{key} must be specified.")
        if variant["InitialInstanceCount"] > REPLICAS_MAX:
            raise ServiceError(
                "ResourceLimitExceeded",
                f"A variant has at most {REPLICAS_MAX} instances here; "
                f"{variant['InitialInstanceCount']} were asked for.",
            )
        routing = (variant.get("RoutingConfig") or {}).get("RoutingStrategy")
        if routing == "PREFIX_AWARE":
            raise unsupported(call.operation, "RoutingStrategy=PREFIX_AWARE")
        self.sizes(variant["InstanceType"])
        name = variant["ModelName"]
        if not self.database.read(lambda c: records.find(c, records.models, call.account, name)):
            raise models.missing(call, name)


def missing(call: Call, name: str) -> ServiceError:
    resource = f"endpoint-config/{name.lower()}"
    arn = arns.regional(call.region, "sagemaker", call.account, resource)
    return ServiceError("ValidationException", f'Could not find endpoint configuration "{arn}".')
