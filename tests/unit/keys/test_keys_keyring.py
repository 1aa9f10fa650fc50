"""Keys: bound to what they belong to, durable, and gone when destroyed."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.db import Database, key_metadata
from bastide.keys import records
from bastide.keys.keyring import Keyring
from bastide.keys.master import FileMaster
from bastide.keys.opening import open_keyring
from bastide.keys.region_keys import RegionKeys

ACCOUNT, OTHER = "123456789012", "210987654321"
LABEL = "SECRET//TK"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "keys"


@pytest.fixture
def ring(folder):
    return open_keyring(folder)


def test_a_key_stays_itself_over_a_restart(ring, folder):
    kek = ring.current(ACCOUNT, LABEL)
    again = open_keyring(folder)
    assert again.current(ACCOUNT, LABEL) == kek
    assert again.by_id(kek.id) == kek
    assert len(kek.key) == 32


def test_every_account_and_label_has_its_own(ring):
    keys = {ring.current(a, b).key for a in (ACCOUNT, OTHER) for b in (LABEL, "", "U")}
    assert len(keys) == 6


def test_files_are_private_and_do_not_tell_labels(ring, folder):
    ring.current(ACCOUNT, LABEL)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"master.key", "keys.db"}
    for path in files:
        assert path.stat().st_mode & 0o077 == 0
        assert b"SECRET" not in path.read_bytes()
        assert ring.current(ACCOUNT, LABEL).key not in path.read_bytes()


def test_rotation_keeps_the_old_versions(ring, folder):
    old = ring.current(ACCOUNT, LABEL)
    new = ring.rotate(ACCOUNT, LABEL)
    assert new != old
    assert ring.current(ACCOUNT, LABEL) == new
    for each in (ring, open_keyring(folder)):
        assert each.by_id(old.id) == old
        assert each.by_id(new.id) == new


def test_what_is_destroyed_is_gone(ring, folder):
    kept = ring.current(OTHER, LABEL)
    first, second = ring.current(ACCOUNT, LABEL), ring.rotate(ACCOUNT, LABEL)
    assert ring.destroy(ACCOUNT, LABEL) == [first.id, second.id]
    for each in (ring, open_keyring(folder)):
        for kek in (first, second):
            with pytest.raises(KeyError):
                each.by_id(kek.id)
        assert each.by_id(kept.id) == kept
    fresh = ring.current(ACCOUNT, LABEL)
    assert fresh.id not in (first.id, second.id)
    assert ring.destroy("000000000000", LABEL) == []


@pytest.mark.parametrize(
    "kek_id",
    ["", "x", "../../etc/passwd-1", f"{ACCOUNT}-{'0' * 32}-1", f"{ACCOUNT}-../../../etc/hosts-1",
     f"{ACCOUNT}-{'0' * 32}", "\u0661" * 12 + f"-{'0' * 32}-1"],
)  # fmt: skip
def test_unknown_ids(ring, kek_id):
    with pytest.raises(KeyError):
        ring.by_id(kek_id)


@pytest.mark.parametrize("account", ["", "12345678901", "1234567890123", "../../../../", "a" * 12])
def test_what_is_no_account(ring, account):
    with pytest.raises(ValueError, match="account"):
        ring.current(account, LABEL)


def test_a_wrapped_key_is_bound_to_its_kek_and_aad(ring):
    kek, other = ring.current(ACCOUNT, LABEL), ring.current(OTHER, LABEL)
    wrapped = ring.wrap(kek, b"d" * 32, b"bucket/key")
    assert ring.unwrap(kek, wrapped, b"bucket/key") == b"d" * 32
    for key, aad in ((other, b"bucket/key"), (kek, b"bucket/other"), (kek, b"")):
        with pytest.raises(ValueError, match="tampered"):
            ring.unwrap(key, wrapped, aad)
    for place in range(len(wrapped)):
        changed = wrapped[:place] + bytes([wrapped[place] ^ 1]) + wrapped[place + 1 :]
        with pytest.raises(ValueError, match="tampered"):
            ring.unwrap(kek, changed, b"bucket/key")
    for size in range(len(wrapped)):
        with pytest.raises(ValueError, match="tampered"):
            ring.unwrap(kek, wrapped[:size], b"bucket/key")


def test_sealing_separates_purposes(ring, folder):
    sealed = ring.seal("tokens", b"plain", b"aad")
    assert open_keyring(folder).open("tokens", sealed, b"aad") == b"plain"
    for purpose, aad in (("token", b"saad"), ("other", b"aad"), ("tokens", b"")):
        with pytest.raises(ValueError, match="tampered"):
            ring.open(purpose, sealed, aad)


def test_no_byte_of_what_is_sealed_can_be_changed(ring):
    sealed = ring.seal("tokens", b"plain")
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        with pytest.raises(ValueError, match=r"tampered|not sealed"):
            ring.open("tokens", changed)
    for size in range(len(sealed)):
        with pytest.raises(ValueError, match=r"tampered|not sealed"):
            ring.open("tokens", sealed[:size])


@pytest.fixture(scope="module")
def one_ring(tmp_path_factory):
    return open_keyring(tmp_path_factory.mktemp("one") / "keys")


@given(st.binary(max_size=200))
def test_rubbish_is_not_opened(one_ring, rubbish):
    with pytest.raises(ValueError, match=r"tampered|not sealed"):
        one_ring.open("tokens", rubbish)


def test_every_byte_of_the_master_key_matters(ring, folder):
    kek = ring.current(ACCOUNT, LABEL)
    path = folder / "master.key"
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            open_keyring(folder)
    path.write_bytes(whole[:-1])
    with pytest.raises(ValueError, match="damaged"):
        open_keyring(folder)
    path.write_bytes(whole)
    assert open_keyring(folder).by_id(kek.id) == kek


def rows(ring, table):
    return ring.database.read(lambda c: c.execute(table.select()).all())


def put(ring, table, column, value, **where):
    """As whoever has the database but not the master key could."""
    which = [table.c[name] == wanted for name, wanted in where.items()]
    change = table.update().where(*which).values({column: value})
    ring.database.write(lambda c: c.execute(change))


def test_every_byte_of_the_database_s_keys_matters(ring, folder):
    kek = ring.current(ACCOUNT, LABEL)
    (family,) = rows(ring, records.families)
    for place in range(len(family.sealed)):
        changed = bytearray(family.sealed)
        changed[place] ^= 1
        put(ring, records.families, "sealed", bytes(changed))
        fresh = Keyring(ring.database, RegionKeys(ring.database, FileMaster(folder / "master.key")))
        with pytest.raises(ValueError, match=r"tampered|not sealed"):
            fresh.by_id(kek.id)
    put(ring, records.families, "sealed", family.sealed)
    (region_key,) = rows(ring, records.region_keys)
    for place in range(len(region_key.wrapped)):
        changed = bytearray(region_key.wrapped)
        changed[place] ^= 1
        put(ring, records.region_keys, "wrapped", bytes(changed))
        with pytest.raises(ValueError, match="tampered"):
            RegionKeys(ring.database, FileMaster(folder / "master.key"))
    put(ring, records.region_keys, "wrapped", region_key.wrapped)
    assert open_keyring(folder).by_id(kek.id) == kek


def test_a_family_does_not_pass_for_another(ring, folder):
    ring.current(ACCOUNT, LABEL)
    ring.current(OTHER, LABEL)
    one, other = sorted(rows(ring, records.families))
    put(ring, records.families, "sealed", one.sealed, stem=other.stem)
    with pytest.raises(ValueError, match="tampered"):
        open_keyring(folder).current(OTHER, LABEL)


def test_destroyed_keys_are_not_left_in_any_file(ring, folder):
    """What lay in the database is written over, and its journal is cut."""
    ring.current(ACCOUNT, LABEL)
    (family,) = rows(ring, records.families)
    lies = [path for path in folder.rglob("*") if family.sealed[-64:] in path.read_bytes()]
    assert lies
    ring.destroy(ACCOUNT, LABEL)
    lies = [path for path in folder.rglob("*") if family.sealed[-64:] in path.read_bytes()]
    assert lies == []


def test_all_keys_are_renewed_and_the_old_ones_still_open(ring, folder, monkeypatch):
    monkeypatch.setattr("bastide.keys.keyring.ROTATE_BATCH", 2)
    old = [ring.current(f"{n:012}", LABEL) for n in range(5)]
    sealed, gone = ring.seal("tokens", b"plain"), ring.current(OTHER, LABEL)
    ring.destroy(OTHER, LABEL)
    assert list(ring.rotate_all()) == [2, 2, 2]
    for each in (ring, open_keyring(folder)):
        assert each.open("tokens", sealed) == b"plain"
        for n, kek in enumerate(old):
            assert each.by_id(kek.id) == kek
            assert each.current(f"{n:012}", LABEL) != kek
        with pytest.raises(KeyError):
            each.by_id(gone.id)
        (state,) = each.states(OTHER)
        assert state.living == ()
    assert [row.version for row in rows(ring, records.region_keys)] == [1, 2]


def test_a_region_of_files_becomes_one_of_rows(folder):
    """As version 0.1 left it: a file for each family, all sealed under the master key itself."""
    (folder / "keks").mkdir(parents=True)
    master = FileMaster.at(folder / "master.key", is_new=True)
    database = Database(f"sqlite:///{folder}/keys.db", key_metadata)
    database.start(create=True)
    before = Keyring(database, RegionKeys(database, master, first=master.first_region_key()))
    kek, sealed = before.current(ACCOUNT, LABEL), before.seal("tokens", b"plain")
    (family,) = rows(before, records.families)
    as_first = family.sealed[:1].replace(b"\x02", b"\x01") + family.sealed[5:]
    (folder / "keks" / f"{family.stem}.kek").write_bytes(as_first)
    before.close()
    for path in folder.glob("keys.db*"):
        path.unlink()
    after = open_keyring(folder)
    assert after.by_id(kek.id) == kek
    assert after.open("tokens", b"\x01" + sealed[5:]) == b"plain"
    assert list((folder / "keks").iterdir()) == []
    assert master.id == FileMaster(folder / "master.key").id


def test_torn_files_of_a_crash_are_ignored(ring, folder):
    kek = ring.current(ACCOUNT, LABEL)
    (folder / ".master.key.0123456789abcdef.tmp").write_bytes(b"torn")
    assert open_keyring(folder).current(ACCOUNT, LABEL) == kek


def test_a_lost_master_is_not_replaced(ring, folder):
    ring.current(ACCOUNT, LABEL)
    (folder / "master.key").unlink()
    with pytest.raises(FileNotFoundError, match="lost"):
        open_keyring(folder)


def test_a_master_that_others_may_read_is_refused(ring, folder):
    (folder / "master.key").chmod(0o640)
    with pytest.raises(PermissionError, match="chmod 600"):
        open_keyring(folder)


def test_threads_agree(ring):
    seen, start = [], threading.Barrier(8)

    def run():
        start.wait(30)
        seen.append([ring.current(f"{n:012}", LABEL).id for n in range(20)])

    threads = [threading.Thread(target=run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(seen) == 8
    assert all(each == seen[0] for each in seen)


def test_more_families_than_are_kept_in_memory(ring, monkeypatch):
    monkeypatch.setattr("bastide.keys.keyring.FAMILIES_MAX", 3)
    ids = [ring.current(f"{n:012}", LABEL) for n in range(10)]
    assert [ring.by_id(kek.id) for kek in ids] == ids


def test_a_key_does_not_print_itself(ring):
    kek = ring.current(ACCOUNT, LABEL)
    assert kek.key.hex() not in repr(kek)
    assert repr(kek.key) not in repr(kek)
