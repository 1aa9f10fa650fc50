"""JSON values into parameters, and CBOR's likewise: compiled from a shape, once.

A member that the model does not know is ignored, null is absent, a wrong type is refused. What
Python's `json` takes beyond RFC 8259 is not taken here: NaN, infinities, halves of surrogates.
"""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from bastide.kernel.errors import ServiceError
from bastide.kernel.plain_json import HALF_OF_SURROGATE, check_depth, finite
from bastide.wire import scalars
from bastide.wire.model import Shape
from bastide.wire.scalars import wrong

Reader = Callable[[Any], Any]
DEPTH_MAX = 100
_decode = json.JSONDecoder(parse_float=finite, parse_constant=finite).decode


def load(body: bytes) -> Any:
    """The JSON document in `body`; `{}` where there is none."""
    if not body:
        return {}
    try:
        text = body.decode()
        document = _decode(text)
        if HALF_OF_SURROGATE.search(text):
            json.dumps(document, ensure_ascii=False).encode()  # refuses half of one
        if text.count("[") + text.count("{") > DEPTH_MAX:
            check_depth(document, DEPTH_MAX)
        return document
    except (ValueError, RecursionError) as error:
        message = "The body is not a JSON document."
        raise ServiceError(scalars.WRONG_TYPE, message, status=400) from error


class JsonReaders:
    """Readers of one service's shapes; a shape is compiled when it is first met."""

    def __init__(self, *, closed: bool = False) -> None:
        """`closed`: a member that the model does not know is refused, not ignored."""
        self._known: dict[tuple[str, str], Reader] = {}
        self._closed = closed

    def of(self, shape: Shape) -> Reader:
        """The reader of a shape. Recursive shapes find themselves half made, hence the lambda."""
        key = (shape.name, shape.type_name)
        found = self._known.get(key)
        if found is None:
            self._known[key] = lambda value: self._known[key](value)
            found = self._known[key] = self._compile(shape)
        return found

    def _compile(self, shape: Shape) -> Reader:
        kind = shape.type_name
        if kind == "structure":
            return read_document if shape.is_document_type else self._structure(shape)
        if kind == "list":
            return _list_reader(self.of(shape.member), shape.name)
        if kind == "map":
            return _map_reader(self.of(shape.value), shape.name)
        return _scalar_reader(shape)

    def _structure(self, shape: Shape) -> Reader:
        members = {
            member.serialization.get("name", name): (name, member)
            for name, member in shape.members.items()
            if not member.serialization.get("location")
        }
        compiled: dict[str, tuple[str, Reader]] = {}
        what, closed = shape.name, self._closed

        def read(value: Any) -> dict[str, Any]:
            if type(value) is not dict:
                raise wrong(what, "an object")
            out = {}
            for key, inner in value.items():
                if inner is None:
                    continue
                entry = compiled.get(key)
                if entry is None:
                    known = members.get(key)
                    if known is None and closed:
                        raise _stranger(key)
                    if known is None:
                        continue
                    entry = compiled[key] = (known[0], self.of(known[1]))
                out[entry[0]] = entry[1](inner)
            return out

        return read


def _stranger(name: str) -> ServiceError:
    message = f"Unrecognized request argument supplied: {name[:128]}"
    return ServiceError("ValidationException", message, status=400)


def _list_reader(item: Reader, what: str) -> Reader:
    def read(value: Any) -> list[Any]:
        if type(value) is not list:
            raise wrong(what, "a list")
        return [item(inner) for inner in value if inner is not None]

    return read


def _map_reader(item: Reader, what: str) -> Reader:
    def read(value: Any) -> dict[str, Any]:
        if type(value) is not dict:
            raise wrong(what, "an object")
        return {str(key): item(inner) for key, inner in value.items() if inner is not None}

    return read


def read_document(value: Any) -> Any:
    """A document type: passed through untouched, nulls and all."""
    return value


def _scalar_reader(shape: Shape) -> Reader:
    kind, what = shape.type_name, shape.name
    if kind in ("integer", "long"):
        return lambda value: _whole(value, kind, what)
    if kind in ("float", "double"):
        return lambda value: _number(value, what)
    if kind == "boolean":
        return lambda value: value if type(value) is bool else _refuse(what, "true or false")
    if kind == "timestamp":
        return lambda value: _time(value, what)
    if kind == "blob":
        return lambda value: _blob(value, what)
    return lambda value: value if type(value) is str else _refuse(what, "a string")


def _refuse(what: str, want: str) -> Any:
    raise wrong(what, want)


def _whole(value: Any, kind: str, what: str) -> int:
    if type(value) is float and value.is_integer():
        value = int(value)
    limit = scalars.INT_RANGE[kind]
    if type(value) is not int or not -limit <= value < limit:
        raise wrong(what, f"a whole number ({kind})")
    return value


def _number(value: Any, what: str) -> float | int:
    if type(value) in (int, float):
        return value  # type: ignore[no-any-return]  # the line above says which
    if type(value) is str and value in scalars.SPECIAL:
        return scalars.SPECIAL[value]
    raise wrong(what, "a number")


def _time(value: Any, what: str) -> datetime:
    if isinstance(value, datetime):
        return value
    if type(value) in (int, float):
        return scalars.from_epoch(value, what)
    if type(value) is str:
        return scalars.read_time(value, what)
    raise wrong(what, "a timestamp")


def _blob(value: Any, what: str) -> bytes:
    if type(value) is bytes:
        return value
    if type(value) is str:
        return scalars.read_blob(value, what)
    raise wrong(what, "base64")
