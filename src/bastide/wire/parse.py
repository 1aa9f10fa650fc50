"""Requests into parameters, whatever the protocol: compiled once for each operation."""

import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from bastide.kernel.errors import ServiceError
from bastide.wire import cbor, parse_json, parse_query, parse_xml
from bastide.wire.model import Operation, Shape
from bastide.wire.parse_json import JsonReaders
from bastide.wire.parse_xml import XmlReaders
from bastide.wire.route import Route
from bastide.wire.scalars import read_blob, text_reader, wrong
from bastide.wire.types import Params, RawRequest

BodyReader = Callable[[bytes], Params]
QUERY_FIELDS_MAX = 1000


class Parsers:
    """`parse(route, raw, body)`: the parameters of a request. Streaming blobs are left out."""

    def __init__(self) -> None:
        self._json: dict[str, JsonReaders] = {}
        self._xml: dict[str, XmlReaders] = {}
        self._rest: dict[str, _RestParser] = {}

    def parse(self, route: Route, raw: RawRequest, body: bytes) -> Params:
        """Raises ServiceError for whatever is malformed, and nothing else."""
        operation = route.operation
        if operation.input is None:
            return {}
        if route.protocol == "query":
            return parse_query.read(operation.input, route.form)
        if route.protocol == "json":
            return self._body_json(operation, parse_json.load(body))
        if route.protocol == "smithy-rpc-v2-cbor":
            return self._body_json(operation, cbor.loads(body))
        parser = self._rest.get(operation.full_name)
        if parser is None:
            parser = self._rest[operation.full_name] = _RestParser(
                operation, self._readers(operation)
            )
        return parser.parse(route, raw, body)

    def _body_json(self, operation: Operation, document: Any) -> Params:
        found: Params = self._json_of(operation).of(operation.input)(document)
        return found

    def _json_of(self, operation: Operation) -> JsonReaders:
        return self._json.setdefault(operation.service.name, JsonReaders())

    def _readers(self, operation: Operation) -> Callable[[Shape], BodyReader]:
        if operation.service.protocol == "rest-xml":
            xml = self._xml.setdefault(operation.service.name, XmlReaders())
            return lambda shape: lambda body: xml.of(shape)(parse_xml.load(body))
        readers = self._json_of(operation)
        return lambda shape: lambda body: readers.of(shape)(parse_json.load(body))


class _RestParser:
    """A REST operation: path labels, query string, headers, and a body or a payload."""

    def __init__(self, operation: Operation, reader_of: Callable[[Shape], BodyReader]) -> None:
        shape = operation.input
        assert shape is not None
        self._labels: list[tuple[str, str, Callable[[str], Any]]] = []
        self._query: list[tuple[str, str, Shape]] = []
        self._query_rest: str | None = None
        self._query_rest_lists = False
        self._headers: list[tuple[str, str, Shape]] = []
        self._prefixes: list[tuple[str, str]] = []
        has_body = False
        for name, member in shape.members.items():
            has_body |= not self._place(name, member)
        self._payload = operation.payload_in
        self._streams = operation.streams_in
        self._read_payload: BodyReader | None = None
        self._payload_kind = ""
        if self._payload is not None and self._streams is None:
            member = shape.members[self._payload]
            self._payload_kind = member.type_name
            if member.type_name in ("structure", "list", "map"):
                self._read_payload = reader_of(member)
        self._read_body = reader_of(shape) if has_body and self._payload is None else None

    def _place(self, name: str, member: Shape) -> bool:
        """Note where a member is found; False if it is in the body."""
        where = member.serialization.get("location")
        wire_name = member.serialization.get("name", name)
        if where == "uri":
            self._labels.append((name, wire_name, text_reader(member, name)))
        elif where == "querystring" and member.type_name == "map":
            self._query_rest = name
            self._query_rest_lists = member.value.type_name == "list"
        elif where == "querystring":
            self._query.append((name, wire_name, member))
        elif where == "header":
            self._headers.append((name, wire_name.lower(), member))
        elif where == "headers":
            self._prefixes.append((name, wire_name.lower()))
        return bool(where)

    def parse(self, route: Route, raw: RawRequest, body: bytes) -> Params:
        params: Params = {}
        for name, wire_name, read in self._labels:
            if wire_name in route.uri:
                params[name] = read(route.uri[wire_name])
        if self._query or self._query_rest:
            self._parse_query(params, raw.raw_query)
        if self._headers or self._prefixes:
            self._parse_headers(params, raw)
        if self._payload is not None:
            self._parse_payload(params, body)
        elif self._read_body is not None and body:
            params.update(self._read_body(body))
        return params

    def _parse_query(self, params: Params, raw_query: str) -> None:
        try:
            pairs = parse_qsl(raw_query, keep_blank_values=True, max_num_fields=QUERY_FIELDS_MAX)
        except ValueError as error:
            raise ServiceError("InvalidArgument", "Too many query fields.", status=400) from error
        given: dict[str, list[str]] = {}
        for key, value in pairs:
            given.setdefault(key, []).append(value)
        for name, wire_name, member in self._query:
            if wire_name in given:
                params[name] = _texts(member, name, given.pop(wire_name))
        if self._query_rest is not None:
            rest = given if self._query_rest_lists else {k: v[0] for k, v in given.items()}
            if rest:
                params[self._query_rest] = rest

    def _parse_headers(self, params: Params, raw: RawRequest) -> None:
        given: dict[str, str] = {}
        for key, value in raw.headers:
            given[key] = f"{given[key]},{value}" if key in given else value
        for name, wire_name, member in self._headers:
            if wire_name in given:
                params[name] = _header(member, name, given[wire_name])
        for name, prefix in self._prefixes:
            found = {k[len(prefix) :]: v for k, v in given.items() if k.startswith(prefix)}
            if found:
                params[name] = found

    def _parse_payload(self, params: Params, body: bytes) -> None:
        assert self._payload is not None
        if self._streams is not None:
            return
        if self._read_payload is not None:
            if body:
                params[self._payload] = self._read_payload(body)
        elif self._payload_kind == "string":
            if body:
                params[self._payload] = _text(body, self._payload)
        else:
            params[self._payload] = body


def _text(body: bytes, what: str) -> str:
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise wrong(what, "UTF-8 text") from error


def _texts(member: Shape, name: str, values: list[str]) -> Any:
    if member.type_name == "list":
        read = text_reader(member.member, name)
        return [read(value) for value in values]
    return text_reader(member, name)(values[0])


def _header(member: Shape, name: str, value: str) -> Any:
    value = _utf8(value)
    if member.type_name == "list":
        read = text_reader(member.member, name)
        return [read(part.strip()) for part in value.split(",")]
    if member.serialization.get("jsonvalue"):
        try:
            return json.loads(read_blob(value, name))
        except (ValueError, RecursionError) as error:
            raise wrong(name, "a JSON document in base64") from error
    return text_reader(member, name)(value)


def _utf8(value: str) -> str:
    """Headers come as latin-1; clients that send UTF-8 mean it."""
    try:
        return value.encode("latin-1").decode()
    except (UnicodeDecodeError, UnicodeEncodeError):
        return value
