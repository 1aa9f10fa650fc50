"""What a tenant leaves behind is gone with its job, whatever they made of it."""

import os

from bastide.jobs.folders import remove

DEEP = 3_000  # more than functions may call themselves, and than a path may be long


def test_a_folder_of_any_depth_is_removed(tmp_path):
    root, beside = tmp_path / "root", tmp_path / "beside"
    root.mkdir()
    beside.mkdir()
    (beside / "kept").touch()
    (root / "link").symlink_to(beside)
    (root / "closed").mkdir(mode=0)
    held = os.open(root, os.O_RDONLY)
    for _ in range(DEEP):
        os.mkdir("deeper", dir_fd=held)
        os.mkfifo("fifo", dir_fd=held)
        inner = os.open("deeper", os.O_RDONLY, dir_fd=held)
        os.close(held)
        held = inner
    os.close(held)
    remove(root)
    assert not root.exists()
    assert (beside / "kept").exists()
    remove(root)
