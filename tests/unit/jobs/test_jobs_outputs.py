"""Trees and archives that users made: nothing gets out, nothing hangs, nothing explodes."""

import contextlib
import errno
import io
import os
import socket
import tarfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.jobs import outputs
from bastide.jobs.ports import JobFailed


def tar_of(*entries, mode="w:gz"):
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as tar:
        for name, kind, content in entries:
            info = tarfile.TarInfo(name)
            info.type = kind
            if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE):
                info.linkname = content
                tar.addfile(info)
            else:
                data = content if isinstance(content, bytes) else b""
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    return made.getvalue()


def unpack(data, target, size_max=1 << 20):
    return outputs.unpack(io.BytesIO(data), target, size_max=size_max, compressed_size=len(data))


def test_what_is_packed_comes_back(tmp_path):
    root = tmp_path / "model"
    (root / "a").mkdir(parents=True)
    (root / "a" / "weights").write_bytes(b"w" * 70_000)
    (root / "a" / "link").symlink_to("weights")
    made = io.BytesIO()
    assert outputs.pack(root, made, size_max=1 << 20) == 70_000
    assert unpack(made.getvalue(), tmp_path / "back") == 70_000
    assert (tmp_path / "back/a/link").read_bytes() == b"w" * 70_000


def test_a_folder_that_becomes_a_link_is_not_entered(tmp_path):
    """A running job may swap it between two steps of the walk."""
    root, outside = tmp_path / "root", tmp_path / "outside"
    (root / "a").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_text("s")
    walking = outputs.walk(root)
    assert next(walking).name == "a"
    (root / "a").rename(root / "b")
    (root / "a").symlink_to(outside)
    with pytest.raises(JobFailed, match="a cannot be read"):
        list(walking)


def test_a_folder_of_too_many_files_is_not_read_to_its_end(tmp_path, monkeypatch):
    """Empty files cost nothing to make, and their names would all be in memory."""
    for number in range(20):
        (tmp_path / str(number)).touch()
    read, scandir = [], os.scandir

    @contextlib.contextmanager
    def counted(folder):
        with scandir(folder) as found:
            yield (read.append(entry.name) or entry for entry in found)

    monkeypatch.setattr(outputs, "ENTRIES_MAX", 10)
    monkeypatch.setattr(outputs.os, "scandir", counted)
    with pytest.raises(JobFailed, match="more than 10 files"):
        list(outputs.walk(tmp_path))
    assert len(read) == 11
    assert not outputs.is_empty(tmp_path)
    assert len(read) == 12


def test_sparse_files_count_as_what_they_hold(tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(1 << 40)
    assert [each.size for each in outputs.files(tmp_path, size_max=1 << 40)] == [1 << 40]
    with pytest.raises(JobFailed, match="sparse: the files hold more than"):
        list(outputs.files(tmp_path, size_max=(1 << 40) - 1))


def test_a_name_that_is_no_text_can_be_packed_and_is_no_key(tmp_path):
    (tmp_path / "root").mkdir()
    with open(os.path.join(os.fsencode(tmp_path / "root"), b"b\xff"), "wb") as file:
        file.write(b"x")
    made = io.BytesIO()
    outputs.pack(tmp_path / "root", made, size_max=10)
    with tarfile.open(fileobj=io.BytesIO(made.getvalue())) as tar:
        assert [os.fsencode(name) for name in tar.getnames()] == [b"b\xff"]
    with pytest.raises(JobFailed, match="is not named in UTF-8") as refused:
        list(outputs.files(tmp_path / "root", size_max=10))
    str(refused.value).encode()


def test_the_reason_of_a_failure_can_always_be_stored():
    assert str(JobFailed("b\udcff is odd")) == "b? is odd"


def test_packing_twice_gives_the_same_files(tmp_path):
    (tmp_path / "f").write_text("x")
    first, second = io.BytesIO(), io.BytesIO()
    outputs.pack(tmp_path, first, size_max=10)
    os.utime(tmp_path / "f", (1, 1))
    outputs.pack(tmp_path, second, size_max=10)
    with tarfile.open(fileobj=io.BytesIO(first.getvalue())) as tar:
        assert [each.mtime for each in tar] == [0]
    assert first.getvalue()[8:] == second.getvalue()[8:]


@pytest.mark.parametrize("kind", ["fifo", "socket", "outside", "absolute", "up"])
def test_what_is_no_file_fails_by_name(tmp_path, kind):
    path = tmp_path / "model" / "odd\n"
    path.parent.mkdir()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as door:
            door.bind(str(path))
    else:
        path.symlink_to({"outside": "../x", "absolute": "/etc/passwd", "up": "a/../../x"}[kind])
    with pytest.raises(JobFailed, match=r"^odd\\n is "):
        outputs.pack(path.parent, io.BytesIO(), size_max=1 << 20)


def test_a_link_on_the_way_is_not_followed(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "dir").symlink_to("/etc")
    with pytest.raises(JobFailed):
        outputs.open_file(tmp_path / "model", "dir/passwd")


def test_too_large_to_pack(tmp_path):
    (tmp_path / "f").write_bytes(bytes(100))
    with pytest.raises(JobFailed, match="too large"):
        outputs.pack(tmp_path, io.BytesIO(), size_max=99)


BAD = {
    "up": [("../x", tarfile.REGTYPE, b"x")],
    "absolute": [("/tmp/x", tarfile.REGTYPE, b"x")],
    "inner up": [("a/../../x", tarfile.REGTYPE, b"x")],
    "link out": [("a", tarfile.SYMTYPE, "../../etc")],
    "absolute link": [("a", tarfile.SYMTYPE, "/etc/passwd")],
    "through a link": [("a", tarfile.SYMTYPE, "b"), ("a/x", tarfile.REGTYPE, b"x")],
    "hard link out": [("a", tarfile.LNKTYPE, "../../../etc/passwd")],
    "hard link to nothing": [("a", tarfile.LNKTYPE, "b")],
    "device": [("a", tarfile.CHRTYPE, None)],
    "fifo": [("a", tarfile.FIFOTYPE, None)],
    "large": [("a", tarfile.REGTYPE, bytes(2 << 20))],
    "deep": [("/".join("d" * 100), tarfile.REGTYPE, b"x")],
}


@pytest.mark.parametrize("name", BAD)
def test_bad_archives(tmp_path, name):
    with pytest.raises(JobFailed):
        unpack(tar_of(*BAD[name]), tmp_path / "in")
    assert sorted(os.listdir(tmp_path)) == ["in"]


def test_a_bomb_is_stopped_by_its_ratio(tmp_path, monkeypatch):
    monkeypatch.setattr(outputs, "RATIO_FREE_BYTES", 1 << 20)
    bomb = tar_of(("zeros", tarfile.REGTYPE, bytes(32 << 20)))
    with pytest.raises(JobFailed):
        unpack(bomb, tmp_path / "in", size_max=1 << 40)
    assert (tmp_path / "in/zeros").stat().st_size < 16 << 20


def test_the_last_of_a_name_wins_without_following_it(tmp_path):
    data = tar_of(
        ("keep", tarfile.REGTYPE, b"1"),
        ("a", tarfile.SYMTYPE, "keep"),
        ("a", tarfile.REGTYPE, b"2"),
    )
    unpack(data, tmp_path / "in")
    assert (tmp_path / "in/keep").read_bytes() == b"1"
    assert (tmp_path / "in/a").read_bytes() == b"2"


@given(st.binary(max_size=3000))
def test_any_bytes_are_refused_or_unpacked(tmp_path_factory, data):
    target = tmp_path_factory.mktemp("any")
    with contextlib.suppress(JobFailed):
        unpack(data, target / "in")
    assert os.listdir(target) in (["in"], [])


def leads_to(path: str) -> str:
    """Where a name ends; a link that goes round in circles ends where it is."""
    try:
        return os.path.realpath(path, strict=True)
    except OSError as error:
        return path if error.errno == errno.ELOOP else os.path.realpath(path)


NAMES = st.text("ab./", min_size=1, max_size=8)
KINDS = st.sampled_from([tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.DIRTYPE])


@given(st.lists(st.tuples(NAMES, KINDS, NAMES), max_size=6))
def test_no_archive_writes_outside(tmp_path_factory, entries):
    target = tmp_path_factory.mktemp("out")
    made = [
        (name, kind, text if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else text.encode())
        for name, kind, text in entries
    ]
    with contextlib.suppress(JobFailed):
        unpack(tar_of(*made, mode="w"), target / "in")
    assert os.listdir(target) in (["in"], [])
    for folder, folders, files in os.walk(target / "in"):
        for name in (*folders, *files):
            real = leads_to(os.path.join(folder, name))
            assert real.startswith(str(target / "in")), (entries, name)


def test_an_extended_header_is_not_taken_into_memory(tmp_path):
    """tarfile holds PAX headers and long names whole; a declared gigabyte is refused unread."""
    for kind in (tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME):
        info = tarfile.TarInfo("x")
        info.type, info.size = kind, 1024**3
        with pytest.raises(JobFailed, match="too large"):
            outputs.unpack(
                io.BytesIO(info.tobuf(tarfile.GNU_FORMAT) + bytes(10_240)),
                tmp_path / "out",
                size_max=2 * 1024**3,
                compressed_size=10_752,
            )
