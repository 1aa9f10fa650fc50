"""Documents that mean harm, made here: what is broken, huge, encrypted, looping, or a bomb."""

import io
import zipfile

from pypdf import PdfWriter
from pypdf.generic import ArrayObject, DictionaryObject, NameObject, NumberObject

CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/'
    'content-types"><Default Extension="xml" ContentType="application/xml"/></Types>'
)


def pdf(*, password: str = "") -> bytes:
    writer, out = PdfWriter(), io.BytesIO()
    writer.add_blank_page(72, 72)
    if password:
        writer.encrypt(password)
    writer.write(out)
    return out.getvalue()


def looping_pdf() -> bytes:
    """A tree of pages that is its own branch."""
    writer, out = PdfWriter(), io.BytesIO()
    writer.add_blank_page(72, 72)
    pages = writer.root_object["/Pages"].get_object()
    pages[NameObject("/Kids")] = ArrayObject([pages.indirect_reference])
    writer.write(out)
    return out.getvalue()


def pdf_that_claims_pages(count: int) -> bytes:
    writer, out = PdfWriter(), io.BytesIO()
    writer.add_blank_page(72, 72)
    pages = writer.root_object["/Pages"].get_object()
    page = pages["/Kids"][0]
    branch = pages
    for _ in range(2):  # a thousand times a thousand, in a few kilobytes
        inner = DictionaryObject(
            {
                NameObject("/Type"): NameObject("/Pages"),
                NameObject("/Kids"): ArrayObject([page] * 1000),
                NameObject("/Count"): NumberObject(1000),
            }
        )
        page = writer._add_object(inner)
    branch[NameObject("/Kids")] = ArrayObject([page])
    branch[NameObject("/Count")] = NumberObject(count)
    writer.write(out)
    return out.getvalue()


def packed(size: int, entries: int = 1) -> bytes:
    """A docx of so many bytes for each entry, and next to none on its way."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("[Content_Types].xml", CONTENT_TYPES)
        for n in range(entries):
            archive.writestr(f"word/document{n or ''}.xml", b"\0" * size)
    return out.getvalue()


def docx(text: str) -> bytes:
    """One paragraph, in the fewest parts that a document has."""
    word = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
    office = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument"
    package = "http://schemas.openxmlformats.org/package/2006"
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    parts = {
        "[Content_Types].xml": f'<Types xmlns="{package}/content-types"><Default Extension="rels" '
        'ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{kind}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{package}/relationships"><Relationship Id="r1" '
        f'Type="{office}" Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{word}"><w:body><w:p><w:r><w:t>{text}</w:t>'
        "</w:r></w:p></w:body></w:document>",
    }
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, xml in parts.items():
            archive.writestr(name, f'<?xml version="1.0"?>{xml}')
    return out.getvalue()


def deep_html(depth: int) -> bytes:
    return b"<div>" * depth + b"The bottom." + b"</div>" * depth


def deep_json(depth: int) -> bytes:
    return b"[" * depth + b"]" * depth
