"""What the shim measures."""

import os

import pytest

from bastide.jobs.folders import remove
from bastide.jobs.shim import disk_is_full

MIB = 1 << 20


@pytest.mark.parametrize(("size", "full"), [(MIB - 65536, False), (MIB, True), (MIB + 4096, True)])
def test_a_disk_is_full_where_its_limit_is_reached(tmp_path, size, full):
    (tmp_path / "below").mkdir()
    with open(tmp_path / "below/file", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, size)
    assert disk_is_full([str(tmp_path)], MIB) is full


def test_a_hole_is_not_on_the_disk(tmp_path):
    with open(tmp_path / "sparse", "wb") as file:
        file.truncate(8 * MIB)
    assert not disk_is_full([str(tmp_path)], MIB)


@pytest.mark.parametrize(("count", "full"), [(255, False), (256, True)])
def test_empty_files_use_up_the_disk(tmp_path, count, full):
    for number in range(count):
        (tmp_path / str(number)).touch()
    assert disk_is_full([str(tmp_path)], MIB) is full


def test_what_is_too_deep_to_be_looked_at_uses_up_the_disk(tmp_path):
    place = os.open(tmp_path, os.O_RDONLY)
    for _ in range(20):  # names end at 4,095 bytes
        os.mkdir("n" * 250, dir_fd=place)
        inner = os.open("n" * 250, os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = inner
    os.close(place)
    assert disk_is_full([str(tmp_path)], MIB)
    remove(tmp_path)
