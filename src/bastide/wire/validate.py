"""The constraints of the service models: required, lengths, ranges, patterns, enums, unions.

Compiled once for each shape. Violations are gathered and told as AWS tells them:
`1 validation error detected: Value '' at 'name' failed to satisfy constraint: Member must …`.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from bastide.kernel.errors import ServiceError
from bastide.wire.model import Operation, Shape

ERRORS_MAX = 20
SHOWN_MAX = 128
PATTERN_TEXT_MAX = 4096  # a longer value is not matched: a slow pattern must not hold a thread
Check = Callable[[Any, str, list[str]], None]
# Shapes whose enum or pattern contradicts what clients rightly send; each with its reason.
UNCHECKED = {
    "s3": "S3 answers wrong values with codes of its own, which its handlers give",
}


class Validators:
    """`validate(operation, params)` raises ServiceError for parameters that break the model."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str], Check | None] = {}
        self._whole: dict[str, Check | None] = {}

    def validate(self, operation: Operation, params: Mapping[str, Any]) -> None:
        name = operation.full_name
        if name not in self._whole:
            self._whole[name] = self._of(operation, operation.input) if operation.input else None
        check = self._whole[name]
        if check is None:
            return
        errors: list[str] = []
        check(params, "", errors)
        if errors:
            raise _refused(operation, errors)

    def _of(self, operation: Operation, shape: Shape) -> Check | None:
        key = (operation.service.name, f"{shape.name}:{shape.type_name}")
        if key not in self._known:
            self._known[key] = _Later(self._known, key)
            self._known[key] = self._compile(operation, shape)
        return self._known[key]

    def _compile(self, operation: Operation, shape: Shape) -> Check | None:
        kind = shape.type_name
        if kind == "structure":
            return None if shape.is_document_type else self._structure(operation, shape)
        if kind == "list":
            return _list_check(shape, self._of(operation, shape.member))
        if kind == "map":
            return _map_check(
                shape, self._of(operation, shape.key), self._of(operation, shape.value)
            )
        return _scalar_check(shape, constrained=operation.service.name not in UNCHECKED)

    def _structure(self, operation: Operation, shape: Shape) -> Check | None:
        streams = operation.streams_in if shape is operation.input else None
        required = [name for name in shape.required_members if name != streams]
        inner = {
            name: found
            for name, member in shape.members.items()
            if (found := self._of(operation, member)) is not None
        }
        is_union = shape.is_tagged_union
        if not required and not inner and not is_union:
            return None

        def check(value: Any, at: str, errors: list[str]) -> None:
            for name in required:
                if name not in value:
                    errors.append(_told(None, _join(at, name), "Member must not be null"))
            if is_union and len(value) != 1:
                errors.append(_told(sorted(value), at, "Member must have exactly one member set"))
            for name, item in value.items():
                found = inner.get(name)
                if found is not None:
                    found(item, _join(at, name), errors)

        return check


class _Later:
    """Stands for a recursive shape's check until that is compiled."""

    def __init__(self, known: dict[tuple[str, str], Check | None], key: tuple[str, str]) -> None:
        self._known, self._key = known, key

    def __call__(self, value: Any, at: str, errors: list[str]) -> None:
        found = self._known[self._key]
        if found is not None and found is not self:
            found(value, at, errors)


def _join(at: str, name: str) -> str:
    name = name[0].lower() + name[1:]
    return f"{at}.{name}" if at else name


def _told(value: Any, at: str, constraint: str) -> str:
    shown = "null" if value is None else f"'{str(value)[:SHOWN_MAX]}'"
    return f"Value {shown} at '{at}' failed to satisfy constraint: {constraint}"


def _refused(operation: Operation, errors: Sequence[str]) -> ServiceError:
    plural = "" if len(errors) == 1 else "s"
    message = f"{len(errors)} validation error{plural} detected: {'; '.join(errors[:ERRORS_MAX])}"
    if operation.service.name == "s3":
        return ServiceError("InvalidArgument", message, status=400)
    if operation.service.protocols == ("query",):
        return ServiceError("ValidationError", message, status=400)
    return ServiceError("ValidationException", message, status=400)


def _list_check(shape: Shape, item: Check | None) -> Check | None:
    size = _size_check(shape)
    if item is None and size is None:
        return None

    def check(value: Any, at: str, errors: list[str]) -> None:
        if size is not None:
            size(value, at, errors)
        if item is not None:
            for number, inner in enumerate(value, 1):
                if len(errors) > ERRORS_MAX:
                    return
                item(inner, f"{at}.{number}.member", errors)

    return check


def _map_check(shape: Shape, key: Check | None, value_check: Check | None) -> Check | None:
    size = _size_check(shape)
    if size is None and key is None and value_check is None:
        return None

    def check(value: Any, at: str, errors: list[str]) -> None:
        if size is not None:
            size(value, at, errors)
        for name, inner in value.items():
            if len(errors) > ERRORS_MAX:
                return
            if key is not None:
                key(name, at, errors)
            if value_check is not None:
                value_check(inner, f"{at}.{name[:SHOWN_MAX]}.member", errors)

    return check


def _size_check(shape: Shape) -> Check | None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is None and most is None:
        return None

    def check(value: Any, at: str, errors: list[str]) -> None:
        size = len(value)
        if least is not None and size < least:
            errors.append(
                _told(value, at, f"Member must have length greater than or equal to {least}")
            )
        if most is not None and size > most:
            errors.append(_told(value, at, f"Member must have length less than or equal to {most}"))

    return check


def _range_check(shape: Shape) -> Check | None:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is None and most is None:
        return None

    def check(value: Any, at: str, errors: list[str]) -> None:
        if least is not None and value < least:
            errors.append(
                _told(value, at, f"Member must have value greater than or equal to {least}")
            )
        if most is not None and value > most:
            errors.append(_told(value, at, f"Member must have value less than or equal to {most}"))

    return check


def _scalar_check(shape: Shape, *, constrained: bool) -> Check | None:
    kind = shape.type_name
    if kind in ("integer", "long", "float", "double"):
        return _range_check(shape)
    if kind == "blob":
        return _size_check(shape)
    if kind != "string":
        return None
    checks = [_size_check(shape)]
    if constrained:
        checks += [_enum_check(shape), _pattern_check(shape)]
    found = [check for check in checks if check is not None]
    if len(found) == 1:
        return found[0]
    if not found:
        return None

    def check(value: Any, at: str, errors: list[str]) -> None:
        for one in found:
            one(value, at, errors)

    return check


def _enum_check(shape: Shape) -> Check | None:
    allowed = frozenset(getattr(shape, "enum", None) or ())
    if not allowed:
        return None
    listed = ", ".join(sorted(allowed))

    def check(value: Any, at: str, errors: list[str]) -> None:
        if value not in allowed:
            errors.append(_told(value, at, f"Member must satisfy enum value set: [{listed}]"))

    return check


def _pattern_check(shape: Shape) -> Check | None:
    text = shape.metadata.get("pattern")
    compiled = _compiled(text) if text else None
    return _matches(compiled, text) if compiled is not None else None


def _matches(compiled: re.Pattern[str], text: str) -> Check:
    def check(value: Any, at: str, errors: list[str]) -> None:
        if len(value) <= PATTERN_TEXT_MAX and compiled.fullmatch(value) is None:
            constraint = f"Member must satisfy regular expression pattern: {text}"
            errors.append(_told(value, at, constraint))

    return check


@cache
def _compiled(text: str) -> re.Pattern[str] | None:
    """A Smithy pattern (ECMA 262) as Python's; None for one that Python cannot read, or in which
    a repeat stands inside a repeat: such a one could run for ever."""
    if re.search(r"[+*}]\)[+*{]", text) or re.search(r"\\p\{|\(\?<|\\k<|\\x\{|\\u", text):
        return None
    try:
        return re.compile(text.replace(r"\/", "/"))
    except re.error:
        return None
