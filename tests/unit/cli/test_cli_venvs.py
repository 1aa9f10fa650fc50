"""Venvs of clients: made once for each lock file, and never taken for made when they are not."""

from contextlib import contextmanager

import pytest

from bastide.cli.control import CommandFailed
from bastide.cli.venvs import python_of


class Told:
    def __init__(self):
        self.times = 0

    @contextmanager
    def __call__(self):
        self.times += 1
        yield


def test_made_once_for_each_lock(tmp_path):
    lock, told = tmp_path / "lock.txt", Told()
    lock.write_text("# nothing\n")
    python = python_of(tmp_path / "home", lock, told)
    assert python.exists()
    assert python_of(tmp_path / "home", lock, told) == python
    assert told.times == 1
    lock.write_text("# nothing, again\n")
    python_of(tmp_path / "home", lock, told)
    assert told.times == 2


def test_what_cannot_be_installed_is_not_taken_for_made(tmp_path):
    lock = tmp_path / "lock.txt"
    lock.write_text("no/such name\n")
    for _ in range(2):
        with pytest.raises(CommandFailed, match=r"lock\.txt cannot be installed"):
            python_of(tmp_path / "home", lock)
