"""A master key that is in a token: SoftHSM2, which is there wherever CI runs."""

import os
import shutil
import subprocess
from pathlib import Path

import pkcs11
import pytest
from pkcs11 import Attribute, ObjectClass

from bastide.keys import records
from bastide.keys.opening import open_keyring
from bastide.keys.pkcs11_master import Pkcs11Master, TokenError

MODULE = Path("/usr/lib/softhsm/libsofthsm2.so")
ACCOUNT, LABEL, PIN = "123456789012", "SECRET//TK", "0123"


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    """A token of the tests' own; SoftHSM2 reads where it is once in a process."""
    if not MODULE.exists() or not shutil.which("softhsm2-util"):
        if os.environ.get("CI"):
            pytest.fail("softhsm2 is not here; CI must have it")
        pytest.skip("softhsm2 is not here: apt-get install softhsm2")
    home = tmp_path_factory.mktemp("softhsm")
    conf = home / "softhsm2.conf"
    conf.write_text(f"directories.tokendir = {home}\nobjectstore.backend = file\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOFTHSM2_CONF", str(conf))
        subprocess.run(
            ["softhsm2-util", "--init-token", "--free", "--label", "bastide", "--pin", PIN,
             "--so-pin", PIN],
            check=True, capture_output=True,
        )  # fmt: skip
        yield str(MODULE)


def token(module, label="region", pin=PIN):
    return Pkcs11Master(module=module, token="bastide", label=label, pin=pin)


def wrapped_by(ring):
    return [row.master for row in ring.database.read(records.region_keys_of)]


def test_keys_open_with_the_token_alone(module, tmp_path):
    ring = open_keyring(tmp_path / "keys", token=token(module))
    kek, sealed = ring.current(ACCOUNT, LABEL), ring.seal("tokens", b"plain")
    again = open_keyring(tmp_path / "keys", token=token(module))
    assert (again.by_id(kek.id), again.open("tokens", sealed)) == (kek, b"plain")
    assert not (tmp_path / "keys" / "master.key").exists()
    assert list(again.rotate_all()) == [1]
    assert wrapped_by(again) == ["pkcs11:bastide/region"] * 2


def test_the_master_key_does_not_leave_the_token(module):
    master = token(module, "kept").make(is_new=True)
    session = pkcs11.lib(module).get_token(token_label="bastide").open(user_pin=PIN)
    with session:
        (key,) = session.get_objects(
            {Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: "kept"}
        )
        with pytest.raises(pkcs11.exceptions.AttributeSensitive):
            _ = key[Attribute.VALUE]
    wrapped = master.wrap(b"k" * 32, b"aad")
    assert master.unwrap(wrapped, b"aad") == b"k" * 32
    flipped = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    for changed, aad in ((wrapped, b"other"), (flipped, b"aad"), (b"", b"aad")):
        with pytest.raises(ValueError, match="tampered"):
            master.unwrap(changed, aad)
    assert PIN not in repr(master)


def test_a_region_moves_its_master_key_from_a_file_into_the_token(module, tmp_path):
    kek = open_keyring(tmp_path / "keys").current(ACCOUNT, LABEL)
    moved = open_keyring(tmp_path / "keys", token=token(module, "moved"))
    assert moved.by_id(kek.id) == kek
    assert wrapped_by(moved) == ["pkcs11:bastide/moved"]
    assert not (tmp_path / "keys" / "master.key").exists()
    with pytest.raises(FileNotFoundError, match="lost"):
        open_keyring(tmp_path / "keys")
    with pytest.raises(TokenError, match="no key"):
        open_keyring(tmp_path / "keys", token=token(module, "another"))


def test_a_token_that_does_not_open_says_so(module, tmp_path):
    for wrong in (token(module, pin="9999"), token("/nowhere/module.so")):
        with pytest.raises(TokenError):
            open_keyring(tmp_path / "keys", token=wrong)
    assert not (tmp_path / "keys" / "master.key").exists()
