"""A JSON schema as what an engine's grammar can hold, and the check of what came of it.

Engines drop what they do not know of a schema without a word, and fail on the rest. So the grammar
is asked for our own form of it: references resolved, one type at a time, never wider than what was
said. What no grammar holds is refused with its place; what a grammar merely cannot count (distinct
items, multiples) is checked when the value is there.
Source: https://json-schema.org/draft/2020-12/json-schema-validation
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from bastide.inference.patterns import BadPattern, found_in, grammatical
from bastide.kernel.errors import invalid

Json = Mapping[str, Any]
SCHEMA_BYTES_MAX = 64 << 10
NODES_MAX = 2000  # once every reference is written out
DEPTH_MAX = 32
COUNT_MAX = 1000  # of characters, items or values that a schema may demand
TYPES = ("object", "array", "string", "number", "integer", "boolean", "null")
_OF_TYPE = {
    "object": ("properties", "required", "additionalProperties"),
    "array": ("items", "prefixItems", "minItems", "maxItems"),
    "string": ("pattern", "format", "minLength", "maxLength"),
    "integer": ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"),
}
_HELD = {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"}.union(*_OF_TYPE.values())
_REFUSED = (
    "not", "if", "then", "else", "dependentSchemas", "dependentRequired", "dependencies",
    "unevaluatedProperties", "unevaluatedItems", "contains", "propertyNames", "patternProperties",
    "$dynamicRef", "$recursiveRef",
)  # fmt: skip
_FORMATS = ("date", "time", "date-time", "uuid")
_BOUNDS = (("minLength", "maxLength"), ("minItems", "maxItems"), ("minimum", "maximum"))


class _Unheld(Exception):
    """What no grammar can hold, with its place."""

    def __init__(self, why: str, at: str = "") -> None:
        super().__init__(why)
        self.why, self.at = why, at


@dataclass(frozen=True, slots=True)
class Schema:
    """`said` by the caller; `held` by the engine's grammar."""

    said: Json
    held: Json

    def accepts(self, value: Any) -> bool:
        return _accepts(self.said, value)


def schema_of(said: Any, where: str) -> Schema:
    """Raises ServiceError, naming the place."""
    if not isinstance(said, dict):
        raise invalid(f"The value at {where} must be a JSON schema: an object.")
    try:
        size = len(json.dumps(said))
        if size > SCHEMA_BYTES_MAX:
            raise _Unheld(f"it has {size} bytes, and {SCHEMA_BYTES_MAX} are the most")
        return Schema(said, _Writer(said).held(said))
    except RecursionError:
        raise invalid(f"The JSON schema at {where} is nested too deeply.") from None
    except _Unheld as error:
        place = f"{where}{error.at}"
        raise invalid(
            f"The JSON schema at {place} cannot be held by the model's grammar: {error.why}."
        ) from None


@dataclass(slots=True)
class _Writer:
    """Writes one schema anew."""

    root: Json
    nodes: int = 0
    path: list[str] = field(default_factory=list)

    def held(self, node: Any, seen: tuple[str, ...] = ()) -> dict[str, Any]:
        self._count(1)
        if len(self.path) > DEPTH_MAX:
            raise self._unheld(f"it is more than {DEPTH_MAX} levels deep")
        if node is True:
            return {}
        if not isinstance(node, dict):
            raise self._unheld("nothing fits it" if node is False else "it is no object")
        node, seen = self._resolved(node, seen)
        self._refuse_unheld(node)
        if "enum" in node or "const" in node:
            return {"enum": self._values(node)}
        for name in ("anyOf", "oneOf"):
            if name in node:
                return self._any_of(node, name, seen)
        return self._typed(node, seen)

    def _resolved(
        self, node: Json, seen: tuple[str, ...]
    ) -> tuple[dict[str, Any], tuple[str, ...]]:
        """References and `allOf` written into the node itself."""
        found = dict(node)
        while "$ref" in found or "allOf" in found:
            if (name := found.pop("$ref", None)) is not None:
                if name in seen:
                    raise self._unheld(f"the reference {name} leads to itself")
                seen = (*seen, name)
                found = self._joined(self._target(name), found)
            for part in self._list(found.pop("allOf", []), "allOf"):
                found = self._joined(part, found)
        return found, seen

    def _target(self, name: Any) -> Json:
        if not isinstance(name, str) or not name.startswith("#/"):
            whole = "leads to itself" if name == "#" else "does not lead into the same document"
            raise self._unheld(f"the reference {str(name)[:80]} {whole}")
        found: Any = self.root
        for step in name[2:].split("/"):
            step = step.replace("~1", "/").replace("~0", "~")
            found = found.get(step) if isinstance(found, dict) else None
        if not isinstance(found, dict):
            raise self._unheld(f"the reference {name[:80]} leads nowhere")
        return found

    def _joined(self, one: Any, other: Json) -> dict[str, Any]:
        """Both at once."""
        if not isinstance(one, dict):
            raise self._unheld("it is no object")
        found = {**one, **other}
        for name in one.keys() & other.keys():
            if one[name] == other[name] or name not in _HELD:
                continue
            if name == "properties":
                found[name] = self._joined_properties(one[name], other[name])
            elif name == "required":
                found[name] = [*self._list(one[name], name), *self._list(other[name], name)]
            elif name in ("allOf", "anyOf", "oneOf", "$ref"):
                raise self._unheld(f"it joins two of {name}")
            else:
                raise self._unheld(f"it says {name} twice, and not the same")
        return found

    def _joined_properties(self, one: Any, other: Any) -> dict[str, Any]:
        if not isinstance(one, dict) or not isinstance(other, dict):
            raise self._unheld("properties is no object")
        if any(one[name] != other[name] for name in one.keys() & other.keys()):
            raise self._unheld("it says a property twice, and not the same")
        return {**one, **other}

    def _refuse_unheld(self, node: Json) -> None:
        for name in _REFUSED:
            if name in node:
                raise self._unheld(f"it uses {name}")
        if "$id" in node and self.path:
            raise self._unheld("it uses $id below its root")
        for name in ("minProperties", "maxProperties"):
            self._number(node, name)
        if (self._number(node, "multipleOf") or 1) <= 0 or node.get("multipleOf") == 0:
            raise self._unheld("multipleOf is not positive")
        for low, high in _BOUNDS:
            least, most = self._number(node, low), self._number(node, high)
            if least is not None and most is not None and least > most:
                raise self._unheld(f"nothing fits it: {low} is above {high}")
            if low != "minimum" and least is not None and least > COUNT_MAX:
                raise self._unheld(f"{low} is above {COUNT_MAX}")

    def _values(self, node: Json) -> list[Any]:
        values = [node["const"]] if "const" in node else self._list(node["enum"], "enum")
        if len(values) > COUNT_MAX:
            raise self._unheld(f"enum has more than {COUNT_MAX} values")
        self._count(len(values))  # each reference writes them anew
        kinds = {"type": self._kinds(node)} if "type" in node else {}
        found: list[Any] = []
        for value in values:
            if _accepts(kinds, value) and not any(_same(value, other) for other in found):
                found.append(value)
        if not found:
            raise self._unheld("nothing fits it: it has no value")
        return found

    def _any_of(self, node: Json, name: str, seen: tuple[str, ...]) -> dict[str, Any]:
        rest = {key: value for key, value in node.items() if key != name}
        branches = self._list(node[name], name)
        if not branches:
            raise self._unheld(f"{name} has no branch")
        found = []
        for number, branch in enumerate(branches):
            with self._at(f"{name}.{number}"):
                resolved, above = self._resolved(branch, seen) if branch is not True else ({}, seen)
                found.append(self.held(self._joined(resolved, rest), above))
        return found[0] if len(found) == 1 else {"anyOf": found}

    def _typed(self, node: Json, seen: tuple[str, ...]) -> dict[str, Any]:
        kinds = self._kinds(node)
        if not kinds:
            return {}
        found = [self._one(kind, node, seen) for kind in dict.fromkeys(kinds)]
        return found[0] if len(found) == 1 else {"anyOf": found}

    def _kinds(self, node: Json) -> list[str]:
        """Its types; where it names none, the one that its other words are about."""
        if "type" in node:
            kinds = node["type"]
            kinds = [kinds] if isinstance(kinds, str) else self._list(kinds, "type")
            if not kinds or any(kind not in TYPES for kind in kinds):
                raise self._unheld(f"its type is none of {', '.join(TYPES)}")
            return kinds
        return [kind for kind, names in _OF_TYPE.items() if any(name in node for name in names)][:1]

    def _one(self, kind: str, node: Json, seen: tuple[str, ...]) -> dict[str, Any]:
        match kind:
            case "object":
                return self._object(node, seen)
            case "array":
                return self._array(node, seen)
            case "string":
                return self._string(node)
            case "integer":
                names = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
                found = {name: self._number(node, name) for name in names}
                return {"type": kind, **_whole(found)}
        return {"type": kind}

    def _object(self, node: Json, seen: tuple[str, ...]) -> dict[str, Any]:
        properties = node.get("properties", {})
        if not isinstance(properties, dict):
            raise self._unheld("properties is no object")
        required = list(dict.fromkeys(self._list(node.get("required", []), "required")))
        unsaid = "properties" not in node and "patternProperties" not in node
        more = node.get("additionalProperties", unsaid)  # an empty list of them is said: none
        found = {}
        for name, below in properties.items():
            with self._at(f"properties.{name}"):
                found[name] = self.held(below, seen)
        for name in required:
            if not isinstance(name, str) or (name not in found and more is False and properties):
                raise self._unheld("nothing fits it: it requires a property that it does not know")
            found.setdefault(name, {})
        with self._at("additionalProperties"):
            extra = more if isinstance(more, bool) else self.held(more, seen)
        held: dict[str, Any] = {"type": "object", "properties": found, "required": required}
        return {**held, "additionalProperties": extra}

    def _array(self, node: Json, seen: tuple[str, ...]) -> dict[str, Any]:
        held: dict[str, Any] = {"type": "array"}
        items = node.get("items", {})
        first = items if isinstance(items, list) else node.get("prefixItems", [])
        if first:
            held["prefixItems"] = []
            for number, below in enumerate(self._list(first, "prefixItems")):
                with self._at(f"prefixItems.{number}"):
                    held["prefixItems"].append(self.held(below, seen))
            held["minItems"] = held["maxItems"] = len(first)
            return held
        with self._at("items"):
            held["items"] = {"maxItems": 0} if items is False else self.held(items, seen)
        for name in ("minItems", "maxItems"):
            if (count := self._number(node, name)) is not None:
                held[name] = min(int(count), COUNT_MAX)
        return held

    def _string(self, node: Json) -> dict[str, Any]:
        if "pattern" in node:
            try:
                return {"type": "string", "pattern": grammatical(node["pattern"])}
            except BadPattern as error:
                raise self._unheld(f"its pattern {error}") from None
        held: dict[str, Any] = {"type": "string"}
        if node.get("format") in _FORMATS:
            return {**held, "format": node["format"]}
        for name in ("minLength", "maxLength"):
            if (count := self._number(node, name)) is not None:
                held[name] = min(int(count), COUNT_MAX)
        return held

    def _count(self, parts: int) -> None:
        self.nodes += parts
        if self.nodes > NODES_MAX:
            raise self._unheld(f"written out it has more than {NODES_MAX} parts")

    def _list(self, value: Any, name: str) -> list[Any]:
        if not isinstance(value, list):
            raise self._unheld(f"{name} is no list")
        return value

    def _number(self, node: Json, name: str) -> float | None:
        value = node.get(name)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._unheld(f"{name} is no number")
        return value

    def _at(self, step: str) -> "_Step":
        return _Step(self.path, step)

    def _unheld(self, why: str) -> _Unheld:
        return _Unheld(why, "".join(f".{step}" for step in self.path[:DEPTH_MAX]))


@dataclass(frozen=True, slots=True)
class _Step:
    """Down to a part of the schema. An error leaves the path as it was, to be told."""

    path: list[str]
    step: str

    def __enter__(self) -> None:
        self.path.append(self.step)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            self.path.pop()


def _whole(found: Mapping[str, float | None]) -> dict[str, int]:
    """Bounds of whole numbers, both of them included."""
    held: dict[str, int] = {}
    for name, value in found.items():
        if value is None:
            continue
        low = name.endswith("inimum")
        bound = -int(-value // 1) if low else int(value // 1)  # up, or down
        if name.startswith("exclusive") and bound == value:
            bound += 1 if low else -1
        plain = "minimum" if low else "maximum"
        held[plain] = (max if low else min)(bound, held.get(plain, bound))
    return held


def fault_of(schema: Json, value: Any) -> str:
    """What is wrong with a value, as told to whoever made it; "" if nothing is."""
    from referencing.exceptions import Unresolvable

    try:
        for error in _validator_of(schema).iter_errors(value):
            where = "/".join(str(step) for step in error.absolute_path) or "the arguments"
            return f"{where}: {error.message[:200]}"
    except Unresolvable:
        return "the schema refers to what is not in it"
    return ""


def _same(one: Any, other: Any) -> bool:
    return type(one) is type(other) and bool(one == other)


def _validator_of(schema: Json) -> Any:
    """By the draft of 2020. Nothing is fetched: what a reference leads to must be in the schema."""
    from referencing import Registry

    return _validator()(dict(schema), registry=Registry())


def _accepts(schema: Json, value: Any) -> bool:
    from referencing.exceptions import Unresolvable

    try:
        return bool(_validator_of(schema).is_valid(value))
    except Unresolvable:  # beside a constant, where no grammar needed it
        return False


@cache
def _validator() -> Any:
    """Imported late, as a region starts without it. Patterns run in linear time: they are the
    caller's."""
    from jsonschema.exceptions import ValidationError
    from jsonschema.validators import Draft202012Validator, extend

    def pattern(_validator: Any, pattern: str, value: Any, _schema: Any) -> Any:
        if isinstance(value, str) and not found_in(pattern, value):
            yield ValidationError("it does not match")

    return extend(Draft202012Validator, {"pattern": pattern})
