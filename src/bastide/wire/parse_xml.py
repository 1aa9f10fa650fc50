"""XML bodies into parameters: no DTD, bounded depth and size, unknown elements ignored."""

from collections.abc import Callable
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import fromstring

from bastide.kernel.errors import ServiceError
from bastide.wire.model import Shape
from bastide.wire.scalars import text_reader

DEPTH_MAX = 64
Reader = Callable[[Element], Any]


def malformed() -> ServiceError:
    return ServiceError(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
        status=400,
    )


def load(body: bytes) -> Element:
    """The root element of `body`."""
    try:
        root: Element = fromstring(body, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError, RecursionError, LookupError) as error:
        raise malformed() from error
    _check_depth(root)
    return root


def _check_depth(root: Element) -> None:
    level = [root]
    for _ in range(DEPTH_MAX):
        level = [child for element in level for child in element]
        if not level:
            return
    raise malformed()


def name_of(element: Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2]


class XmlReaders:
    """Readers of one service's shapes."""

    def __init__(self) -> None:
        self._known: dict[str, Reader] = {}

    def document(self, shape: Shape) -> Callable[[bytes], Any]:
        """The reader of a whole body. Whatever is wrong in it, it is malformed."""
        read = self.of(shape)
        roots = {shape.name, shape.serialization.get("name", shape.name)}

        def read_body(body: bytes) -> Any:
            root = load(body)
            if name_of(root) not in roots:
                raise malformed()
            try:
                return read(root)
            except ServiceError as error:
                raise malformed() from error

        return read_body

    def of(self, shape: Shape) -> Reader:
        found = self._known.get(shape.name)
        if found is None:
            self._known[shape.name] = lambda element: self._known[shape.name](element)
            found = self._known[shape.name] = self._compile(shape)
        return found

    def _compile(self, shape: Shape) -> Reader:
        kind = shape.type_name
        if kind == "structure":
            return self._structure(shape)
        if kind == "list":
            return self._list(shape)
        if kind == "map":
            return self._map(shape)
        read = text_reader(shape, shape.name)
        return lambda element: read(element.text or "")

    def _structure(self, shape: Shape) -> Reader:
        members: dict[str, tuple[str, Shape]] = {}
        attributes: dict[str, tuple[str, Shape]] = {}
        for name, member in shape.members.items():
            traits = member.serialization
            if traits.get("location"):
                continue
            wire_name = _member_name(name, member)
            (attributes if traits.get("xmlAttribute") else members)[wire_name] = (name, member)

        def read(element: Element) -> dict[str, Any]:
            out: dict[str, Any] = {}
            for child in element:
                known = members.get(name_of(child))
                if known is not None:
                    self._add(out, known[0], known[1], child)
            for wire_name, (name, member) in attributes.items():
                value = _attribute(element, wire_name)
                if value is not None:
                    out[name] = text_reader(member, name)(value)
            return out

        return read

    def _add(self, out: dict[str, Any], name: str, member: Shape, child: Element) -> None:
        flat = member.serialization.get("flattened")
        if flat and member.type_name == "list":
            out.setdefault(name, []).append(self.of(member.member)(child))
        elif flat and member.type_name == "map":
            out.setdefault(name, {}).update(self._entry(member, child))
        else:
            out[name] = self.of(member)(child)

    def _list(self, shape: Shape) -> Reader:
        item = shape.member.serialization.get("name", "member")
        read_item = self.of(shape.member)
        return lambda element: [read_item(child) for child in element if name_of(child) == item]

    def _map(self, shape: Shape) -> Reader:
        def read(element: Element) -> dict[str, Any]:
            out: dict[str, Any] = {}
            for entry in element:
                out.update(self._entry(shape, entry))
            return out

        return read

    def _entry(self, shape: Shape, entry: Element) -> dict[str, Any]:
        key_name = shape.key.serialization.get("name", "key")
        value_name = shape.value.serialization.get("name", "value")
        found = {name_of(child): child for child in entry}
        if key_name not in found or value_name not in found:
            raise malformed()
        return {found[key_name].text or "": self.of(shape.value)(found[value_name])}


def _member_name(name: str, member: Shape) -> str:
    if member.type_name == "list" and member.serialization.get("flattened"):
        inner = member.member.serialization.get("name")
        return str(inner or member.serialization.get("name", name))
    return str(member.serialization.get("name", name))


def _attribute(element: Element, wire_name: str) -> str | None:
    plain = wire_name.rpartition(":")[2]
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == plain:
            return value
    return None
