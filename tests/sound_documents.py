"""Documents of a page, a sheet and a slide, made here."""

import io

import openpyxl
import pptx
from pypdf import PdfWriter
from pypdf.generic import DictionaryObject, NameObject, StreamObject


def page(text):
    """A PDF of one page."""
    writer, out = PdfWriter(), io.BytesIO()
    made = writer.add_blank_page(300, 72)
    font = {"/Type": "/Font", "/Subtype": "/Type1", "/BaseFont": "/Helvetica"}
    named = DictionaryObject({NameObject(k): NameObject(v) for k, v in font.items()})
    fonts = DictionaryObject({NameObject("/F"): writer._add_object(named)})
    made[NameObject("/Resources")] = DictionaryObject({NameObject("/Font"): fonts})
    drawn = StreamObject()
    drawn.set_data(f"BT /F 12 Tf 10 10 Td ({text}) Tj ET".encode())
    made[NameObject("/Contents")] = writer._add_object(drawn)
    writer.write(out)
    return out.getvalue()


def workbook(text):
    book, out = openpyxl.Workbook(), io.BytesIO()
    book.active["A1"] = text
    book.save(out)
    return out.getvalue()


def slide(text):
    shown, out = pptx.Presentation(), io.BytesIO()
    shown.slides.add_slide(shown.slide_layouts[0]).shapes.title.text = text
    shown.save(out)
    return out.getvalue()
