"""A bundle is whole and signed twice, or it is refused."""

import base64
import json
import os
import tracemalloc

import msgspec
import pytest
from tests.transfer_kit import Held, changed, gate_of, made

from bastide.transfer import chunks
from bastide.transfer.bundles import inspected
from bastide.transfer.dsse import Signer
from bastide.transfer.model import CHUNK_BYTES, Refused, decoded, encoded
from bastide.transfer.signing import load_signer

BIG = bytes(range(256)) * (CHUNK_BYTES // 256) + b"end"


@pytest.fixture
def gate(tmp_path):
    return gate_of(tmp_path / "gate")


@pytest.fixture
def bundle(gate):
    return made(gate, Held("a", b"alpha"), Held("none", b""), Held("big", BIG), Held("z", b""))


def read(bundle):
    found = [b""] * len(bundle.statement.predicate.items)
    for number, piece in chunks.pieces(bundle.folder, bundle.statement):
        found[number] += piece
    return found


def test_what_goes_in_comes_out(gate, bundle):
    assert read(bundle) == [b"alpha", b"", BIG, b""]
    assert [one.name for one in bundle.statement.subject] == ["00000000.chunk", "00000001.chunk"]
    *_, last = gate.inspect(bundle.digest[:12])
    assert last["result"]["items"] == 4
    assert last["result"]["bytes"] == len(BIG) + 5


def test_a_bundle_of_nothing(gate):
    assert read(made(gate, Held("none", b""))) == [b""]
    *_, last = gate.inspect(made(gate).digest)
    assert last["result"]["items"] == 0


def test_the_same_items_twice_are_two_bundles(gate):
    assert made(gate, Held("a", b"x")).digest != made(gate, Held("a", b"x")).digest


def test_a_delta_carries_only_what_changed_since_all_bundles_below(gate):
    first = made(gate, Held("a", b"1"), Held("b", b"1"), Held("c", b"1"))
    second = made(gate, Held("a", b"1"), Held("b", b"2"), Held("c", b"1"), base=first.digest)
    third = made(
        gate, Held("a", b"1", tags={"k": "v"}), Held("b", b"2"), Held("c", b"1"), Held("d", b""),
        base=second.digest[:16],
    )  # fmt: skip
    carried = [[one.name for one in b.statement.predicate.items] for b in (first, second, third)]
    assert carried == [["a", "b", "c"], ["b"], ["a", "d"]]
    assert third.statement.predicate.base == second.digest


def test_a_base_of_another_destination_is_refused(gate):
    base = made(gate, Held("a", b"1"), to="us-isob-east-1")
    with pytest.raises(Refused, match="goes to another region"):
        made(gate, Held("a", b"1"), base=base.digest)


def drop(envelope):
    envelope["signatures"].pop()


def one_twice(envelope):
    envelope["signatures"][1] = envelope["signatures"][0]


def one_under_both_ids(envelope):
    envelope["signatures"][1]["sig"] = envelope["signatures"][0]["sig"]


def three(envelope):
    envelope["signatures"].append(envelope["signatures"][0])


def payload(envelope):
    text = base64.b64decode(envelope["payload"]).replace(b'"label":"U"', b'"label":"S"', 1)
    envelope["payload"] = base64.b64encode(text).decode()


def payload_type(envelope):
    envelope["payloadType"] = "text/plain"


def unknown_field(envelope):
    envelope["more"] = 1


def flipped(which):
    def change(envelope):
        sig = bytearray(base64.b64decode(envelope["signatures"][which]["sig"]))
        sig[-1] ^= 1
        envelope["signatures"][which]["sig"] = base64.b64encode(sig).decode()

    return change


FORGERIES = [
    drop, one_twice, one_under_both_ids, three, payload, payload_type, unknown_field,
    pytest.param(flipped(0), id="ecdsa_flipped"), pytest.param(flipped(1), id="mldsa_flipped"),
]  # fmt: skip


@pytest.mark.parametrize("forge", FORGERIES)
def test_a_forged_envelope_is_refused(gate, bundle, forge):
    changed(bundle, forge)
    with pytest.raises(Refused):
        list(gate.inspect(bundle.digest))


@pytest.mark.parametrize("half", ["ecdsa", "mldsa"])
def test_one_true_key_is_not_enough(tmp_path, gate, bundle, half):
    other = load_signer(tmp_path / "other")
    keys = {"ecdsa": gate.signer.ecdsa, "mldsa": gate.signer.mldsa, half: getattr(other, half)}
    payload = base64.b64decode(json.loads((bundle.folder / "bundle.json").read_bytes())["payload"])
    (bundle.folder / "bundle.json").write_bytes(Signer(**keys).sign(payload))
    with pytest.raises(Refused, match="two signatures"):
        list(gate.inspect(bundle.digest))


def test_another_true_bundle_under_this_name_is_refused(gate, bundle):
    other = made(gate, Held("b", b""))
    (bundle.folder / "bundle.json").write_bytes((other.folder / "bundle.json").read_bytes())
    with pytest.raises(Refused, match="not the bundle that its name says"):
        list(gate.inspect(bundle.digest))


def flip(path):
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)


def linked(path):
    path.rename(path.with_name("aside"))
    path.symlink_to("aside")


def pipe(path):
    path.unlink()
    os.mkfifo(path)


def longer(path):
    path.write_bytes(path.read_bytes() + b"x")


def shorter(path):
    path.write_bytes(path.read_bytes()[:-1])


@pytest.mark.parametrize("harm", [flip, linked, pipe, longer, shorter, os.remove])
def test_a_harmed_chunk_is_refused(bundle, harm):
    harm(bundle.folder / "00000001.chunk")
    with pytest.raises(Refused, match=r"00000001\.chunk"):
        list(inspected(bundle))


def test_keys_that_others_can_read_are_not_used(tmp_path):
    load_signer(tmp_path / "keys")
    (tmp_path / "keys" / "mldsa87.seed").chmod(0o644)
    with pytest.raises(PermissionError, match="chmod 600"):
        load_signer(tmp_path / "keys")


def test_a_statement_that_claims_more_chunks_than_it_names_costs_nothing(tmp_path):
    stated = made(gate_of(tmp_path / "low"), Held("a", b"x")).statement
    size = 1 << 38
    (item,) = stated.predicate.items
    predicate = msgspec.structs.replace(
        stated.predicate,
        size=size, items=[msgspec.structs.replace(item, size=size)],
    )  # fmt: skip
    payload = encoded(msgspec.structs.replace(stated, predicate=predicate))
    tracemalloc.start()
    try:
        with pytest.raises(Refused, match="chunks do not make up"):
            decoded(payload)
        assert tracemalloc.get_traced_memory()[1] < 1 << 18
    finally:
        tracemalloc.stop()


def test_chunks_are_as_large_as_a_sender_makes_them(tmp_path):
    """Else one datagram could ask for 274,877,906,944 names of them."""
    stated = made(gate_of(tmp_path / "low"), Held("a", b"x")).statement
    small = msgspec.structs.replace(stated.predicate, chunk_bytes=1)
    with pytest.raises(Refused, match="malformed"):
        decoded(encoded(msgspec.structs.replace(stated, predicate=small)))
