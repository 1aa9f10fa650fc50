"""A 200-record log, changed in every way: each byte flipped, each record dropped, moved, cut."""

import json
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.evidence.verify import verify_log
from bastide.kernel.merkle import CompactRange, leaf_hash
from bastide.kernel.notes import Signer

COUNT = 200
SIGNER = Signer("bastide/test", Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
ACCOUNT = "123456789012"
BODY = b'{"account":"123456789012","time":%d,"id":"%03d","label":"S//\xc3\xa9"}'
END = b'{"account":"123456789012","time":%d,"id":"%03d","opened":7,"label":"S//\xc3\xa9"}'
LABEL = "S//é"


def row_of(index, body=None):
    body = form_of(index) % (1000 + index, index) if body is None else body
    digest = leaf_hash(index.to_bytes(8, "big") + body)
    return (index, body, digest, ACCOUNT, 1000 + index, LABEL, 7 if index % 5 == 4 else None)


def form_of(index):
    """Each fifth record ends a call."""
    return END if index % 5 == 4 else BODY


def signed(rows, sizes):
    tree, notes = CompactRange(), []
    for size in sizes:
        tree.extend(row[2] for row in rows[tree.size : size])
        notes.append((size, SIGNER.sign(size, tree.root())))
    return notes


@dataclass(frozen=True)
class Stored:
    """A log in memory, for the verifier."""

    rows: list
    notes: list

    def checkpoints(self):
        return self.notes

    def leaves(self):
        yield self.rows[:128]
        yield self.rows[128:]

    def newest(self):
        return ((row[0], row[1]) for row in self.rows[::-1])

    def hashes(self, first, size):
        return (row[2] for row in self.rows[first:size])

    def count(self):
        return len(self.rows)


ROWS = [row_of(index) for index in range(COUNT)]
LOG = Stored(ROWS, signed(ROWS, [0, 64, 150, COUNT]))


def faults(log, **options):
    return [fault.index for fault in verify_log(log, SIGNER.verifier, **options).faults]


def with_row(place, **_):
    return lambda row: replace(LOG, rows=[*ROWS[:place], row, *ROWS[place + 1 :]])


def test_the_log_is_whole():
    seen = []
    verdict = verify_log(LOG, SIGNER.verifier, progress=lambda *at: seen.append(at))
    assert verdict.ok
    assert (verdict.records, verdict.signed, verdict.checkpoints) == (COUNT, COUNT, 4)
    assert "whole" in verdict.text()
    assert verdict.as_dict()["ok"] is True
    assert seen[-1] == (COUNT, COUNT)


@pytest.mark.parametrize("quarter", range(4))
def test_every_flipped_byte_is_named(quarter):
    for place in range(quarter * 50, quarter * 50 + 50):
        index, body, digest, *columns = ROWS[place]
        put = with_row(place)
        for at in range(len(body)):
            bad = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
            assert faults(put((index, bad, digest, *columns))) == [place]
        for at in range(0, 32, 5):
            bad = digest[:at] + bytes([digest[at] ^ 128]) + digest[at + 1 :]
            assert faults(put((index, body, bad, *columns)))[0] == place


@pytest.mark.parametrize("place", range(0, COUNT, 7))
def test_every_byte_of_a_hash(place):
    index, body, digest, *columns = ROWS[place]
    for at in range(32):
        bad = digest[:at] + bytes([digest[at] ^ 1]) + digest[at + 1 :]
        assert faults(with_row(place)((index, body, bad, *columns)))[0] == place


@pytest.mark.parametrize("place", range(COUNT))
def test_a_dropped_record_is_named(place):
    rest = ROWS[:place] + ROWS[place + 1 :]
    assert faults(replace(LOG, rows=rest)) == [place]
    renumbered = [(index, *row[1:]) for index, row in enumerate(rest)]
    assert faults(replace(LOG, rows=renumbered))[0] == place


@pytest.mark.parametrize("place", range(COUNT - 1))
def test_swapped_records_are_named(place):
    rows = list(ROWS)
    rows[place], rows[place + 1] = (
        (place, *ROWS[place + 1][1:]),
        (place + 1, *ROWS[place][1:]),
    )
    assert {place, place + 1} <= set(faults(replace(LOG, rows=rows)))


@pytest.mark.parametrize("size", range(COUNT))
def test_a_cut_log_is_named(size):
    assert faults(replace(LOG, rows=ROWS[:size])) == [size]


@pytest.mark.parametrize("place", range(0, COUNT, 9))
def test_a_record_put_in_is_named(place):
    doubled = [*ROWS[:place], ROWS[place], *ROWS[place:]]
    assert faults(replace(LOG, rows=doubled))[0] == place + 1


@pytest.mark.parametrize("place", range(COUNT))
def test_a_record_rewritten_with_its_hash_betrays_its_stretch(place):
    first = next(size for size in (150, 64, 0) if place >= size)
    assert faults(with_row(place)(row_of(place, b"forged"))) == [first]


def test_rewritten_columns_are_named():
    time_ms = ROWS[42][4]
    for columns in (
        ("000000000000", time_ms, LABEL, None), (None, time_ms, LABEL, None),
        (ACCOUNT, 7, LABEL, None), (ACCOUNT, time_ms, "U", None), (ACCOUNT, time_ms, "", None),
        (ACCOUNT, time_ms, None, None), (ACCOUNT, time_ms, b"S", None),
        (ACCOUNT, time_ms, LABEL, 7), (ACCOUNT, time_ms, LABEL, 0),
    ):  # fmt: skip
        assert faults(with_row(42)((*ROWS[42][:3], *columns))) == [42], columns
    for closes in (None, 6, 70, "7"):
        assert faults(with_row(44)((*ROWS[44][:6], closes))) == [44], closes


@pytest.mark.parametrize(
    ("body", "label", "closes", "holds"),
    [
        (b'"facts":{"label":"U"}', "", None, True),
        (b'"facts":{"label":"U"}', None, None, True),  # a record that is older than labels
        (b'"facts":{"label":"U"}', "U", None, False),
        (b'"facts":{"opened":"5"}', "", None, True),
        (b'"facts":{"opened":"5"}', "", 5, False),
        (b'"opened":5', "", 5, True),
        (b'"opened":5,"inference":{"label":"U"}', "", 5, True),
        (b'"opened":5,"inference":{"label":"U"}', "U", 5, False),
        (b'"id":",\\"label\\":\\"U\\"}"', "U", None, False),
        (b'"label":"U"', "", None, False),
        (b'"label":"U"', None, None, False),
    ],
)
def test_the_label_and_the_call_of_a_row_are_the_records(body, label, closes, holds):
    whole = b'{"account":"%s","time":1042,%s}' % (ACCOUNT.encode(), body)
    rows = [*ROWS[:42], (*row_of(42, whole)[:5], label, closes)]
    log = Stored(rows, signed(rows, [43]))
    assert faults(log) == ([] if holds else [42])


def test_values_of_another_type_are_named():
    for bad in (None, 5, "text"):
        assert faults(with_row(9)((9, bad, *ROWS[9][2:])))[0] == 9
        assert faults(with_row(9)((9, ROWS[9][1], bad, *ROWS[9][3:])))[0] == 9
        assert faults(with_row(9)((bad, *ROWS[9][1:])))[0] == 9


@pytest.mark.parametrize("which", range(4))
def test_no_byte_of_a_checkpoint_can_be_changed(which):
    size, note = LOG.notes[which]
    for at in range(len(note)):
        bad = note[:at] + chr(ord(note[at]) ^ 1) + note[at + 1 :]
        notes = [*LOG.notes[:which], (size, bad), *LOG.notes[which + 1 :]]
        assert faults(replace(LOG, notes=notes)) == [max(0, size - 1)]


def test_checkpoints_of_another_log_another_key_or_none():
    other = Signer(SIGNER.name, Ed25519PrivateKey.generate())
    stranger = [(size, other.sign(size, b"r" * 32)) for size, _ in LOG.notes]
    assert faults(replace(LOG, notes=stranger))
    assert faults(replace(LOG, notes=[])) == [0]
    moved = [(63, LOG.notes[1][1])]
    assert faults(replace(LOG, notes=moved)) == [62]


def test_a_whole_log_rewritten_by_the_key_holder_contradicts_a_held_checkpoint():
    forged = [row_of(index, b"forged %d" % index) for index in range(COUNT)]
    log = Stored(forged, signed(forged, [64, COUNT]))
    assert faults(log) == []
    assert faults(log, held=[LOG.notes[2][1]]) == [64]
    assert faults(LOG, held=[LOG.notes[2][1]]) == []


def test_a_rollback_contradicts_a_held_checkpoint():
    older = Stored(ROWS[:150], LOG.notes[:3])
    assert faults(older) == []
    assert faults(older, held=[LOG.notes[3][1]]) == [150]


def test_the_tail_awaits_its_checkpoint():
    verdict = verify_log(replace(LOG, notes=LOG.notes[:3]), SIGNER.verifier)
    assert verdict.ok
    assert (verdict.records, verdict.signed) == (COUNT, 150)
    assert "the newest 50 await" in verdict.text()


FACTS = {
    "kind": "audit-retirement", "request": ["r"], "digest": "d", "first": "0", "size": "3",
    "newest": "", "hashes_sha256": "", "file": "f", "file_sha256": "",
}  # fmt: skip
NESTED = b'{"account":"","time":1,"x":' + b"[" * 100_000


@pytest.mark.parametrize("body", [
    b'["audit-retirement"]', b'"audit-retirement', b"[" * 100_000 + b'"audit-retirement"', NESTED,
    *(json.dumps({"kind": "operator", "operation": "RetireRecords", "decision": "allow",
                  "facts": FACTS | facts}, separators=(",", ":")).encode()
      for facts in ({}, {"first": []}, {"size": None}, {"request": {}})),
])  # fmt: skip
def test_a_record_that_reads_like_a_retirement_is_no_way_to_stop_the_verifier(body):
    row = (50, body, leaf_hash((50).to_bytes(8, "big") + body), "", 1, "", None)
    assert 64 > min(faults(with_row(50)(row))) >= 0
