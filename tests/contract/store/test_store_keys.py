"""What operators do to agencies' keys, on a whole store: only a destruction loses anything."""

import os

import pytest
from tests.identity_kit import FewAgencies
from tests.officers_kit import Agreed
from tests.stores import ALICE, BOB, Store

from bastide.kernel.approvals import Kind, NotApproved
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.keys.opening import open_keyring
from bastide.operators.keys import KeyRoom, family
from bastide.store import records, upkeep
from bastide.store.sealed import Tampered

MIB = 1024 * 1024
NAMES = {"alice": ALICE, "bob": BOB}


@pytest.fixture
def store(database, tmp_path):
    made = Store(database, tmp_path / "objects", open_keyring(tmp_path / "keys"))
    made.bucket()
    made.bucket("of-bob", BOB)
    made.shredded = []
    yield made
    made.close()


@pytest.fixture
def room(store):
    return KeyRoom(
        agencies=FewAgencies(NAMES), keyring=store.keyring, upkeep=store.upkeep,
        approvals=Agreed(), shred=lambda account, labels: store.shredded.append((account, labels)),
    )  # fmt: skip


def destroy(room, keys):
    """Destroyed, and on record after it was approved."""
    told = []
    gone = room.destroy(keys, "operator", lambda: told.append(len(room.approvals.used)))
    assert told == [len(room.approvals.used)]
    return gone


def filled(store, count=5):
    """Small bodies in the database, one in a file, one of two parts."""
    datas = {f"small-{number}": os.urandom(10 + number) for number in range(count)}
    datas["big"] = os.urandom(MIB)
    for key, data in datas.items():
        store.put(key, data)
    name = {"Bucket": "bucket", "Key": "parts"}
    upload = store.call("create_multipart_upload", **name)["UploadId"]
    parts = []
    for number, body in enumerate((os.urandom(5 * MIB), b"end"), 1):
        put = store.call("upload_part", body=body, **name, UploadId=upload, PartNumber=number)
        parts.append({"PartNumber": number, "ETag": put["ETag"]})
        datas["parts"] = datas.get("parts", b"") + body
    done = {"MultipartUpload": {"Parts": parts}, "UploadId": upload}
    store.call("complete_multipart_upload", **name, **done)
    return datas


def read(store, datas):
    return {key: store.get(key) for key in datas}


def row(room, agency="alice"):
    (found,) = room.rows(agency)
    return found


def test_a_rotation_moves_every_data_key_and_no_object(store, room):
    datas = filled(store)
    store.put("his", b"x", "of-bob", BOB)
    others = row(room, "bob")
    files = {name: store.blobs.path(name).read_bytes() for name in store.files()}
    before = row(room)
    assert (before["objects"], before["bytes"]) == (7, sum(map(len, datas.values())))
    *steps, last = room.rotate(room.chosen("alice", None))
    assert steps == [{"step": "moving data keys", "done": 8, "total": 8}]
    assert last == {"result": [row(room)]}
    now = row(room)
    assert now == before | {"versions": 2, "key": now["key"]}
    assert now["key"] != before["key"]
    assert {name: store.blobs.path(name).read_bytes() for name in store.files()} == files
    datas["after"] = b"new"
    store.put("after", b"new")
    assert read(store, datas) == datas
    assert row(room, "bob") == others
    assert [one["agency"] for one in room.rows("")] == ["alice", "bob"]


def test_a_rotation_that_ends_anywhere_loses_nothing(store, room, monkeypatch):
    """Its steps are its commits: it is cut after each of them in turn."""
    monkeypatch.setattr(upkeep, "REWRAP_BATCH", 3)
    datas = filled(store)
    for cut in range(4):
        rotation = room.rotate(room.chosen("alice", None))
        for _ in range(cut):
            next(rotation)
        rotation.close()
        assert read(store, datas) == datas
        store.put(f"behind-{cut}", b"x")
        datas[f"behind-{cut}"] = b"x"
    assert row(room)["behind"] > 0
    total = row(room)["objects"] + 1  # one has two parts
    *steps, _ = room.rotate(room.chosen("alice", None))
    assert [step["done"] for step in steps][-1] == total
    assert row(room)["behind"] == 0
    assert read(store, datas) == datas


def test_one_change_of_keys_at_a_time(store, room, monkeypatch):
    monkeypatch.setattr(upkeep, "REWRAP_BATCH", 3)
    filled(store)
    first = room.rotate(room.chosen("alice", None))
    next(first)
    with pytest.raises(Unavailable):
        next(room.rotate(room.chosen("alice", None)))
    with pytest.raises(Unavailable):
        destroy(room, room.chosen("alice", None))
    list(first)
    assert row(room)["versions"] == 2
    list(room.rotate(room.chosen("alice", None)))


def test_what_was_destroyed_while_it_waited_is_not_missed(store, room):
    datas = filled(store)
    keys = room.chosen("alice", None)
    destroy(room, room.chosen("alice", None))
    list(room.rotate(keys))
    store.put("new", b"new")
    assert store.get("new") == b"new"
    assert row(room)["lost"] == len(datas)


def test_a_destruction_is_confirmed_then_final(store, room, tmp_path):
    datas = filled(store)
    store.put("his", b"x", "of-bob", BOB)
    list(room.rotate(room.chosen("alice", None)))
    keys = room.chosen("alice", "U")
    size = sum(map(len, datas.values()))
    for confirm in ("", "alice", BOB):
        with pytest.raises(ServiceError, match=rf"makes 7 objects \({size} bytes\).*{ALICE}$"):
            room.check_confirmed("alice", keys, confirm)
    room.check_confirmed("alice", keys, ALICE)
    (gone,) = destroy(room, keys)
    assert store.shredded == [(ALICE, ["U"])]
    assert (gone["lost"], gone["objects"], gone["versions"], gone["destroyed"]) == (7, 0, 0, 2)
    store.content.keyring._families.clear()  # as after a restart
    for key in datas:
        with pytest.raises(ServiceError, match="destroyed") as told:
            store.get(key)
        assert (told.value.code, told.value.status) == ("KMS.NotFoundException", 400)
    assert store.get("his", "of-bob", BOB) == b"x"
    store.put("small-0", b"again")
    assert store.get("small-0") == b"again"
    store.call("delete_object", Bucket="bucket", Key="big")
    assert (row(room)["lost"], row(room)["objects"]) == (5, 1)
    list(room.rotate(room.chosen("alice", None)))
    assert store.get("small-0") == b"again"


@pytest.mark.parametrize("part", [False, True])
def test_nothing_is_stored_under_a_key_that_is_destroyed_meanwhile(store, room, monkeypatch, part):
    name = {"Bucket": "bucket", "Key": "k"}
    if part:
        upload = store.call("create_multipart_upload", **name)["UploadId"]
        name |= {"UploadId": upload, "PartNumber": 1}
    wrap = store.keyring.wrap

    def wrapped(*args):
        made = wrap(*args)
        destroy(room, room.chosen("alice", None))
        return made

    put = "upload_part" if part else "put_object"
    with monkeypatch.context() as patched:
        patched.setattr(store.keyring, "wrap", wrapped)
        with pytest.raises(ServiceError) as told:
            store.call(put, body=bytes(MIB), **name)
    assert (told.value.code, told.value.status) == ("ServiceUnavailable", 503)
    assert row(room)["lost"] == 0
    store.call(put, body=b"again", **name)
    assert (row(room)["lost"], row(room)["behind"]) == (0, 0)


def test_what_is_not_approved_is_neither_lost_nor_on_record(store, room):
    datas = filled(store)
    room.approvals.agreed = False
    with pytest.raises(NotApproved) as waits:
        room.destroy(room.chosen("alice", None), "operator", pytest.fail)
    assert waits.value.request_id == "r-1"
    assert read(store, datas) == datas
    room.approvals.agreed = True
    destroy(room, room.chosen("alice", None))
    ((kind, action, requester),) = room.approvals.used
    assert (kind, requester) == (Kind.KEY_DELETION, "operator")
    (key,) = action["keys"]
    assert (action["account"], key["key"]) == (ALICE, family(*room.keyring.states(ALICE)))


def test_what_there_is_not(room):
    for agency, label in (("nobody", None), ("alice", None), ("alice", "SECRET")):
        with pytest.raises(ServiceError, match="no "):
            room.chosen(agency, label)
    with pytest.raises(ServiceError):
        room.rows("nobody")
    assert room.rows("") == []


def test_a_key_is_named_without_its_label(store, room):
    store.put("k", b"x")
    (key,) = room.chosen("alice", None)
    assert key.living == (f"{family(key)}-1",)
    assert family(key).startswith(ALICE)


def test_a_data_key_that_was_changed_is_named(store, room):
    store.put("k", b"x")
    kek_id = row(room)["key"]
    (blob,) = store.database.read(lambda c: records.blobs_under(c, ALICE, kek_id, 10))
    store.database.write(lambda c: records.rewrap_blob(c, blob, kek_id, bytes(60)))
    with pytest.raises(Tampered, match=blob.object_id):
        list(room.rotate(room.chosen("alice", None)))
