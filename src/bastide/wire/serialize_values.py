"""Answers' values as JSON-ready and CBOR-ready documents, and as XML: compiled from shapes."""

import base64
import json
from collections.abc import Callable
from typing import Any
from xml.sax.saxutils import escape

from bastide.wire.model import Shape
from bastide.wire.scalars import epoch, write_float, write_time

Writer = Callable[[Any], Any]
XmlWriter = Callable[[str, Any, list[str]], None]


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
    """Python values → XML text, appended to a list of parts. For rest-xml and query answers."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, str, str], XmlWriter] = {}

    def of(self, shape: Shape) -> XmlWriter:
        form = shape.serialization.get("timestampFormat", "")
        key = (shape.name, shape.type_name, form)
        found = self._known.get(key)
        if found is None:
            self._known[key] = lambda tag, value, out: self._known[key](tag, value, out)
            found = self._known[key] = self._compile(shape)
        return found

    def _compile(self, shape: Shape) -> XmlWriter:
        kind = shape.type_name
        if kind == "structure":
            return self._structure(shape)
        if kind == "list":
            return self._list(shape)
        if kind == "map":
            return self._map(shape)
        write = _text_writer(shape)

        def scalar(tag: str, value: Any, out: list[str]) -> None:
            out.append(f"<{tag}>{write(value)}</{tag}>")

        return scalar

    def inner(self, shape: Shape) -> Callable[[Any, list[str]], None]:
        """The members of a structure, without the element around them."""

        def write(value: Any, out: list[str]) -> None:
            for name, member in shape.members.items():
                item = value.get(name)
                traits = member.serialization
                if item is None or traits.get("location") or traits.get("xmlAttribute"):
                    continue
                self._member(name, member, item, out)

        return write

    def _structure(self, shape: Shape) -> XmlWriter:
        inside = self.inner(shape)
        attributes = {
            name: member.serialization.get("name", name)
            for name, member in shape.members.items()
            if member.serialization.get("xmlAttribute")
        }
        spaces = _namespace(shape)

        def write(tag: str, value: Any, out: list[str]) -> None:
            given = "".join(
                f" {wire_name}={_quoted(value[name])}"
                for name, wire_name in attributes.items()
                if value.get(name) is not None
            )
            out.append(f"<{tag}{spaces}{given}>")
            inside(value, out)
            out.append(f"</{tag}>")

        return write

    def _member(self, name: str, member: Shape, item: Any, out: list[str]) -> None:
        traits = member.serialization
        tag = traits.get("name", name)
        if traits.get("flattened") and member.type_name == "list":
            tag = member.member.serialization.get("name") or tag
            write = self.of(member.member)
            for one in item:
                write(tag, one, out)
        elif traits.get("flattened") and member.type_name == "map":
            for key, one in item.items():
                self._entry(tag, member, key, one, out)
        else:
            self.of(member)(tag, item, out)

    def _list(self, shape: Shape) -> XmlWriter:
        item_tag = shape.member.serialization.get("name", "member")
        write_item = self.of(shape.member)

        def write(tag: str, value: Any, out: list[str]) -> None:
            out.append(f"<{tag}>")
            for item in value:
                write_item(item_tag, item, out)
            out.append(f"</{tag}>")

        return write

    def _map(self, shape: Shape) -> XmlWriter:
        def write(tag: str, value: Any, out: list[str]) -> None:
            out.append(f"<{tag}>")
            for key, item in value.items():
                self._entry("entry", shape, key, item, out)
            out.append(f"</{tag}>")

        return write

    def _entry(self, tag: str, shape: Shape, key: str, item: Any, out: list[str]) -> None:
        out.append(f"<{tag}>")
        self.of(shape.key)(shape.key.serialization.get("name", "key"), key, out)
        self.of(shape.value)(shape.value.serialization.get("name", "value"), item, out)
        out.append(f"</{tag}>")


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


def _text_writer(shape: Shape) -> Callable[[Any], str]:
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
    return lambda value: xml_text(str(value))


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
