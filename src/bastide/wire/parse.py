"""Requests into parameters, whatever the protocol: compiled once for each operation."""

from collections.abc import Callable
from typing import Any

from bastide.kernel.errors import ServiceError
from bastide.wire import cbor, mantle, parse_json, parse_query
from bastide.wire.model import Operation, Shape
from bastide.wire.parse_json import JsonReaders
from bastide.wire.parse_rest import BodyReader, RestParser
from bastide.wire.parse_xml import XmlReaders
from bastide.wire.route import CBOR, Route
from bastide.wire.scalars import WRONG_TYPE
from bastide.wire.types import Params, RawRequest

Parser = Callable[[Route, RawRequest, bytes], Params]
# What a value of the wrong type is called; a body in XML is MalformedXML as a whole.
WRONG_TYPE_CODES = {"rest-xml": "InvalidArgument", "query": "MalformedInput"}


class Parsers:
    """`parse(route, raw, body)`: the parameters of a request. Streaming blobs are left out."""

    def __init__(self) -> None:
        self._json: dict[str, JsonReaders] = {}
        self._xml: dict[str, XmlReaders] = {}
        self._known: dict[tuple[str, str], Parser] = {}

    def parse(self, route: Route, raw: RawRequest, body: bytes) -> Params:
        """Raises ServiceError for whatever is malformed, and nothing else."""
        key = (route.operation.full_name, route.protocol)
        parser = self._known.get(key)
        if parser is None:
            parser = self._known[key] = self._compile(route.operation, route.protocol)
        try:
            return parser(route, raw, body)
        except RecursionError as error:
            raise _refused(route.protocol, "The request is nested too deeply.") from error
        except ServiceError as error:
            if error.code == WRONG_TYPE and route.protocol in WRONG_TYPE_CODES:
                raise _refused(route.protocol, error.message) from error
            raise

    def _compile(self, operation: Operation, protocol: str) -> Parser:
        shape = operation.input
        if shape is None:
            return lambda route, raw, body: {}
        if protocol == "query":
            return lambda route, raw, body: parse_query.read(shape, route.form)
        if protocol in ("json", CBOR):
            load = parse_json.load if protocol == "json" else cbor.loads
            read = self._json_of(operation).of(shape)
            return lambda route, raw, body: read(load(body))
        return RestParser(operation, self._readers(operation)).parse

    def _json_of(self, operation: Operation) -> JsonReaders:
        name = operation.service.name
        return self._json.setdefault(name, JsonReaders(closed=name == mantle.NAME))

    def _readers(self, operation: Operation) -> Callable[[Shape], BodyReader]:
        """How the body of a REST operation is read, once its shape is known."""
        if operation.service.protocol == "rest-xml":
            return self._xml.setdefault(operation.service.name, XmlReaders()).document
        readers = self._json_of(operation)

        def document(shape: Shape) -> BodyReader:
            read: Callable[[Any], Params] = readers.of(shape)
            return lambda body: read(parse_json.load(body))

        return document


def _refused(protocol: str, message: str) -> ServiceError:
    return ServiceError(WRONG_TYPE_CODES.get(protocol, WRONG_TYPE), message, status=400)
