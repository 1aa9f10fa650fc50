"""A document's text, by what it is: a pure function that the caged worker runs.

What it reads is hostile: every reader has bounds of its own, and the cage has time and memory.
"""

import csv
import io
import json
import re
import zipfile
from collections.abc import Callable, Iterator
from html import unescape

from bastide.knowledge.reading import Unreadable

TEXT_MAX = 5_000_000  # characters of one document
PAGES_MAX = 5_000
UNPACKED_MAX = 200 * 1024 * 1024
ENTRIES_MAX = 10_000
RATIO_MAX = 200  # of what a packed file says it becomes to what it is
_BLOCKS = frozenset(
    (
        "address", "article", "aside", "blockquote", "br", "dd", "div", "dl", "dt", "fieldset",
        "figcaption", "figure", "footer", "form", "h1", "h2", "h3", "h4", "h5", "h6", "header",
        "hr", "li", "main", "nav", "ol", "p", "pre", "section", "table", "title", "tr", "ul",
    )
)  # fmt: skip
_UNSEEN = frozenset(("template", "noscript"))
# A comment, a program, or a tag: each goes on to the end where nothing ends it, and nothing is
# tried a second time, so that all of them together take time linear in the text. (html.parser
# takes a minute for 60 kB of `<a `.)
_MARK = re.compile(
    r"<!--.*?(?:-->|\Z)"
    r"|<(?P<program>script|style)\b.*?(?:</(?P=program)\b[^>]*>?|\Z)"
    r"|<(?P<end>/?)(?P<tag>[a-z][^\s/>]*+)(?:=\s*+(?:\"[^\"]*+\"?|'[^']*+'?)?|[^>=]++)*+>?"
    r"|<[/!?][^>]*+>?",
    re.IGNORECASE | re.DOTALL,
)
_ENDLESS = re.compile(r"&#[0-9]{8,}+;?")  # no character has such a number
_GAP = re.compile(r"\n{3,}")
_SPACES = re.compile(r"\s+")
_OFFICE = ("docx", "xlsx", "pptx")
_BY_TYPE = {
    "text/plain": "txt",
    "text/markdown": "md",
    "text/html": "html",
    "text/csv": "csv",
    "application/json": "json",
    "application/pdf": "pdf",
    "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx",
    "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx",
    "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx",
}


def text_of(content: bytes, name: str, media_type: str) -> str:
    """Raises Unreadable."""
    kind = _BY_TYPE.get(media_type.partition(";")[0].strip().lower())
    kind = kind or name.rpartition(".")[2].lower()
    read = _READERS.get("office" if kind in _OFFICE else kind)
    if read is None:
        raise Unreadable("It is of no kind that is read here: " + ", ".join(KINDS) + ".")
    try:
        text = read(content, kind)
    except (RecursionError, MemoryError) as error:
        raise Unreadable("It nests too deep, or is too large.") from error
    if len(text) > TEXT_MAX:
        raise Unreadable(f"It has more than {TEXT_MAX} characters.")
    if not text.strip():
        raise Unreadable("It has no text.")
    return text.replace("\r\n", "\n").replace("\0", "")


def _plain(content: bytes, kind: str) -> str:
    wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        return content.decode("utf-16" if wide else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise Unreadable("It is no text in UTF-8.") from error


def _json(content: bytes, kind: str) -> str:
    text = _plain(content, kind)
    try:
        json.loads(text)
    except ValueError as error:
        raise Unreadable(f"It is no JSON: {error}") from error
    return text


def _csv(content: bytes, kind: str) -> str:
    text = _plain(content, kind)
    try:
        for _ in csv.reader(io.StringIO(text), strict=True):
            pass
    except csv.Error as error:
        raise Unreadable(f"It is no CSV: {error}") from error
    return text


def _html(content: bytes, kind: str) -> str:
    """What a reader of a page sees of it."""
    lines = (line.strip() for line in "".join(_seen(_plain(content, kind))).split("\n"))
    return _GAP.sub("\n\n", "\n".join(lines)).strip()


def _seen(html: str) -> Iterator[str]:
    unseen = done = 0
    for mark in _MARK.finditer(html):
        if not unseen:
            yield _said(html[done : mark.start()])
        done, tag, ends = mark.end(), (mark["tag"] or "").lower(), bool(mark["end"])
        if tag in _UNSEEN:
            unseen = max(0, unseen + (-1 if ends else 1))
        elif tag in _BLOCKS:
            yield "\n" if tag in ("tr", "li") or (tag == "br" and not ends) else "\n\n"
        elif tag in ("td", "th") and not ends:
            yield " "
    if not unseen:
        yield _said(html[done:])


def _said(text: str) -> str:
    return _SPACES.sub(" ", unescape(_ENDLESS.sub("\ufffd", text)))


def _pdf(content: bytes, kind: str) -> str:
    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    try:
        reader = PdfReader(io.BytesIO(content))
        if reader.is_encrypted:
            raise Unreadable("It is encrypted.")
        parts, size = [], 0
        for number, page in enumerate(reader.pages):
            if number >= PAGES_MAX:
                raise Unreadable(f"It has more than {PAGES_MAX} pages.")
            parts.append(page.extract_text())
            size += len(parts[-1])
            if size > TEXT_MAX:
                raise Unreadable(f"It has more than {TEXT_MAX} characters.")
    except Unreadable:
        raise
    except (PyPdfError, ValueError, LookupError, TypeError, AttributeError, OSError) as error:
        raise Unreadable(f"It is a broken PDF: {type(error).__name__}.") from error
    return "\n\n".join(parts)


def _office(content: bytes, kind: str) -> str:
    from markitdown import MarkItDown, MarkItDownException, StreamInfo

    _check_packed(content)
    try:
        read = MarkItDown(enable_plugins=False).convert_stream(
            io.BytesIO(content), stream_info=StreamInfo(extension=f".{kind}")
        )
    except (MarkItDownException, ValueError, LookupError, TypeError, OSError) as error:
        raise Unreadable(f"It is a broken {kind}: {type(error).__name__}.") from error
    return str(read.text_content)


def _check_packed(content: bytes) -> None:
    """Before anything is unpacked: a few kilobytes may become all of the memory."""
    try:
        entries = zipfile.ZipFile(io.BytesIO(content)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError) as error:
        if content.startswith(b"\xd0\xcf\x11\xe0"):
            raise Unreadable("It is encrypted, or of the format of before 2007.") from error
        raise Unreadable("It is no packed file, as its kind is.") from error
    size = sum(entry.file_size for entry in entries)
    if len(entries) > ENTRIES_MAX or size > UNPACKED_MAX:
        raise Unreadable("It becomes too large when it is unpacked.")
    if size > RATIO_MAX * len(content) + 1024 * 1024:
        raise Unreadable("It becomes too large when it is unpacked, for what it is.")
    if any(entry.flag_bits & 1 for entry in entries):
        raise Unreadable("It is encrypted.")


_READERS: dict[str, Callable[[bytes, str], str]] = {
    "txt": _plain,
    "md": _plain,
    "html": _html,
    "htm": _html,
    "csv": _csv,
    "json": _json,
    "pdf": _pdf,
    "office": _office,
}
KINDS = ("txt", "md", "html", "csv", "json", "pdf", *_OFFICE)
