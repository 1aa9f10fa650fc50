"""The text of each kind of document; and of one that means harm the reason why there is none."""

import pytest
from tests import unsafe_documents as unsafe
from tests.sound_documents import page, slide, workbook

from bastide.knowledge.parsing import text_of
from bastide.knowledge.reading import Unreadable


@pytest.mark.parametrize(
    ("page", "text"),
    [
        ('<a title="a > b" href=x>c</a> &lt;d&gt; 1 < 2', "c <d> 1 < 2"),
        ("&#65; &#12345678901;", "A \ufffd"),
        ("a<!-- <p>b --><template>c<p>d</template>e<style>f", "a\n\ne"),
        ("<SCRIPT>if (a<b) '</div>'</SCRIPT >x<!doctype html><?y?>z", "xz"),
        ("a<b", "a"),
        ("a<!--b", "a"),
        ("&#" + "9" * 5000, "\ufffd"),
    ],
)
def test_what_a_page_shows(page, text):
    assert text_of(page.encode(), "a.html", "") == text


# html.parser takes a minute for 60 kB of the first one, and longer for these than a test may.
@pytest.mark.parametrize(
    "unit",
    ["<a ", "<a b='", "<a b=", "<!--", "<![CDATA[", "<a", "</", "<!", "<?", "<script ", "&#"],
)
def test_no_page_holds_the_reader_of_all(unit):
    assert text_of(b"x" + (unit * 1_500_000).encode()[:4_000_000], "a.html", "")


def test_text_in_each_kind():
    assert text_of(b"plain", "a.txt", "") == "plain"
    assert text_of("Größe".encode("utf-16"), "a.md", "") == "Größe"
    assert text_of(b'{"a": [1, 2]}', "a.json", "") == '{"a": [1, 2]}'
    assert text_of(b"a,b\n1,2\n", "a.csv", "") == "a,b\n1,2\n"
    html = b"<html><title>T</title><script>no</script><p>One <b>two</b>.<p>(S//NF) Three.</html>"
    assert text_of(html, "a.html", "") == "T\n\nOne two.\n\n(S//NF) Three."
    for kind, made in (
        ("docx", unsafe.docx("A letter.")),
        ("pdf", page("A letter.")),
        ("xlsx", workbook("A letter.")),
        ("pptx", slide("A letter.")),
    ):
        assert "A letter." in text_of(made, f"a.{kind}", ""), kind


def test_what_it_is_said_to_be_goes_before_its_name():
    assert text_of(b"<p>x</p>", "a.txt", "text/html; charset=utf-8") == "x"


def test_depth_costs_nothing():
    assert text_of(unsafe.deep_html(200_000), "a.html", "") == "The bottom."


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.pdf", b"%PDF-1.7 and no more", "broken PDF"),
        ("a.pdf", unsafe.pdf(password="x"), "encrypted"),
        ("a.pdf", unsafe.pdf(), "no text"),
        ("a.pdf", unsafe.looping_pdf(), "broken PDF"),
        ("a.pdf", unsafe.pdf_that_claims_pages(1_000_000), "broken PDF"),
        ("a.docx", b"no zip", "no packed file"),
        ("a.docx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "encrypted"),
        ("a.docx", unsafe.packed(50_000_000), "too large when it is unpacked"),
        ("a.xlsx", unsafe.packed(10, entries=10_001), "too large when it is unpacked"),
        ("a.pptx", unsafe.packed(10), "broken pptx"),
        ("a.json", b'{"a": ', "no JSON"),
        ("a.json", unsafe.deep_json(100_000), "nests too deep"),
        ("a.csv", b'a,"b\n', "no CSV"),
        ("a.txt", b"\xff\xfa\x00", "UTF-8"),
        ("a.txt", b" \n ", "no text"),
        ("a.exe", b"MZ", "of no kind"),
    ],
)
def test_what_cannot_be_read_says_why(name, content, reason):
    with pytest.raises(Unreadable, match=reason):
        text_of(content, name, "")
