"""Signed notes: what holds, and that no byte of one can be changed."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from bastide.kernel.notes import BadNote, Checkpoint, Signer, parse_verifier

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
SIGNER = Signer("bastide/us-gov-west-1", KEY)
ROOT = b"r" * 32


def test_a_note_opens_to_its_checkpoint():
    verifier = parse_verifier(SIGNER.verifier.text())
    assert verifier.open(SIGNER.sign(7, ROOT)) == Checkpoint("bastide/us-gov-west-1", 7, ROOT)


def test_the_form_is_c2sps():
    lines = SIGNER.sign(7, ROOT).split("\n")
    assert lines[:4] == ["bastide/us-gov-west-1", "7", base64.b64encode(ROOT).decode(), ""]
    assert lines[4].startswith("\u2014 bastide/us-gov-west-1 ")
    assert lines[5:] == [""]


def test_the_c2sp_example_key_opens_the_example_note():
    """The example of golang.org/x/mod/sumdb/note, which C2SP's signed-note describes."""
    verifier = parse_verifier("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    note = (
        "If you think cryptography is the answer to your problem,\n"
        "then you don't know what your problem is.\n\n"
        "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqf"
        "qdngotpRZb6KE6RyyBwJnAM=\n"
    )
    with pytest.raises(BadNote, match="not a checkpoint"):  # signed well, of something else
        verifier.open(note)
    with pytest.raises(BadNote, match="does not hold"):
        verifier.open(note.replace("answer", "Answer"))


def test_no_byte_of_a_note_can_be_changed():
    note = SIGNER.sign(123, ROOT).encode()
    for place in range(len(note)):
        for bit in (1, 32, 128):
            changed = note[:place] + bytes([note[place] ^ bit]) + note[place + 1 :]
            with pytest.raises(BadNote):
                SIGNER.verifier.open(changed.decode("utf-8", "replace"))
    for size in range(len(note)):
        with pytest.raises(BadNote):
            SIGNER.verifier.open(note[:size].decode("utf-8", "replace"))


def test_another_key_of_the_same_name_opens_nothing():
    other = Signer(SIGNER.name, Ed25519PrivateKey.generate())
    with pytest.raises(BadNote, match="no signature"):
        other.verifier.open(SIGNER.sign(1, ROOT))


@pytest.mark.parametrize("text", ["", "a", "a+b+c", "a+00000000+AQ==", "+x+y", "a+b+\u00e9"])
def test_what_is_no_verifier_key(text):
    with pytest.raises(BadNote):
        parse_verifier(text)


def test_a_changed_verifier_key_is_refused():
    text = SIGNER.verifier.text()
    with pytest.raises(BadNote):
        parse_verifier("x" + text)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\n"])
def test_names_that_cannot_sign(name):
    with pytest.raises(ValueError, match="key name"):
        Signer(name, KEY)


@given(st.text(max_size=300))
def test_rubbish_is_refused(text):
    for read in (SIGNER.verifier.open, parse_verifier):
        with pytest.raises(BadNote):
            read(text)
    with pytest.raises(BadNote):
        SIGNER.verifier.open(f"{SIGNER.name}\n1\n{text}\n\n\u2014 {SIGNER.name} {text}\n")
