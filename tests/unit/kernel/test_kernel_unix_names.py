"""A socket is reached however deep its folder is."""

import os
import socket

import pytest

from bastide.kernel.unix_names import short_name


def test_a_deep_socket_is_bound_and_connected_to(tmp_path):
    path = tmp_path / ("deep" * 40) / "door.sock"
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as door, socket.socket(socket.AF_UNIX) as caller:
        with pytest.raises(OSError, match="too long"):
            door.bind(str(path))
        with short_name(path) as name:
            door.bind(name)
        door.listen()
        with short_name(path) as name:
            caller.connect(name)
    assert path.is_socket()


def test_nothing_stays_open(tmp_path):
    before = os.listdir("/proc/self/fd")
    with pytest.raises(ConnectionRefusedError), short_name(tmp_path / "x"):
        raise ConnectionRefusedError
    with pytest.raises(FileNotFoundError), short_name(tmp_path / "not" / "there"):
        pass
    assert os.listdir("/proc/self/fd") == before
