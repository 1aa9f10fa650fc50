"""The operations of an OpenAPI 3 document, each as a function with one JSON schema.

Source: https://spec.openapis.org/oas/v3.0.3 and
https://docs.aws.amazon.com/bedrock/latest/userguide/agents-api-schema.html
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from bastide.agents import plain_yaml

SIZE_MAX = 512 * 1024
DEPTH_MAX = 16  # of what refers to what
NODES_MAX = 20_000
VERBS = ("get", "put", "post", "delete", "patch", "head", "options")
BODY = "body"
T = TypeVar("T", dict[str, Any], list[Any])


class BadSchema(ValueError):
    """A schema that no function can be made of; says why, for the agent's maker."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    name: str
    description: str
    path: str
    verb: str
    schema: Mapping[str, Any]
    places: Mapping[str, str]
    confirm: bool


@dataclass(slots=True)
class _Reader:
    """Resolves references within one document; counts, so that a loop of them ends."""

    document: Mapping[str, Any]
    nodes: int = 0
    seen: list[str] = field(default_factory=list)

    def plain(self, node: Any, depth: int = 0) -> Any:
        self.nodes += 1
        if self.nodes > NODES_MAX or depth > DEPTH_MAX * 4:
            raise BadSchema("It is too large, or refers to itself.")
        if isinstance(node, list):
            return [self.plain(one, depth + 1) for one in node]
        if not isinstance(node, dict):
            return node
        if "$ref" in node:
            return self._referred(str(node["$ref"]), depth)
        return {key: self.plain(one, depth + 1) for key, one in node.items()}

    def _referred(self, name: str, depth: int) -> Any:
        if name in self.seen or len(self.seen) >= DEPTH_MAX:
            raise BadSchema(f"{name} refers to itself, or too deep.")
        if not name.startswith("#/"):
            raise BadSchema(f"{name} is outside of the document.")
        node: Any = self.document
        for step in name[2:].split("/"):
            if not isinstance(node, dict) or step not in node:
                raise BadSchema(f"{name} is not there.")
            node = node[step]
        self.seen.append(name)
        found = self.plain(node, depth + 1)
        self.seen.pop()
        return found


def operations(payload: str) -> Iterator[Operation]:
    """Raises BadSchema."""
    document = _parsed(payload)
    reader = _Reader(document)
    paths = document.get("paths")
    if not isinstance(paths, dict) or not paths:
        raise BadSchema("The document has no paths.")
    for path, item in paths.items():
        if not isinstance(item, dict):
            raise BadSchema(f"The path {path} is not an object.")
        for verb in VERBS:
            if verb in item:
                yield _operation(reader, path, verb, item)


def _parsed(payload: str) -> Mapping[str, Any]:
    if len(payload) > SIZE_MAX:
        raise BadSchema(f"The document is longer than {SIZE_MAX} characters.")
    try:
        document = json.loads(payload)
    except RecursionError as error:
        raise BadSchema("The document is too deep.") from error
    except ValueError:
        document = _yaml(payload)
    if not isinstance(document, dict) or not str(document.get("openapi", "")).startswith("3."):
        raise BadSchema("The document is not OpenAPI 3.")
    return document


def _yaml(payload: str) -> Any:
    try:
        return plain_yaml.read(payload)
    except plain_yaml.BadYaml as error:
        raise BadSchema(
            f"The document is neither JSON nor YAML that is read here: {error}."
        ) from error


def _operation(reader: _Reader, path: str, verb: str, item: Mapping[str, Any]) -> Operation:
    given, where = reader.plain(item[verb]), f"{verb.upper()} {path}"
    if not isinstance(given, dict) or not given.get("description"):
        raise BadSchema(f"{where} has no description.")
    properties: dict[str, Any] = {}
    places: dict[str, str] = {}
    required: list[str] = []
    shared = _held(reader.plain(item.get("parameters")), list, where)
    for listed in [*shared, *_held(given.get("parameters"), list, where)]:
        one = _held(listed, dict, where)
        name = str(one.get("name") or "")
        told = {"description": one["description"]} if one.get("description") else {}
        properties[name] = {**(_held(one.get("schema"), dict, where) or {"type": "string"}), **told}
        places[name] = str(one.get("in") or "query")
        required += [name] if one.get("required") and name not in required else []
    body = _body(given, where)
    for name, schema in _held(body.get("properties"), dict, where).items():
        properties[name] = schema
        places[name] = BODY
    more = _held(body.get("required"), list, where)
    required += [name for name in more if name not in required]
    schema = {"type": "object", "properties": properties, "required": required,
              "additionalProperties": False}  # fmt: skip
    _check(schema, where)
    return Operation(
        name=str(given.get("operationId") or f"{verb}_{path.strip('/')}"),
        description=str(given["description"]), path=path, verb=verb.upper(), schema=schema,
        places=places, confirm=given.get("x-requireConfirmation") == "ENABLED",
    )  # fmt: skip


def _body(given: Mapping[str, Any], where: str) -> dict[str, Any]:
    content = _held(_held(given.get("requestBody"), dict, where).get("content"), dict, where)
    found: Any = content.get("application/json") or next(iter(content.values()), {})
    return _held(_held(found, dict, where).get("schema"), dict, where)


def _held(value: Any, kind: type[T], where: str) -> T:
    """What is left out is empty."""
    if value is None:
        return kind()
    if not isinstance(value, kind):
        raise BadSchema(f"{where}: a part of it is no {'object' if kind is dict else 'list'}.")
    return value


def _check(schema: Mapping[str, Any], where: str) -> None:
    from jsonschema import Draft202012Validator, SchemaError  # slow to import, seldom needed

    try:
        Draft202012Validator.check_schema(dict(schema))
    except SchemaError as error:
        raise BadSchema(f"{where}: {error.message[:200]}") from error
