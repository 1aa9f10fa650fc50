"""A text split where its portion marks are: what is marked, what is not, and what cannot be."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.labels_kit import US

from bastide.knowledge.portions import portions
from bastide.knowledge.reading import Unreadable

SECRET = US.parse("S//NF")


def split(text, ceiling=SECRET):
    found = portions(text, US, ceiling)
    return [(text[p.start : p.end].strip(), p.label.text if p.label else None) for p in found]


def test_each_marked_paragraph_is_its_own_portion():
    text = "(U) Open.\n\n(S//NF) Closed,\nto its end.\n\n(U) Open again."
    assert split(text) == [
        ("(U) Open.", "U"),
        ("(S//NF) Closed,\nto its end.", "S//NOFORN"),
        ("(U) Open again.", "U"),
    ]


def test_lines_may_be_portions():
    assert split("(U) One.\n(S//NF) Two.\nStill two.") == [
        ("(U) One.", "U"),
        ("(S//NF) Two.\nStill two.", "S//NOFORN"),
    ]


def test_what_follows_a_marked_paragraph_without_a_mark_is_the_documents():
    assert split("(U) Open.\n\nUnmarked.") == [("(U) Open.", "U"), ("Unmarked.", None)]


def test_a_text_without_marks_is_one_portion():
    assert split("One.\n\nTwo (c) of them.") == [("One.\n\nTwo (c) of them.", None)]


def test_a_mark_within_a_paragraph_only_raises():
    assert split("(U) Known: (S//NF) hidden.") == [("(U) Known: (S//NF) hidden.", "S//NOFORN")]
    assert split("(S//NF) Hidden, (U) it says.") == [("(S//NF) Hidden, (U) it says.", "S//NOFORN")]
    assert split("Unmarked, then (U) open.") == [("Unmarked, then (U) open.", None)]


@pytest.mark.parametrize(
    "seeming",
    ["(S/NF)", "( S//NF )", "(s//nf)", "[S]", "(S-NF)", "(SECRET)", "(S //NF)", "(S//NF and",
     "\uff08S\uff09", "(\u0405//NF)", "(S\u200b//NF)",
     "(S\u2013NF)", "(S\u2044NF)", "(S NOFORN)", "(S;NF)",
     "(\x08S)", "(S\x7f//NF)", "(\x9bS)", "(\u2066S\u2069)", "(S\u0332)", "(S\ufe0f)"],
)  # fmt: skip
def test_what_only_looks_like_a_mark_is_let_down_by_no_mark_before_it(seeming):
    text = f"(U) Open.\n{seeming} Closed."
    assert split(text) == [(text, None)]
    assert split(f"(U) Open.\n\n{seeming} Closed.")[0] == ("(U) Open.", "U")
    assert split("(U) Open (see annex), Caf\u00e9 (2).")[0][1] == "U"


CYRILLIC_TS = "\u0422\u0405"


@pytest.mark.parametrize(
    "seeming",
    [
        f"({CYRILLIC_TS}//NF)", "(T\u0405//NF)", "(\u0422S)", "(T\u054f//NF)",  # Armenian
        "(t\u0455)", "(T\U0001f182)", "(\U0001f1f9\U0001f1f8)",  # squared letters, flags' letters
        "\uff08\uff34\uff33\uff0f\uff0f\uff2e\uff26\uff09", "(\uff34S)", "(T\uff33//\u039dF)",
        "(SECR\u0415T)", "(\u0405\u0415\u0421R\u0415\u0422)", "(TOP S\u0415CRET//SI)",
        "(SECR\u13acT)",
        "(CONFIDENTI\u0410L)", "(T S)", "(T.S//NF)", "(S E C R E T)", "(\u0422 S//NF)",
        "\u3010S\u3011", "\u27e8TS\u27e9", "\u2768\u0422S\u2769", "(S\u29f8\u29f8NF)",
        "(S\u3001NF)", "(\u0405 N\u041eF\u041eRN)", "(\u0405 \u039dF)", "(S\u3164//NF)",
        "(T\u115fS)", "(\u2800S)",
    ],
)  # fmt: skip
def test_a_mark_in_mixed_scripts_hides_and_lowers_nothing(seeming):
    """Whoever reads it sees a mark; what it stands in is the document's, not the mark's before."""
    for text in (f"(U) Open. {seeming} Closed.", f"(U) Open.\n{seeming} Closed."):
        assert split(text) == [(text, None)]
    assert split(f"{seeming} Closed.")[0][1] is None


@pytest.mark.parametrize(
    "plain",
    [
        "(\u0434\u043b\u044f \u043f\u0440\u0438\u043c\u0435\u0440\u0430)",  # Cyrillic words
        "(\u0421\u0421\u0421\u0420)", "(\u5317\u4eac\u5e02\u671d\u9633\u533a)", "(na\u00efve)",
        "(\u03b2-blocker)", "(T.S. Eliot)", "(see annex)", "\u00abS\u00bb", "(5 \u20ac)",
    ],
)  # fmt: skip
def test_words_of_other_scripts_are_no_marks(plain):
    assert split(f"(U) Open {plain}.")[0][1] == "U"


@pytest.mark.parametrize("head", ["## ", "- ", "1. ", "a) ", "  ", "> ", "| "])
def test_headings_lists_and_tables_are_marked_too(head):
    assert split(f"(S//NF) A.\n{head}(U) B.")[1] == (f"{head}(U) B.".strip(), "U")


def test_a_mark_above_the_document_fails_it():
    with pytest.raises(Unreadable, match="TS"):
        split("(U) Open.\n\n(TS//SI) Not here.")
    with pytest.raises(Unreadable, match="TS"):
        split("Unmarked, with (TS//SI) in it.")


def test_a_mark_that_the_scheme_does_not_know_fails_it():
    with pytest.raises(Unreadable, match="WHATEVER"):
        split("(S//WHATEVER) Who may read this?")


@given(
    st.lists(st.sampled_from(["(U) a.", "(S//NF) b.", "c.", "\n", "\n\n", " (U) "]), max_size=12)
)
def test_no_letter_is_lost_and_nothing_marked_higher_is_in_a_lower_portion(parts):
    text = "".join(parts)
    found = portions(text, US, SECRET)
    assert "".join(text[p.start : p.end] for p in found) == text
    for portion in found:
        if portion.label is not None and "(S//NF)" in text[portion.start : portion.end]:
            assert portion.label == SECRET
