"""A tenant's link in place of its socket leads nowhere: the region's own reach is not lent out."""

import socket

import pytest

from bastide.jobs import reach


def test_a_link_to_another_socket_is_not_followed(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(tmp_path / "other.sock"))
        other.listen()
        (tmp_path / "http.sock").symlink_to(tmp_path / "other.sock")
        with pytest.raises(ConnectionRefusedError):
            reach.connect(tmp_path / "http.sock")
        reach.connect(tmp_path / "other.sock").close()


def test_a_full_queue_does_not_block(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(tmp_path / "http.sock"))
        door.listen(0)
        first = reach.connect(tmp_path / "http.sock")
        with pytest.raises(BlockingIOError):
            reach.connect(tmp_path / "http.sock")
        first.close()
