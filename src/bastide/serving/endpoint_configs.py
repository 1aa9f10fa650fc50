"""Endpoint configurations.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateEndpointConfig.html
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bastide.db.derivations import Thing
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import operation
from bastide.serving import models
from bastide.serving.model import Resource
from bastide.serving.ports import Sizes
from bastide.serving.shelf import Shelf

Params = dict[str, Any]
REPLICAS_MAX = 16
_VARIANT = (
    "VariantName", "ModelName", "InitialInstanceCount", "InstanceType", "InitialVariantWeight",
    "ContainerStartupHealthCheckTimeoutInSeconds",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointConfigs:
    shelf: Shelf
    models: Shelf
    sizes: Sizes

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
        name, served = req["EndpointConfigName"], self._checked(call, req)
        new = self.shelf.add(call, name, req, [Thing(each.arn, each.label) for each in served])
        if new is None:
            raise ServiceError(
                "ValidationException",
                "Cannot create already existing endpoint configuration "
                f'"{self.shelf.arn(call, name)}".',
            )
        return {"EndpointConfigArn": new.arn}

    @operation("EndpointConfigName")
    def describe_endpoint_config(self, call: Call, req: Params) -> Params:
        name = req["EndpointConfigName"]
        found = self.shelf.found(call, name)
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
        rows, token = self.shelf.page(call, req)
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
        if not self.shelf.remove(call, name):
            raise missing(call, name)
        return {}

    def _checked(self, call: Call, req: Params) -> list[Resource]:
        """The models behind it."""
        variants = req["ProductionVariants"]
        names = [variant["VariantName"] for variant in variants]
        if len(set(names)) != len(names):
            raise ServiceError("ValidationException", "Variant names must be unique.")
        if (req.get("DataCaptureConfig") or {}).get("EnableCapture"):
            raise unsupported(call.operation, "DataCaptureConfig.EnableCapture")
        served = [self._model_of(call, variant) for variant in variants]
        check_weights([variant.get("InitialVariantWeight", 1.0) for variant in variants])
        return served

    def _model_of(self, call: Call, variant: Params) -> Resource:
        for key in ("ModelName", "InstanceType", "InitialInstanceCount"):
            if not variant.get(key):
                raise ServiceError("ValidationException", f"{key} must be specified.")
        check_count(variant["InitialInstanceCount"])
        routing = (variant.get("RoutingConfig") or {}).get("RoutingStrategy")
        if routing == "PREFIX_AWARE":
            raise unsupported(call.operation, "RoutingStrategy=PREFIX_AWARE")
        self.sizes(variant["InstanceType"])
        name = variant["ModelName"]
        found = self.models.find(call, name)
        if found is None:
            raise models.missing(call, name)
        return found


def check_count(count: int) -> None:
    if count < 1:
        raise ServiceError("ValidationException", "A variant has one instance at least.")
    if count > REPLICAS_MAX:
        raise ServiceError(
            "ResourceLimitExceeded",
            f"A variant has at most {REPLICAS_MAX} instances here; {count} were asked for.",
        )


def check_weights(weights: Sequence[float]) -> None:
    if not any(weight > 0 for weight in weights):
        raise ServiceError("ValidationException", "One weight at least must be above 0.")


def missing(call: Call, name: str) -> ServiceError:
    resource = f"endpoint-config/{name.lower()}"
    arn = arns.regional(call.region, "sagemaker", call.account, resource)
    return ServiceError("ValidationException", f'Could not find endpoint configuration "{arn}".')
