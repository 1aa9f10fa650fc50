"""The query protocol's flat form (`Tags.member.1.Key=…`) into parameters.

Source: https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
"""

from collections.abc import Mapping
from typing import Any

from bastide.kernel.errors import ServiceError
from bastide.wire.model import Shape
from bastide.wire.scalars import text_reader

ITEMS_MAX = 10_000
DEPTH_MAX = 32
Tree = dict[str, Any]


def read(shape: Shape | None, form: Mapping[str, str]) -> dict[str, Any]:
    """The parameters of an operation's input."""
    if shape is None:
        return {}
    tree: Tree = {}
    for key, value in form.items():
        _plant(tree, key.split("."), value)
    found: dict[str, Any] = _structure(shape, tree)
    return found


def _plant(tree: Tree, path: list[str], value: str) -> None:
    if len(path) > DEPTH_MAX:
        raise _malformed(path[0])
    for step in path[:-1]:
        inner = tree.setdefault(step, {})
        if not isinstance(inner, dict):
            raise _malformed(path[0])
        tree = inner
    if isinstance(tree.get(path[-1]), dict):
        raise _malformed(path[0])
    tree[path[-1]] = value


def _malformed(what: str) -> ServiceError:
    return ServiceError("MalformedInput", f"The parameter {what[:128]} is malformed.", status=400)


def _value(shape: Shape, node: Any) -> Any:
    kind = shape.type_name
    if kind == "structure":
        return _structure(shape, node)
    if kind == "list":
        return _list(shape, node)
    if kind == "map":
        return _map(shape, node)
    if not isinstance(node, str):
        raise _malformed(shape.name)
    return text_reader(shape, shape.name)(node)


def _structure(shape: Shape, node: Any) -> dict[str, Any]:
    if not isinstance(node, dict):
        if node == "":
            return {}
        raise _malformed(shape.name)
    out = {}
    for name, member in shape.members.items():
        wire_name = _member_name(name, member)
        if wire_name in node:
            out[name] = _value(member, node[wire_name])
    return out


def _member_name(name: str, member: Shape) -> str:
    if member.type_name == "list" and member.serialization.get("flattened"):
        inner = member.member.serialization.get("name")
        return str(inner or member.serialization.get("name", name))
    return str(member.serialization.get("name", name))


def _list(shape: Shape, node: Any) -> list[Any]:
    if not isinstance(node, dict):
        if node == "":
            return []
        raise _malformed(shape.name)
    if not shape.serialization.get("flattened"):
        node = node.get(shape.member.serialization.get("name", "member"), {})
    return [_value(shape.member, item) for item in _numbered(node, shape.name)]


def _map(shape: Shape, node: Any) -> dict[str, Any]:
    if not isinstance(node, dict):
        raise _malformed(shape.name)
    if not shape.serialization.get("flattened"):
        node = node.get("entry", {})
    key_name = shape.key.serialization.get("name", "key")
    value_name = shape.value.serialization.get("name", "value")
    out = {}
    for entry in _numbered(node, shape.name):
        if not isinstance(entry, dict) or not {key_name, value_name} <= entry.keys():
            raise _malformed(shape.name)
        out[str(entry[key_name])] = _value(shape.value, entry[value_name])
    return out


def _numbered(node: Any, what: str) -> list[Any]:
    """`{"1": a, "2": b}` as a list, by number."""
    if not isinstance(node, dict) or len(node) > ITEMS_MAX:
        raise _malformed(what)
    if not all(key.isascii() and key.isdigit() and len(key) < 9 for key in node):
        raise _malformed(what)
    return [node[key] for key in sorted(node, key=int)]
