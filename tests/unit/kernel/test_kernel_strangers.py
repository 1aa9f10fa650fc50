"""What a stranger said can be written down, whatever it was."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.kernel.strangers import mended, mended_in


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("caf\u00e9", "caf\u00e9"),
        ("a\ud800b", "a\ufffdb"),
        ("\udc00", "\ufffd"),
        ("a\ud800", "a\ufffd"),
        ("\udc00\ud800", "\ufffd\ufffd"),
        ("\ud83d\ude00", "\U0001f600"),
    ],
)
def test_half_a_character_is_replaced(said, kept):
    assert mended(said) == kept


@given(st.text(st.characters()))
def test_whatever_is_said_can_be_encoded(said):
    assert mended(said).encode().decode() == mended(said)


def test_all_of_a_document_is_mended():
    said = json.loads(r'{"\ud800": ["\udc00", {"a": "\ud800"}, 1, null, true]}')
    assert mended_in(said) == {"\ufffd": ["\ufffd", {"a": "\ufffd"}, 1, None, True]}
