"""Answers' values as JSON-ready and CBOR-ready documents, and as XML: compiled from shapes."""

import base64
import json
import re
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from bastide.wire.model import Shape
from bastide.wire.scalars import epoch, write_float, write_time

Writer = Callable[[Any], Any]
_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
XmlWriter = Callable[[Any, list[str]], None]


def _same(value: Any) -> Any:
    return value


class DocumentWriters:
    """Python values → what `json.dumps` or `cbor.dumps` takes. `plain` values stay themselves."""

    def __init__(self, *, binary: bool = False) -> None:
        self._binary = binary
        self._known: dict[tuple[str, str, str], Writer] = {}

    def of(self, shape: Shape) -> Writer:
        form = shape.serialization.get("timestampFormat", "")
        key = (shape.name, shape.type_name, form)
        found = self._known.get(key)
        if found is None:
            self._known[key] = lambda value: self._known[key](value)
            found = self._known[key] = self._compile(shape)
        return found

    def _compile(self, shape: Shape) -> Writer:
        kind = shape.type_name
        if kind == "structure":
            return _same if shape.is_document_type else self.structure(shape)
        if kind == "list":
            item = self.of(shape.member)
            return lambda value: [item(inner) for inner in value]
        if kind == "map":
            item = self.of(shape.value)
            return lambda value: {key: item(inner) for key, inner in value.items()}
        if self._binary:
            return _same if kind != "double" else float
        if kind == "timestamp":
            form = shape.serialization.get("timestampFormat", "unixTimestamp")
            return epoch if form == "unixTimestamp" else lambda moment: write_time(moment, form)
        if kind == "blob":
            return lambda value: base64.b64encode(_bytes(value)).decode()
        if kind in ("float", "double"):
            return _json_float
        return _same

    def structure(self, shape: Shape) -> Writer:
        """The members that are in the body, by their wire names."""
        members = {
            name: (member.serialization.get("name", name), member)
            for name, member in shape.members.items()
            if not member.serialization.get("location")
        }
        compiled: dict[str, tuple[str, Writer]] = {}

        def write(value: Any) -> dict[str, Any]:
            out = {}
            for name, inner in value.items():
                if inner is None:
                    continue
                entry = compiled.get(name)
                if entry is None:
                    if name not in members:
                        continue
                    wire_name, member = members[name]
                    entry = compiled[name] = (wire_name, self.of(member))
                out[entry[0]] = entry[1](inner)
            return out

        return write


def _bytes(value: Any) -> bytes:
    return value.encode() if isinstance(value, str) else bytes(value)


def _json_float(value: Any) -> Any:
    text = write_float(value)
    return text if text in ("NaN", "Infinity", "-Infinity") else value


class XmlWriters:
    """Python values → XML text, appended to a list of parts. For rest-xml and query answers. Each
    writer knows its tag, and is made when it is first needed: shapes may hold themselves."""

    def __init__(self, text: Callable[[str], str]) -> None:
        """`text`: how strings are escaped, `xml_text` or `plain_text`."""
        self._text = text
        self._known: dict[tuple[str, str, str, str], XmlWriter] = {}

    def of(self, shape: Shape, tag: str) -> XmlWriter:
        """The writer of an element `tag` that holds a value of this shape."""
        form = shape.serialization.get("timestampFormat", "")
        key = (tag, shape.name, shape.type_name, form)
        found = self._known.get(key)
        if found is None:
            self._known[key] = lambda value, out: self._known[key](value, out)
            found = self._known[key] = self._compile(shape, tag)
        return found

    def _compile(self, shape: Shape, tag: str) -> XmlWriter:
        kind = shape.type_name
        if kind == "structure":
            return self._structure(shape, tag)
        if kind == "list":
            item_tag = shape.member.serialization.get("name", "member")
            return _around(tag, self._items(shape, item_tag))
        if kind == "map":
            return _around(tag, self._entries(shape, "entry"))
        write, start, end = _text_writer(shape, self._text), f"<{tag}>", f"</{tag}>"
        return lambda value, out: out.append(f"{start}{write(value)}{end}")

    def inner(self, shape: Shape) -> XmlWriter:
        """The members of a structure, without the element around them."""
        members = {
            name: member
            for name, member in shape.members.items()
            if not member.serialization.get("location")
            and not member.serialization.get("xmlAttribute")
        }
        compiled: dict[str, XmlWriter] = {}

        def write(value: Any, out: list[str]) -> None:
            for name in members:
                item = value.get(name)
                if item is None:
                    continue
                writer = compiled.get(name)
                if writer is None:
                    writer = compiled[name] = self._member(name, members[name])
                writer(item, out)

        return write

    def _structure(self, shape: Shape, tag: str) -> XmlWriter:
        inside = self.inner(shape)
        attributes = {
            name: member.serialization.get("name", name)
            for name, member in shape.members.items()
            if member.serialization.get("xmlAttribute")
        }
        spaces = _namespace(shape)
        if not attributes:
            return _around(tag, inside, spaces)

        def write(value: Any, out: list[str]) -> None:
            given = "".join(
                f" {wire_name}={_quoted(value[name])}"
                for name, wire_name in attributes.items()
                if value.get(name) is not None
            )
            out.append(f"<{tag}{spaces}{given}>")
            inside(value, out)
            out.append(f"</{tag}>")

        return write

    def _member(self, name: str, member: Shape) -> XmlWriter:
        traits = member.serialization
        tag = traits.get("name", name)
        if traits.get("flattened") and member.type_name == "list":
            return self._items(member, member.member.serialization.get("name") or tag)
        if traits.get("flattened") and member.type_name == "map":
            return self._entries(member, tag)
        return self.of(member, tag)

    def _items(self, shape: Shape, tag: str) -> XmlWriter:
        write_item = self.of(shape.member, tag)

        def write(value: Any, out: list[str]) -> None:
            for item in value:
                write_item(item, out)

        return write

    def _entries(self, shape: Shape, tag: str) -> XmlWriter:
        write_key = self.of(shape.key, shape.key.serialization.get("name", "key"))
        write_value = self.of(shape.value, shape.value.serialization.get("name", "value"))

        def write(value: Any, out: list[str]) -> None:
            for key, item in value.items():
                out.append(f"<{tag}>")
                write_key(key, out)
                write_value(item, out)
                out.append(f"</{tag}>")

        return write


def _around(tag: str, inside: XmlWriter, spaces: str = "") -> XmlWriter:
    start, end = f"<{tag}{spaces}>", f"</{tag}>"

    def write(value: Any, out: list[str]) -> None:
        out.append(start)
        inside(value, out)
        out.append(end)

    return write


def _namespace(shape: Shape) -> str:
    given = shape.serialization.get("xmlNamespace")
    if not isinstance(given, dict):
        return ""
    prefix = f":{given['prefix']}" if given.get("prefix") else ""
    return f" xmlns{prefix}={_quoted(given['uri'])}"


def _quoted(value: Any) -> str:
    return '"' + xml_text(str(value)).replace('"', "&quot;") + '"'


def xml_text(text: str) -> str:
    """Escaped for XML; what XML cannot hold at all goes as a numeric reference, as S3 sends it."""
    escaped = escape(text)
    if escaped.isprintable():
        return escaped
    return "".join(
        char if char.isprintable() or char == " " else f"&#x{ord(char):x};" for char in escaped
    )


def plain_text(text: str) -> str:
    """Escaped for XML; what XML cannot hold becomes U+FFFD: query's clients parse nothing else."""
    return xml_text(_NOT_XML.sub("\ufffd", text))


def _text_writer(shape: Shape, text: Callable[[str], str]) -> Callable[[Any], str]:
    kind = shape.type_name
    if kind == "timestamp":
        form = shape.serialization.get("timestampFormat", "iso8601")
        return lambda moment: write_time(moment, form)
    if kind == "blob":
        return lambda value: base64.b64encode(_bytes(value)).decode()
    if kind == "boolean":
        return lambda value: "true" if value else "false"
    if kind in ("float", "double"):
        return write_float
    if kind in ("integer", "long"):
        return str
    return lambda value: text(str(value))


def header_text(shape: Shape, value: Any) -> str:
    """A member that goes as a header."""
    kind = shape.type_name
    if kind == "timestamp":
        return write_time(value, shape.serialization.get("timestampFormat", "rfc822"))
    if kind == "boolean":
        return "true" if value else "false"
    if kind == "list":
        return ",".join(header_text(shape.member, item) for item in value)
    if kind in ("float", "double"):
        return write_float(value)
    if shape.serialization.get("jsonvalue"):
        return base64.b64encode(json.dumps(value).encode()).decode()
    return str(value)
