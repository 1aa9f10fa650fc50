"""What a tenant leaves behind is walked and goes with its job, whatever they made of it."""

import os

import pytest
from tests.jobs_kit import DEEP, deep

from bastide.jobs.folders import remove, walk
from bastide.jobs.local_executor import give


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """A tree of that depth; it goes by `remove`, as nothing else takes it away."""
    made = deep(tmp_path_factory.mktemp("deep"))
    yield made
    remove(made)


def test_a_folder_of_any_depth_is_removed(deep_path):
    root = deep(deep_path)
    (root / "closed").chmod(0)
    remove(root)
    assert not root.exists()
    assert (root.parent / "beside/kept").exists()
    remove(root)


def test_a_folder_of_any_depth_is_walked_with_one_open_at_a_time(root):
    before, most, found = len(os.listdir("/proc/self/fd")), 0, []
    for held, folders, files in walk(root):
        most = max(most, len(os.listdir("/proc/self/fd")))
        found += [*folders, *files]
        assert os.fstat(held).st_ino
    assert sorted(set(found)) == ["closed", "deeper", "fifo", "link"]
    assert (found.count("deeper"), found.count("fifo")) == (DEEP, DEEP)
    assert most <= before + 1
    assert len(os.listdir("/proc/self/fd")) == before


def test_what_the_caller_takes_out_is_not_entered(root):
    seen = []
    for _, folders, files in walk(root):
        folders[:] = [name for name in folders if name != "deeper"]
        seen += files
    assert sorted(seen) == ["fifo", "link"]


def test_a_folder_that_is_moved_under_the_walk_leads_nowhere_else(tmp_path):
    inner = tmp_path / "root" / "inner"
    inner.mkdir(parents=True)
    (tmp_path / "beside").mkdir()
    walking = walk(tmp_path / "root")
    next(walking)
    next(walking)
    inner.rename(tmp_path / "beside" / "inner")
    with pytest.raises(OSError, match="moved"):
        next(walking)


def test_all_of_a_folder_of_any_depth_is_given(root):
    give(root, os.getuid())
    if os.getuid() == 0:
        give(root, 54_321)
        owners = {
            os.stat(name, dir_fd=held, follow_symlinks=False).st_uid
            for held, folders, files in walk(root)
            for name in (*folders, *files)
        }
        assert owners == {54_321}
        assert (root.parent / "beside/kept").stat().st_uid == 0
