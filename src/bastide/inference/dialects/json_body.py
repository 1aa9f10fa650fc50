"""A body that came from outside, as strict JSON, and as what a family's schema makes of it."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from bastide.kernel.errors import ServiceError, invalid
from bastide.kernel.plain_json import HALF_OF_SURROGATE, check_depth, finite

T = TypeVar("T")
DEPTH_MAX = 100


class Rule(StrEnum):
    """What a body may break."""

    REQUIRED = "required"
    EXTRA = "extra"
    KIND = "kind"
    BOUND = "bound"
    LENGTH = "length"
    VALUE = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Where a body breaks which rule. `said` is the field, the type, or the bound that was."""

    path: tuple[str | int, ...]
    rule: Rule
    said: str
    found: Any = None


Speaker = Callable[[Fault], ServiceError]
NAME_MAX = 100  # of what a caller wrote, in what is said of it
# msgspec's words, which are tested, so a release that changes them does not go unseen.
_PLACE = re.compile(r" - at `\$(?P<path>[^`]*)`\Z")
_STEP = re.compile(r"\.(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]")
_WORDS = (
    (Rule.REQUIRED, re.compile(r"Object missing required field `(.*)`")),
    (Rule.EXTRA, re.compile(r"(?s)Object contains unknown field `(.*)`")),
    (Rule.KIND, re.compile(r"Expected `([^`]*)`, got .*")),
    (Rule.LENGTH, re.compile(r"Expected `(?:str|array|object)` of length (.*)")),
    (Rule.BOUND, re.compile(r"Expected `(?:int|float)` (.*)")),
    (Rule.VALUE, re.compile(r"(?s)(.*)")),
)
_TYPES = {
    "str": "String", "int": "Integer", "float": "Number", "bool": "Boolean", "array": "JSONArray",
    "object": "JSONObject", "null": "Null",
}  # fmt: skip
_COMPARED = {"<=": "less or equal to", ">=": "greater or equal to"}


def malformed(what: str = "") -> ServiceError:
    """AWS's words for a body that does not fit the model."""
    said = f"Malformed input request: {what}" if what else "Malformed input request"
    return invalid(f"{said}, please reformat your input and try again.")


def parsed(body: bytes) -> Any:
    """The JSON document in `body`. What RFC 8259 leaves open is not taken: NaN, a name twice in an
    object, halves of surrogates, numbers beyond a double, depths that break who reads on."""
    try:
        text = body.decode()
        document = _decode(text)
        if HALF_OF_SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode()
        if text.count("[") + text.count("{") > DEPTH_MAX:
            check_depth(document, DEPTH_MAX)
    except (ValueError, RecursionError) as error:
        raise malformed() from error
    return document


def _whole(text: str) -> int:
    value = int(text)  # of at most so many digits, or ValueError
    if abs(value) >= 2**63:
        raise ValueError("out of range")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name twice")
    return found


_decode = json.JSONDecoder(
    parse_float=finite, parse_int=_whole, parse_constant=finite, object_pairs_hook=_once
).decode


def shaped(document: Any, kind: type[T], speaker: Speaker | None = None) -> T:
    """The document as a family's Struct. Raises what `speaker` says of the first fault."""
    try:
        return msgspec.convert(document, kind)
    except msgspec.ValidationError as error:
        raise (speaker or by_schema)(fault_of(str(error), document)) from error


def fault_of(words: str, document: Any) -> Fault:
    place = _PLACE.search(words)
    path = _path(place["path"]) if place else ()
    words = words[: place.start()] if place else words
    for rule, pattern in _WORDS:
        if found := pattern.fullmatch(words):
            said = found[1][:NAME_MAX]
            return Fault(path=path, rule=rule, said=said, found=_at(document, path))
    raise AssertionError("the last pattern matches all")


def _path(text: str) -> tuple[str | int, ...]:
    return tuple(
        int(step["index"]) if step["index"] else step["name"] for step in _STEP.finditer(text)
    )


def _at(document: Any, path: tuple[str | int, ...]) -> Any:
    for step in path:
        try:
            document = document[step]
        except (KeyError, IndexError, TypeError):
            return None
    return document


def by_schema(fault: Fault) -> ServiceError:
    """As AWS's own schema checks say it: `#/messages/0: required key [role] not found`."""
    where = "#" + "".join(f"/{step}" for step in fault.path)
    return malformed(f"{where}: {_SAID[fault.rule](fault)}")


def _bound_said(fault: Fault) -> str:
    sign, _, limit = fault.said.partition(" ")
    limit = limit.removesuffix(".0")
    return f"{fault.found} is not {_COMPARED.get(sign, sign)} {limit}"


def _kind_said(fault: Fault) -> str:
    wanted = " or ".join(_TYPES.get(name, name) for name in fault.said.split(" | "))
    return f"expected type: {wanted}, found: {_TYPES[kind_of(fault.found)]}"


def kind_of(value: Any) -> str:
    """The JSON type of a value, in msgspec's words."""
    if value is None:
        return "null"
    return {bool: "bool", int: "int", float: "float", str: "str", list: "array"}.get(
        type(value), "object"
    )


_SAID: dict[Rule, Callable[[Fault], str]] = {
    Rule.REQUIRED: lambda fault: f"required key [{fault.said}] not found",
    Rule.EXTRA: lambda fault: f"extraneous key [{fault.said}] is not permitted",
    Rule.KIND: _kind_said,
    Rule.BOUND: _bound_said,
    Rule.LENGTH: lambda fault: f"expected length {fault.said}, found: {len(fault.found)}",
    Rule.VALUE: lambda fault: "the value is not a valid enum value",
}
