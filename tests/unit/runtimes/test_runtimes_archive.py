"""Agents' ZIPs: good ones are unpacked as they are, and all others are refused whole."""

import io
import random
import stat
import struct
import zipfile

import pytest
from tests.runtimes_kit import packed

from bastide.runtimes import archive
from bastide.runtimes.archive import BadArchive, check, unpack


def entry(name, content=b"x", mode=0, **more):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    for member, value in more.items():
        setattr(info, member, value)
    return info, content


def made(*entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        for info, content in entries:
            target.writestr(info, content)
    return out.getvalue()


def refused(data):
    with pytest.raises(BadArchive) as error:
        check(io.BytesIO(data))
    return str(error.value)


def test_what_is_good_is_unpacked(tmp_path):
    data = made(
        entry("main.py", b"print()", stat.S_IFREG | 0o600),
        entry("bin/run", b"#!", stat.S_IFREG | 0o700),
        entry("lib/", b"", stat.S_IFDIR | 0o700),
        entry("lib/inner/\u00e9.txt", "\u00e9".encode()),
    )
    assert check(io.BytesIO(data)) == {"main.py", "bin/run", "lib/inner/\u00e9.txt"}
    unpack(io.BytesIO(data), tmp_path / "code")
    found = {
        str(path.relative_to(tmp_path / "code")): stat.S_IMODE(path.stat().st_mode)
        for path in (tmp_path / "code").rglob("*")
    }
    assert found == {
        "main.py": 0o644, "bin": 0o755, "bin/run": 0o755, "lib": 0o755, "lib/inner": 0o755,
        "lib/inner/\u00e9.txt": 0o644,
    }  # fmt: skip
    assert (tmp_path / "code/main.py").read_bytes() == b"print()"


@pytest.mark.parametrize("name", [
    "../x", "a/../x", "/x", "a//x", "./x", "a/./x", "a\\x", "a\nx", "x" * 300, "a/" * 40 + "x",
    "..",
])  # fmt: skip
def test_names_that_point_elsewhere(name):
    assert refused(made(entry(name)))


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_links_and_devices(kind):
    assert "link or a device" in refused(made(entry("x", b"/etc/passwd", kind | 0o777)))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_twice():
    assert "twice" in refused(made(entry("x"), entry("x")))
    assert "below it" in refused(made(entry("x"), entry("x/y")))


def test_bombs():
    assert "too much" in refused(packed({"x": bytes(200 * 1024 * 1024)}))
    several = {f"f{number}": random.Random(number).randbytes(40_000) * 30 for number in range(3)}
    assert check(io.BytesIO(packed(several)))  # what is merely large is taken


def test_their_number_and_size_are_bounded(monkeypatch):
    monkeypatch.setattr(archive, "ENTRIES_MAX", 3)
    assert "entries" in refused(packed({str(number): b"" for number in range(4)}))
    monkeypatch.setattr(archive, "ENTRIES_MAX", 100)
    monkeypatch.setattr(archive, "UNPACKED_MAX", 99)
    assert "unpacks to more" in refused(packed({str(number): b"x" * 50 for number in range(2)}))
    monkeypatch.setattr(archive, "PACKED_MAX", 99)
    assert "larger than" in refused(packed({"x": b"x" * 50}))


def test_what_is_not_whole_or_not_all():
    good = packed({"main.py": b"print()" * 100})
    assert refused(b"")
    assert refused(b"PK\x05\x06")
    assert "before" in refused(b"#!/bin/sh\n" + good)
    assert "comment" in refused(good + b"x")
    for at in range(0, len(good), 7):
        refused(good[:at])
    end = good.rindex(b"PK\x05\x06")
    many = bytearray(good)
    struct.pack_into("<2H", many, end + 8, 60_000, 60_000)
    assert "entries" in refused(bytes(many))


def test_no_byte_that_is_changed_does_harm(tmp_path):
    """Refused, or exactly one of the files that such a ZIP may hold: never anything outside."""
    good, dice = packed({"main.py": b"print()", "a/b": b"x" * 50}), random.Random(7)
    for turn in range(400):
        data = bytearray(good)
        for _ in range(dice.randint(1, 3)):
            data[dice.randrange(len(data))] = dice.randrange(256)
        try:
            check(io.BytesIO(data))
        except BadArchive:
            continue
        unpack(io.BytesIO(data), tmp_path / str(turn))
    assert not [path for path in tmp_path.rglob("*") if path.is_symlink()]
    assert {path.name for path in tmp_path.parent.iterdir() if path.is_dir()} >= {tmp_path.name}


def test_what_was_built_for_another_machine_is_told():
    head = b"\x7fELF\x02\x01\x01" + bytes(11)
    arm, own = head + (183).to_bytes(2, "little"), head + (62).to_bytes(2, "little")
    assert "aarch64" in refused(packed({"x.so": arm + bytes(50)}))
    assert check(io.BytesIO(packed({"x.so": own + bytes(50)})))


def test_encrypted_and_strange_packings():
    good = bytearray(packed({"main.py": b"print()"}))
    at = good.index(b"PK\x01\x02")
    encrypted = bytearray(good)
    encrypted[at + 8] |= 1
    assert "encrypted" in refused(bytes(encrypted))
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_BZIP2) as target:
        target.writestr("main.py", "print()")
    assert "way" in refused(out.getvalue())
