"""The constraints of the service models: required, lengths, ranges, patterns, enums, unions.

Compiled once for each shape. Violations are gathered and told as AWS tells them:
`1 validation error detected: Value '' at 'name' failed to satisfy constraint: Member must …`.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from bastide.kernel.errors import ServiceError
from bastide.wire.constraints import At, Check, Violation, scalar_check, size_check
from bastide.wire.model import Operation, Shape

ERRORS_MAX = 20
# Services whose enums and patterns are left alone, each with its reason.
FREE = {
    "s3": "S3 answers wrong values with codes of its own, which its handlers give",
}
# What a service calls a request that breaks its model, where it is not ValidationException.
CODES = {
    "cloudwatch": "InvalidParameterValue",
    "iam": "ValidationError",
    "logs": "InvalidParameterException",
    "s3": "InvalidArgument",
    "sagemaker-runtime": "ValidationError",
    "sts": "ValidationError",
}
MISSING = "Member must not be null"
ONE_MEMBER = "Member must have exactly one member set"


class Validators:
    """`validate(operation, params)` raises ServiceError for parameters that break the model."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], Check | None] = {}
        self._whole: dict[str, Check | None] = {}

    def validate(self, operation: Operation, params: Mapping[str, Any]) -> None:
        name = operation.full_name
        if name not in self._whole:
            self._whole[name] = self._of(operation, operation.input) if operation.input else None
        check = self._whole[name]
        if check is None:
            return
        found: list[Violation] = []
        try:
            check(params, (), found)
        except RecursionError as error:
            message = "The request is nested too deeply."
            raise ServiceError("SerializationException", message, status=400) from error
        if found:
            raise _refused(operation, found)

    def _of(self, operation: Operation, shape: Shape) -> Check | None:
        key = (operation.service.name, shape.name, shape.type_name)
        if key not in self._known:
            self._known[key] = _later(self._known, key)  # for a shape that is inside itself
            self._known[key] = self._compile(operation, shape)
        return self._known[key]

    def _compile(self, operation: Operation, shape: Shape) -> Check | None:
        kind = shape.type_name
        if kind == "structure":
            return None if shape.is_document_type else self._structure(operation, shape)
        if kind == "list":
            return _list_check(size_check(shape), self._of(operation, shape.member))
        if kind == "map":
            key, value = self._of(operation, shape.key), self._of(operation, shape.value)
            return _map_check(size_check(shape), key, value)
        return scalar_check(shape, free=operation.service.name in FREE)

    def _structure(self, operation: Operation, shape: Shape) -> Check | None:
        streams = operation.streams_in if shape is operation.input else None
        required = tuple(name for name in shape.required_members if name != streams)
        inner = {
            name: found
            for name, member in shape.members.items()
            if (found := self._of(operation, member)) is not None
        }
        is_union = shape.is_tagged_union
        if not required and not inner and not is_union:
            return None

        def check(value: Any, at: At, found: list[Violation]) -> None:
            for name in required:
                if name not in value:
                    found.append(Violation((at, name), None, MISSING))
            if is_union and len(value) != 1:
                found.append(Violation(at, sorted(value), ONE_MEMBER))
            for name, item in value.items():
                member = inner.get(name)
                if member is not None:
                    member(item, (at, name), found)

        return check


def _later(known: Mapping[tuple[str, str, str], Check | None], key: tuple[str, str, str]) -> Check:
    """Stands for a recursive shape's check until that is compiled."""

    def check(value: Any, at: At, found: list[Violation]) -> None:
        compiled = known[key]
        if compiled is not None and compiled is not check:
            compiled(value, at, found)

    return check


def _list_check(size: Check | None, item: Check | None) -> Check | None:
    if item is None:
        return size

    def check(value: Any, at: At, found: list[Violation]) -> None:
        if size is not None:
            size(value, at, found)
        for number, inner in enumerate(value, 1):
            if len(found) > ERRORS_MAX:
                return
            item(inner, (at, number), found)

    return check


def _map_check(size: Check | None, key: Check | None, item: Check | None) -> Check | None:
    if key is None and item is None:
        return size

    def check(value: Any, at: At, found: list[Violation]) -> None:
        if size is not None:
            size(value, at, found)
        for name, inner in value.items():
            if len(found) > ERRORS_MAX:
                return
            if key is not None:
                key(name, at, found)
            if item is not None:
                item(inner, (at, (name,)), found)

    return check


def _refused(operation: Operation, found: Sequence[Violation]) -> ServiceError:
    service = operation.service.name
    if service == "s3":
        body = [violation for violation in found if _is_in_body(operation, violation)]
        if body:
            return _malformed_body(body[0])
    missing = next((violation for violation in found if violation.is_missing), None)
    if service == "cloudwatch" and missing is not None:
        told = f"The parameter {missing.members[-1]} is required."
        return ServiceError("MissingParameter", told, status=400)
    shown = found[:ERRORS_MAX]
    plural = "" if len(shown) == 1 else "s"
    told = f"{len(shown)} validation error{plural} detected: {'; '.join(map(str, shown))}"
    return ServiceError(CODES.get(service, "ValidationException"), told, status=400)


def _is_in_body(operation: Operation, violation: Violation) -> bool:
    return operation.payload_in is not None and violation.members[:1] == (operation.payload_in,)


def _malformed_body(violation: Violation) -> ServiceError:
    """S3's answer to a body that is not there, or not what it must be."""
    if violation.is_missing and len(violation.members) == 1:
        return ServiceError("MissingRequestBodyError", "Request Body is empty", status=400)
    message = (
        "The XML you provided was not well-formed or did not validate against our published schema"
    )
    return ServiceError("MalformedXML", message, status=400)
