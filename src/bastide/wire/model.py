"""botocore's service models, loaded on first use: the contract of everything in this folder.

The models are data; parsers and serialisers are compiled from them once for each operation.
Source: the Smithy models as botocore ships them, pinned exactly in requirements/core.in.
"""

import gzip
import re
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
from botocore.loaders import JSONFileLoader, Loader
from botocore.model import OperationModel, ServiceModel

from bastide.kernel.regions import Region
from bastide.wire import mantle

Shape: TypeAlias = Any  # a botocore.model.Shape: its members depend on its type_name

SERVICES = (
    "sagemaker",
    "sagemaker-runtime",
    "sagemaker-metrics",
    "bedrock",
    "bedrock-runtime",
    "bedrock-agent",
    "bedrock-agent-runtime",
    "bedrock-agentcore",
    "bedrock-agentcore-control",
    "s3",
    "sts",
    "iam",
    "logs",
    "cloudwatch",
    "cloudtrail",
    "kms",
    "lambda",
)
EVERY = (*SERVICES, mantle.NAME)  # with what is described here, as botocore has no model of it


class Operation:
    """One operation of one service: what its model says of it."""

    def __init__(self, service: "Service", model: OperationModel) -> None:
        self.service = service
        self.model = model
        self.name: str = model.name
        self.full_name = f"{service.name}.{model.name}"
        self.method: str = model.http.get("method", "POST")
        first = model.http.get("requestUri", "/")
        self.uris: tuple[str, ...] = (first, *model.http.get("alsoAt", ()))
        self.protocol: str = model.http.get("dialect", service.protocol)
        self.status: int = int(model.http.get("responseCode", 200))

    @cached_property
    def input(self) -> Shape | None:
        return self.model.input_shape

    @cached_property
    def output(self) -> Shape | None:
        return self.model.output_shape

    @cached_property
    def payload_in(self) -> str | None:
        """The input member that is the whole body."""
        return self.input.serialization.get("payload") if self.input else None

    @cached_property
    def payload_out(self) -> str | None:
        return self.output.serialization.get("payload") if self.output else None

    @cached_property
    def streams_in(self) -> str | None:
        """The input blob that is read as it arrives, e.g. PutObject's Body."""
        if self.input is None or self.payload_in is None:
            return None
        member = self.input.members[self.payload_in]
        if member.type_name == "blob" and member.serialization.get("streaming"):
            return self.payload_in
        return None

    @cached_property
    def events_out(self) -> str | None:
        """The output member that is an event stream."""
        if self.output is None:
            return None
        for name, member in self.output.members.items():
            if member.serialization.get("eventstream"):
                return str(name)
        return None

    @cached_property
    def errors(self) -> Mapping[str, Shape]:
        """The error shapes that the operation declares, by shape name and by code."""
        return _by_code(self.model.error_shapes)

    def error(self, code: str) -> Shape | None:
        """The shape of an error: the operation's own, else one of its service's."""
        return self.errors.get(code) or self.service.errors.get(code)


def _by_code(shapes: Iterable[Shape]) -> Mapping[str, Shape]:
    """Error shapes by name and by `error.code`, which is what goes over the wire in places."""
    found = list(shapes)
    return {shape.error_code: shape for shape in found} | {shape.name: shape for shape in found}


class Service:
    """One service's model."""

    def __init__(self, name: str, data: dict[str, Any]) -> None:
        self.name = name
        self.model = ServiceModel(data, service_name=name)
        metadata = data["metadata"]
        self.signing_name: str = metadata.get("signingName") or metadata["endpointPrefix"]
        self.endpoint_prefix: str = metadata["endpointPrefix"]
        self.protocols: tuple[str, ...] = tuple(metadata.get("protocols") or [metadata["protocol"]])
        self.protocol: str = self.protocols[0]
        self.target_prefix: str = metadata.get("targetPrefix", "")
        self.json_version: str = metadata.get("jsonVersion", "1.0")
        self.api_version: str = metadata["apiVersion"]
        self.xml_namespace: str = metadata.get("xmlNamespace", "")
        self.query_compatible = "awsQueryCompatible" in metadata
        self.names: tuple[str, ...] = tuple(data["operations"])
        self._operations: dict[str, Operation] = {}

    def operation(self, name: str) -> Operation | None:
        """The operation of that name; None if the model has none."""
        found = self._operations.get(name)
        if found is None and name in self.model.operation_names:
            found = self._operations[name] = Operation(self, self.model.operation_model(name))
        return found

    @cached_property
    def errors(self) -> Mapping[str, Shape]:
        return _by_code(self.model.error_shapes)

    @cached_property
    def operations(self) -> Mapping[str, Operation]:
        return {name: found for name in self.names if (found := self.operation(name))}


class _ModelFiles(JSONFileLoader):
    """botocore's files, read by msgspec: a quarter of a second less at each start."""

    def load_file(self, file_path: str) -> Any:
        for name, opened in ((f"{file_path}.json", open), (f"{file_path}.json.gz", gzip.open)):
            if Path(name).is_file():
                with opened(name, "rb") as file:
                    return msgspec.json.decode(file.read())
        return None


class Catalogue:
    """The services that a region speaks."""

    def __init__(self) -> None:
        self._loader = Loader(file_loader=_ModelFiles())
        self._services: dict[str, Service] = {}

    def service(self, name: str) -> Service:
        found = self._services.get(name)
        if found is None:
            data = mantle.DESCRIPTION if name == mantle.NAME else self._of_botocore(name)
            found = self._services[name] = Service(name, data)
        return found

    def _of_botocore(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self._loader.load_service_model(name, "service-2")
        return found

    def operation(self, full_name: str) -> Operation | None:
        """The operation `"sagemaker.CreateTrainingJob"`."""
        service, _, name = full_name.partition(".")
        return self.service(service).operation(name)


def region(name: str) -> Region:
    """The region of that name in botocore's partitions. ValueError for one in none of them."""
    data = Loader().load_data("partitions")
    for partition in data["partitions"]:
        known = name in partition["regions"] or re.match(partition["regionRegex"], name)
        if known:
            return Region(name, partition["id"], partition["outputs"]["dnsSuffix"])
    raise ValueError(f"{name} is a region of none of AWS's partitions")
