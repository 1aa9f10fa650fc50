"""Answers onto the wire, whatever the protocol: compiled once for each operation."""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from typing import Any

from bastide.wire import cbor, dialects, eventstream
from bastide.wire.eventstream import EventWriter
from bastide.wire.mantle import DIALECTS
from bastide.wire.model import Operation, Shape
from bastide.wire.serialize_values import (
    DocumentWriters,
    XmlWriters,
    header_text,
    plain_text,
    xml_text,
)
from bastide.wire.types import RawResponse

EVENT_STREAM = "application/vnd.amazon.eventstream"
JSON = "application/json"
Writer = Callable[[Mapping[str, Any], str], RawResponse]
_dumps = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False).encode


class Serializers:
    """`serialize(operation, protocol, output, request_id)` → the response."""

    def __init__(self) -> None:
        self._documents: dict[str, DocumentWriters] = {}
        self._binary: dict[str, DocumentWriters] = {}
        self._xml: dict[str, XmlWriters] = {}
        self._known: dict[tuple[str, str], Writer] = {}

    def serialize(
        self, operation: Operation, protocol: str, output: Mapping[str, Any], request_id: str
    ) -> RawResponse:
        key = (operation.full_name, protocol)
        writer = self._known.get(key)
        if writer is None:
            writer = self._known[key] = self._compile(operation, protocol)
        return writer(output, request_id)

    def _compile(self, operation: Operation, protocol: str) -> Writer:
        if protocol in DIALECTS:
            return lambda output, request_id: dialects.answered(
                protocol, output, operation.status, request_id
            )
        if operation.events_out is not None:
            return self._events(operation, protocol)
        if protocol == "query":
            return self._query(operation)
        if protocol == "json":
            return self._json(operation)
        if protocol == "smithy-rpc-v2-cbor":
            return self._cbor(operation)
        return self._rest(operation)

    def _document(self, operation: Operation) -> DocumentWriters:
        return self._documents.setdefault(operation.service.name, DocumentWriters())

    def _json(self, operation: Operation) -> Writer:
        kind = f"application/x-amz-json-{operation.service.json_version}"
        headers = (("content-type", kind),)
        write = self._document(operation).of(operation.output) if operation.output else None

        def send(output: Mapping[str, Any], request_id: str) -> RawResponse:
            body = b"" if write is None else _dumps(write(output)).encode()
            return RawResponse(
                status=200, headers=(*headers, ("x-amzn-requestid", request_id)), body=body
            )

        return send

    def _cbor(self, operation: Operation) -> Writer:
        writers = self._binary.setdefault(operation.service.name, DocumentWriters(binary=True))
        write = writers.of(operation.output) if operation.output else None

        def send(output: Mapping[str, Any], request_id: str) -> RawResponse:
            headers = (
                ("content-type", "application/cbor"),
                ("smithy-protocol", "rpc-v2-cbor"),
                ("x-amzn-requestid", request_id),
            )
            body = cbor.dumps(write(output) if write else {})
            return RawResponse(status=200, headers=headers, body=body)

        return send

    def _query(self, operation: Operation) -> Writer:
        shape, name = operation.output, operation.name
        wrapper = shape.serialization.get("resultWrapper", f"{name}Result") if shape else ""
        xml = self._xml.setdefault(operation.service.name, XmlWriters(plain_text))
        inside = xml.inner(shape) if shape else None
        opening = f'<{name}Response xmlns="{operation.service.xml_namespace}">'

        def send(output: Mapping[str, Any], request_id: str) -> RawResponse:
            out = [opening]
            if inside is not None:
                out.append(f"<{wrapper}>")
                inside(output, out)
                out.append(f"</{wrapper}>")
            out.append(
                f"<ResponseMetadata><RequestId>{request_id}</RequestId></ResponseMetadata>"
                f"</{name}Response>"
            )
            headers = (("content-type", "text/xml"), ("x-amzn-requestid", request_id))
            return RawResponse(status=200, headers=headers, body="".join(out).encode())

        return send

    def _rest(self, operation: Operation) -> Writer:
        shape = operation.output
        place = _Headers(operation)
        body_of = self._rest_body(operation, shape) if shape else None
        is_xml = operation.service.protocol == "rest-xml"

        def send(output: Mapping[str, Any], request_id: str) -> RawResponse:
            headers = place.headers(output)
            headers.append(("x-amz-request-id" if is_xml else "x-amzn-requestid", request_id))
            if is_xml:
                headers.append(("x-amz-id-2", request_id))
            kind, body = body_of(output) if body_of else ("", b"")
            if kind and not any(name == "content-type" for name, _ in headers):
                headers.append(("content-type", kind))
            status = place.status(output, operation.status)
            return RawResponse(status=status, headers=tuple(headers), body=body)

        return send

    def _rest_body(
        self, operation: Operation, shape: Shape
    ) -> Callable[[Mapping[str, Any]], tuple[str, Any]]:
        payload = operation.payload_out
        if payload is not None:
            return self._payload(operation, payload, shape.members[payload])
        in_body = any(not member.serialization.get("location") for member in shape.members.values())
        if operation.service.protocol == "rest-xml":
            if not in_body:
                return lambda output: ("", b"")
            return self._xml_document(operation, shape, shape.name)
        write = self._document(operation).of(shape)
        return lambda output: (JSON, _dumps(write(output)).encode())

    def _payload(
        self, operation: Operation, name: str, member: Shape
    ) -> Callable[[Mapping[str, Any]], tuple[str, Any]]:
        kind = member.type_name
        if kind == "blob":
            return lambda output: ("application/octet-stream", output.get(name, b""))
        if kind == "string":
            return lambda output: ("text/plain", output.get(name, "").encode())
        if operation.service.protocol == "rest-xml":
            tag = member.serialization.get("name") or member.name
            write_xml = self._xml_document(operation, member, tag)
            return lambda output: write_xml(output[name]) if name in output else ("", b"")
        write = self._document(operation).of(member)
        return lambda output: (
            (JSON, _dumps(write(output[name])).encode()) if name in output else ("", b"")
        )

    def _xml_document(
        self, operation: Operation, shape: Shape, tag: str
    ) -> Callable[[Mapping[str, Any]], tuple[str, bytes]]:
        xml = self._xml.setdefault(operation.service.name, XmlWriters(xml_text))
        declaration = '<?xml version="1.0" encoding="UTF-8"?>\n'
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        if operation.name == "GetBucketLocation":  # S3 sends the constraint as the whole document
            member = shape.members["LocationConstraint"]
            empty = f'<LocationConstraint xmlns="{space}"/>'

            def location(output: Mapping[str, Any]) -> tuple[str, bytes]:
                out: list[str] = []
                if output.get("LocationConstraint"):
                    xml.of(member, "LocationConstraint")(output["LocationConstraint"], out)
                return "application/xml", (declaration + ("".join(out) or empty)).encode()

            return location
        inside = xml.inner(shape)

        def send(output: Mapping[str, Any]) -> tuple[str, bytes]:
            out = [f'{declaration}<{tag} xmlns="{space}">']
            inside(output, out)
            out.append(f"</{tag}>")
            return "application/xml", "".join(out).encode()

        return send

    def _events(self, operation: Operation, protocol: str) -> Writer:
        name, output_shape = operation.events_out, operation.output
        assert name is not None
        assert output_shape is not None
        documents = self._document(operation)
        xml = self._xml.setdefault(operation.service.name, XmlWriters(xml_text))

        def body_of(shape: Shape) -> Callable[[Any], bytes]:
            if operation.service.protocol == "rest-xml":
                return lambda value: _xml_bytes(xml, shape, value)
            write = documents.of(shape)
            return lambda value: _dumps(write(value)).encode()

        writer = EventWriter(output_shape.members[name], body_of)
        place = _Headers(operation)
        first = documents.of(output_shape) if protocol == "json" else None

        def send(output: Mapping[str, Any], request_id: str) -> RawResponse:
            headers = [*place.headers(output), ("content-type", EVENT_STREAM)]
            headers.append(("x-amzn-requestid", request_id))
            lead = b""
            if first is not None:
                rest = {key: value for key, value in output.items() if key != name}
                lead = eventstream.initial_response(_dumps(first(rest)).encode())
            body = _stream(writer, lead, output[name])
            return RawResponse(status=operation.status, headers=tuple(headers), body=body)

        return send


def _xml_bytes(xml: XmlWriters, shape: Shape, value: Any) -> bytes:
    out: list[str] = []
    xml.of(shape, shape.name)(value, out)
    return "".join(out).encode()


def _stream(
    writer: EventWriter, lead: bytes, events: Any
) -> Iterator[bytes] | AsyncIterator[bytes]:
    if hasattr(events, "__aiter__"):
        frames = writer.frames_async(events)
        return _led_async(lead, frames) if lead else frames
    return _led(lead, writer.frames(iter(events)))


def _led(lead: bytes, frames: Iterator[bytes]) -> Iterator[bytes]:
    if lead:
        yield lead
    yield from frames


async def _led_async(lead: bytes, frames: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    if lead:
        yield lead
    async for one in frames:
        yield one


class _Headers:
    """The output members that go as headers or as the status."""

    def __init__(self, operation: Operation) -> None:
        self._named: list[tuple[str, str, Shape]] = []
        self._prefixed: list[tuple[str, str]] = []
        self._status: str | None = None
        for name, member in (operation.output.members if operation.output else {}).items():
            where = member.serialization.get("location")
            wire_name = member.serialization.get("name", name).lower()
            if where == "header":
                self._named.append((name, wire_name, member))
            elif where == "headers":
                self._prefixed.append((name, wire_name))
            elif where == "statusCode":
                self._status = name

    def headers(self, output: Mapping[str, Any]) -> list[tuple[str, str]]:
        found = []
        for name, wire_name, member in self._named:
            value = output.get(name)
            if value is not None:
                found.append((wire_name, header_text(member, value)))
        for name, prefix in self._prefixed:
            found += [(f"{prefix}{key}", str(v)) for key, v in (output.get(name) or {}).items()]
        return found

    def status(self, output: Mapping[str, Any], default: int) -> int:
        return int(output.get(self._status, default)) if self._status else default
