"""A tenant's link in place of its socket leads nowhere: the region's own reach is not lent out."""

import socket

import pytest

from bastide.serving.unix_http import UnixConnection


def test_a_link_to_another_socket_is_not_followed(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        other.bind(str(tmp_path / "other.sock"))
        other.listen()
        (tmp_path / "http.sock").symlink_to(tmp_path / "other.sock")
        with pytest.raises(ConnectionRefusedError):
            UnixConnection(tmp_path / "http.sock").connect()
        direct = UnixConnection(tmp_path / "other.sock")
        direct.connect()
        direct.close()
