"""A tenant's link in place of its socket leads nowhere: the region's own reach is not lent out."""

import contextlib
import os
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


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="two uids need root")
@pytest.mark.parametrize("listener", [0, 61_002])
def test_a_socket_of_somebody_else_is_not_spoken_to(tmp_path, listener):
    """Wherever it came from: root's own sockets neither."""
    folder, agency = tmp_path / "s", 61_001
    folder.mkdir()
    os.chown(folder, agency, agency)
    for uid, met in ((agency, None), (listener, ConnectionRefusedError)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
            door.bind(str(folder / "http.sock"))
            os.seteuid(uid)  # whom the kernel names is decided by listen(2)
            door.listen()
            os.seteuid(0)
            with pytest.raises(met) if met else contextlib.nullcontext():
                reach.connect(folder / "http.sock").close()
        (folder / "http.sock").unlink()


def test_a_full_queue_does_not_block(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(tmp_path / "http.sock"))
        door.listen(0)
        first = reach.connect(tmp_path / "http.sock")
        with pytest.raises(BlockingIOError):
            reach.connect(tmp_path / "http.sock")
        first.close()
