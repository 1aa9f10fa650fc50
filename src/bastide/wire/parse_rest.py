"""REST requests into parameters: path labels, query string, headers, and a body or a payload.

Source: https://smithy.io/2.0/spec/http-bindings.html
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bastide.wire.model import Operation, Shape
from bastide.wire.route import Route
from bastide.wire.scalars import read_blob, text_reader, wrong
from bastide.wire.types import Params, RawRequest

BodyReader = Callable[[bytes], Any]
Texts = Callable[[list[str]], Any]
Text = Callable[[str], Any]


class RestParser:
    """One operation's. `reader_of` compiles the reader of a body of some shape."""

    def __init__(self, operation: Operation, reader_of: Callable[[Shape], BodyReader]) -> None:
        shape = operation.input
        assert shape is not None
        self._labels: list[tuple[str, str, Text]] = []
        self._query: list[tuple[str, str, Texts]] = []
        self._query_rest: tuple[str, bool] | None = None
        self._headers: list[tuple[str, str, Text]] = []
        self._prefixes: list[tuple[str, str]] = []
        has_body = False
        for name, member in shape.members.items():
            has_body |= not self._place(name, member)
        self._read_body: BodyReader | None = None
        self._reads_nothing = False  # whether no body is a value too: an empty blob
        payload = operation.payload_in
        if payload is None:
            self._read_body = reader_of(shape) if has_body else None
        elif operation.streams_in is None:
            member = shape.members[payload]
            self._read_body = _payload(payload, member, reader_of)
            self._reads_nothing = member.type_name == "blob"

    def _place(self, name: str, member: Shape) -> bool:
        """Note where a member is found; False if it is in the body."""
        where = member.serialization.get("location")
        wire_name = member.serialization.get("name", name)
        if where == "uri":
            self._labels.append((name, wire_name, text_reader(member, name)))
        elif where == "querystring" and member.type_name == "map":
            self._query_rest = (name, member.value.type_name == "list")
        elif where == "querystring":
            self._query.append((name, wire_name, _texts_reader(member, name)))
        elif where == "header":
            self._headers.append((name, wire_name.lower(), _header_reader(member, name)))
        elif where == "headers":
            self._prefixes.append((name, wire_name.lower()))
        return bool(where)

    def parse(self, route: Route, raw: RawRequest, body: bytes) -> Params:
        params: Params = {}
        for name, wire_name, read in self._labels:
            if wire_name in route.uri:
                params[name] = read(route.uri[wire_name])
        if route.query and (self._query or self._query_rest):
            self._parse_query(params, route.query)
        if self._headers or self._prefixes:
            self._parse_headers(params, _joined(raw))
        if self._read_body is not None and (body or self._reads_nothing):
            params.update(self._read_body(body))
        return params

    def _parse_query(self, params: Params, pairs: Sequence[tuple[str, str]]) -> None:
        given: dict[str, list[str]] = {}
        for key, value in pairs:
            given.setdefault(key, []).append(value)
        for name, wire_name, read in self._query:
            if wire_name in given:
                params[name] = read(given.pop(wire_name))
        if self._query_rest is not None and given:
            name, is_lists = self._query_rest
            params[name] = given if is_lists else {key: texts[0] for key, texts in given.items()}

    def _parse_headers(self, params: Params, given: Mapping[str, str]) -> None:
        for name, wire_name, read in self._headers:
            if wire_name in given:
                params[name] = read(_utf8(given[wire_name]))
        for name, prefix in self._prefixes:
            found = {
                key[len(prefix) :]: _utf8(value)
                for key, value in given.items()
                if key.startswith(prefix)
            }
            if found:
                params[name] = found


def _joined(raw: RawRequest) -> Mapping[str, str]:
    """The headers by name; those given several times as one list."""
    given: dict[str, str] = {}
    for key, value in raw.headers:
        given[key] = f"{given[key]},{value}" if key in given else value
    return given


def _payload(name: str, member: Shape, reader_of: Callable[[Shape], BodyReader]) -> BodyReader:
    """The reader of a body that is one member."""
    if member.type_name in ("structure", "list", "map"):
        read = reader_of(member)
        return lambda body: {name: read(body)}
    if member.type_name == "string":
        return lambda body: {name: _text(body, name)}
    return lambda body: {name: body}


def _text(body: bytes, what: str) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise wrong(what, "UTF-8 text") from error


def _texts_reader(member: Shape, name: str) -> Texts:
    if member.type_name == "list":
        read_item = text_reader(member.member, name)
        return lambda values: [read_item(value) for value in values]
    read = text_reader(member, name)
    return lambda values: read(values[0])


def _header_reader(member: Shape, name: str) -> Text:
    if member.type_name == "list":
        read_item = text_reader(member.member, name)
        return lambda text: [read_item(part.strip()) for part in text.split(",")]
    if member.serialization.get("jsonvalue"):
        return lambda text: _json_value(text, name)
    return text_reader(member, name)


def _json_value(text: str, name: str) -> Any:
    try:
        return json.loads(read_blob(text, name).decode())
    except ValueError as error:
        raise wrong(name, "a JSON document in base64") from error


def _utf8(value: str) -> str:
    """Headers come as latin-1; clients that send UTF-8 mean it."""
    if value.isascii():
        return value
    try:
        return value.encode("latin-1").decode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        return value
