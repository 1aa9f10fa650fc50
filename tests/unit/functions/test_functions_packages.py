"""Zips that are taken, and that are not."""

import io
import stat
import zipfile

import pytest

from bastide.functions import packages
from bastide.kernel.errors import ServiceError


def zipped(*entries, compression=zipfile.ZIP_DEFLATED):
    """Of (name, text, mode)."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as archive:
        for name, text, mode in entries:
            info = zipfile.ZipInfo("x")
            info.filename = name
            info.external_attr = mode << 16
            info.compress_type = compression
            archive.writestr(info, text)
    return data.getvalue()


FILE = stat.S_IFREG | 0o644


def test_files_and_folders_are_unpacked(tmp_path):
    data = zipped(
        ("app.py", "1", FILE), ("pack/", "", stat.S_IFDIR | 0o755),
        ("pack/inner/__init__.py", "2", 0), ("run.sh", "3", stat.S_IFREG | 0o700),
    )  # fmt: skip
    packages.check(data)
    folder = tmp_path / "task"
    folder.mkdir(0o700)
    packages.unpack(data, folder)
    found = {str(p.relative_to(folder)): p for p in folder.rglob("*") if p.is_file()}
    assert sorted(found) == ["app.py", "pack/inner/__init__.py", "run.sh"]
    assert stat.S_IMODE(found["run.sh"].stat().st_mode) == 0o755
    assert stat.S_IMODE((folder / "pack").stat().st_mode) == 0o755


def flipped(data):
    at = data.index(b"hello")
    return data[:at] + b"jello" + data[at + 5 :]


@pytest.mark.parametrize(
    "data",
    [
        b"", b"PK", b"x" * 100, zipped(), zipped(("a", "1", FILE))[:-8],
        zipped(("../a", "1", FILE)), zipped(("/a", "1", FILE)), zipped(("a//b", "1", FILE)),
        zipped(("a/./b", "1", FILE)), zipped(("a\\b", "1", FILE)), zipped(("a\0b", "1", FILE)),
        zipped(("a\nb", "1", FILE)), zipped(("a" * 600, "1", FILE)),
        zipped(("/".join("a" * 30), "1", FILE)),
        zipped(("a", "b", stat.S_IFLNK | 0o777)), zipped(("a", "b", stat.S_IFCHR | 0o600)),
        zipped(("a", "b", stat.S_IFDIR | 0o755)),
        zipped(("a", "1", FILE), ("a/b", "2", FILE)),
        zipped(("a", "1", FILE), compression=zipfile.ZIP_LZMA),
        zipped(*((f"{n}", "", FILE) for n in range(5_001))),
        flipped(zipped(("a", "hello", FILE), compression=zipfile.ZIP_STORED)),
    ],
    ids=lambda data: data[:40].hex(),
)  # fmt: skip
def test_what_is_no_package_is_refused(data):
    with pytest.raises(ServiceError) as caught:
        packages.check(data)
    assert caught.value.code == "InvalidParameterValueException"


def test_two_files_of_one_name_are_refused():
    with pytest.warns(UserWarning, match="Duplicate"):
        data = zipped(("a", "1", FILE), ("a", "2", FILE))
    with pytest.raises(ServiceError, match="one name"):
        packages.check(data)


def test_a_bomb_is_refused_before_it_goes_off():
    bomb = zipped(*((f"{n}", b"\0" * (1 << 20), FILE) for n in range(101)))
    assert len(bomb) < 1 << 20
    with pytest.raises(ServiceError, match="Unzipped size"):
        packages.check(bomb)


def test_one_that_is_encrypted_is_refused():
    data = bytearray(zipped(("a", "1", FILE)))
    at = data.index(b"PK\x01\x02")
    data[at + 8] |= 1
    with pytest.raises(ServiceError, match="encrypted"):
        packages.check(bytes(data))
