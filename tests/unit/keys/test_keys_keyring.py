"""Keys: bound to what they belong to, durable, and gone when destroyed."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.keys.keyring import Keyring

ACCOUNT, OTHER = "123456789012", "210987654321"
LABEL = "SECRET//TK"


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "keys"


@pytest.fixture
def ring(folder):
    return Keyring(folder)


def test_a_key_stays_itself_over_a_restart(ring, folder):
    kek = ring.current(ACCOUNT, LABEL)
    again = Keyring(folder)
    assert again.current(ACCOUNT, LABEL) == kek
    assert again.by_id(kek.id) == kek
    assert len(kek.key) == 32


def test_every_account_and_label_has_its_own(ring):
    keys = {ring.current(a, b).key for a in (ACCOUNT, OTHER) for b in (LABEL, "", "U")}
    assert len(keys) == 6


def test_files_are_private_and_do_not_tell_labels(ring, folder):
    ring.current(ACCOUNT, LABEL)
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) == 2
    for path in files:
        assert path.stat().st_mode & 0o077 == 0
        assert b"SECRET" not in path.read_bytes()
        assert "SECRET" not in path.name
        assert ring.current(ACCOUNT, LABEL).key not in path.read_bytes()


def test_rotation_keeps_the_old_versions(ring, folder):
    old = ring.current(ACCOUNT, LABEL)
    new = ring.rotate(ACCOUNT, LABEL)
    assert new != old
    assert ring.current(ACCOUNT, LABEL) == new
    for each in (ring, Keyring(folder)):
        assert each.by_id(old.id) == old
        assert each.by_id(new.id) == new


def test_what_is_destroyed_is_gone(ring, folder):
    kept = ring.current(OTHER, LABEL)
    first, second = ring.current(ACCOUNT, LABEL), ring.rotate(ACCOUNT, LABEL)
    assert ring.destroy(ACCOUNT, LABEL) == [first.id, second.id]
    for each in (ring, Keyring(folder)):
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
    assert Keyring(folder).open("tokens", sealed, b"aad") == b"plain"
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


@given(st.binary(max_size=200))
def test_rubbish_is_not_opened(tmp_path_factory, rubbish):
    ring = Keyring(tmp_path_factory.getbasetemp() / "rubbish")
    with pytest.raises(ValueError, match=r"tampered|not sealed"):
        ring.open("tokens", rubbish)


def test_every_byte_of_every_file_matters(ring, folder):
    kek = ring.current(ACCOUNT, LABEL)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        whole = path.read_bytes()
        for place in range(len(whole)):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            with pytest.raises(ValueError, match=r"damaged|tampered|not sealed"):
                Keyring(folder).by_id(kek.id)
        path.write_bytes(whole[:-1])
        with pytest.raises(ValueError, match=r"damaged|tampered|not sealed"):
            Keyring(folder).by_id(kek.id)
        path.write_bytes(whole)
    assert Keyring(folder).by_id(kek.id) == kek


def test_a_family_file_does_not_pass_for_another(ring, folder):
    ring.current(ACCOUNT, LABEL)
    ring.current(OTHER, LABEL)
    one, other = sorted((folder / "keks").glob("*.kek"))
    other.write_bytes(one.read_bytes())
    with pytest.raises(ValueError, match="tampered"):
        Keyring(folder).current(OTHER, LABEL)


def test_torn_files_of_a_crash_are_ignored(ring, folder):
    kek = ring.current(ACCOUNT, LABEL)
    (folder / ".master.key.0123456789abcdef.tmp").write_bytes(b"torn")
    (folder / "keks" / f".{kek.id[:-2]}.kek.0123456789abcdef.tmp").write_bytes(b"torn")
    assert Keyring(folder).current(ACCOUNT, LABEL) == kek


def test_a_lost_master_is_not_replaced(ring, folder):
    ring.current(ACCOUNT, LABEL)
    (folder / "master.key").unlink()
    with pytest.raises(FileNotFoundError, match="lost"):
        Keyring(folder)


def test_a_master_that_others_may_read_is_refused(ring, folder):
    (folder / "master.key").chmod(0o640)
    with pytest.raises(PermissionError, match="chmod 600"):
        Keyring(folder)


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
    monkeypatch.setattr("bastide.keys.keyring.FILES_MAX", 3)
    ids = [ring.current(f"{n:012}", LABEL) for n in range(10)]
    assert [ring.by_id(kek.id) for kek in ids] == ids


def test_a_key_does_not_print_itself(ring):
    kek = ring.current(ACCOUNT, LABEL)
    assert kek.key.hex() not in repr(kek)
    assert repr(kek.key) not in repr(kek)
