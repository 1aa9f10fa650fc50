"""Models.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_CreateModel.html
"""

import re
from dataclasses import dataclass
from typing import Any

from bastide.db.derivations import Thing
from bastide.kernel import arns
from bastide.kernel.arns import s3
from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import operation
from bastide.serving.ports import Environments, ObjectLabels, Roles
from bastide.serving.shelf import Shelf

Params = dict[str, Any]
SERVICE = "sagemaker.amazonaws.com"
_ARTIFACT = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+", re.DOTALL)
_CONTAINER = ("Image", "ModelDataUrl", "Environment", "Mode")
_ALONE = "it names a container among several, and a model has one here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    shelf: Shelf
    roles: Roles
    environments: Environments
    objects: ObjectLabels

    @operation(
        "ModelName", "ExecutionRoleArn", "Tags", "EnableNetworkIsolation",
        *(f"PrimaryContainer.{name}" for name in _CONTAINER),
        *(f"Containers.{name}" for name in _CONTAINER),
        accepted={
            "PrimaryContainer.ContainerHostname": _ALONE, "Containers.ContainerHostname": _ALONE,
        },
    )  # fmt: skip
    def create_model(self, call: Call, req: Params) -> Params:
        container = _container(call, req)
        self.environments.for_image(container["Image"])
        if not req.get("ExecutionRoleArn"):
            raise ServiceError("ValidationException", "ExecutionRoleArn must be specified.")
        name = req["ModelName"]
        arn = self.shelf.arn(call, name)
        self.roles.check_pass(call, req["ExecutionRoleArn"], SERVICE, arn)
        new = self.shelf.add(call, name, req, self._sources(call, req, container))
        if new is None:
            raise ServiceError(
                "ValidationException", f'Cannot create already existing model "{arn}".'
            )
        return {"ModelArn": new.arn}

    @operation("ModelName")
    def describe_model(self, call: Call, req: Params) -> Params:
        found = self.shelf.found(call, req["ModelName"])
        if found is None:
            raise missing(call, req["ModelName"])
        return {
            "EnableNetworkIsolation": False,
            **found.request,
            "ModelArn": found.arn,
            "CreationTime": moment(found.created_ms),
        }

    @operation(
        "SortBy", "SortOrder", "NextToken", "MaxResults", "NameContains", "CreationTimeBefore",
        "CreationTimeAfter",
    )  # fmt: skip
    def list_models(self, call: Call, req: Params) -> Params:
        rows, token = self.shelf.page(call, req)
        answer: Params = {
            "Models": [
                {
                    "ModelName": row.name,
                    "ModelArn": row.arn,
                    "CreationTime": moment(row.created_ms),
                }
                for row in rows
            ]
        }
        return answer | ({"NextToken": token} if token else {})

    @operation("ModelName")
    def delete_model(self, call: Call, req: Params) -> Params:
        name = req["ModelName"]
        if not self.shelf.remove(call, name):
            raise missing(call, name)
        return {}

    def _sources(self, call: Call, req: Params, container: Params) -> list[Thing]:
        """Its artifact, with the label as the role sees it: never above the model's own, as the
        role works at that, and cleared for it or refused here."""
        role, label = req["ExecutionRoleArn"], self.shelf.label_of_new(call, req)
        principal = self.roles.assume_for_service(call.account, role, SERVICE, label)
        url = container.get("ModelDataUrl")
        if not url:
            return []
        arn = s3(call.region, *url.removeprefix("s3://").split("/", 1))
        found = self.objects.label(principal, arn, None)
        return [Thing(arn, found.text if found else "")]


def container_of(request: Any) -> Params:
    """The one container of a model."""
    found: Params = request.get("PrimaryContainer") or request["Containers"][0]
    return found


def _container(call: Call, req: Params) -> Params:
    """Checked: exactly one, with an image, in single-model mode."""
    given = ([req["PrimaryContainer"]] if req.get("PrimaryContainer") else []) + list(
        req.get("Containers") or []
    )
    if not given or (req.get("PrimaryContainer") and req.get("Containers")):
        raise ServiceError(
            "ValidationException", "Exactly one of PrimaryContainer and Containers is needed."
        )
    if len(given) > 1:
        raise unsupported(call.operation, "More than one of Containers")
    container: Params = given[0]
    if container.get("Mode", "SingleModel") != "SingleModel":
        raise unsupported(call.operation, f"Mode={container['Mode']}")
    if not container.get("Image"):
        raise ServiceError("ValidationException", "Image must be specified.")
    url = container.get("ModelDataUrl")
    if url and not _ARTIFACT.fullmatch(url):
        raise ServiceError("ValidationException", "ModelDataUrl must be an s3:// URI.")
    return container


def missing(call: Call, name: str) -> ServiceError:
    arn = arns.regional(call.region, "sagemaker", call.account, f"model/{name.lower()}")
    return ServiceError("ValidationException", f'Could not find model "{arn}".')
