"""A health check holds its thread no longer than it may, whatever the tenant's server says."""

import contextlib
import socket
import threading

import pytest

from bastide.jobs import ping

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
WAIT_S = 10.0  # for a thread that should be done long before


@contextlib.contextmanager
def server(folder, pieces, every_s=0.0):
    """Says these pieces to whoever asks, until there is nobody to say them to."""
    path, over = folder / "http.sock", threading.Event()

    def serve():
        with contextlib.suppress(OSError):
            client, _ = door.accept()
            with client:
                client.recv(4096)
                for piece in pieces:
                    client.sendall(piece)
                    if over.wait(every_s):
                        return

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.bind(str(path))
        door.listen()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield path
        over.set()
        thread.join(WAIT_S)


def without_end(piece):
    while True:
        yield piece


def test_what_it_says_is_heard(tmp_path):
    with server(tmp_path, [b"HTTP/1.1 100 Continue\r\n\r\n", OK]) as path:
        assert ping.said(path) == b"{}"


@pytest.mark.parametrize(
    ("piece", "every_s"),
    [(b"HTTP/1.1 100 Continue\r\n\r\n", 0.0), (b"HTTP/1.1 100 Continue\r\n\r\n", 0.02)],
    ids=["without end", "now and then"],
)
def test_an_answer_that_does_not_end_is_none(tmp_path, monkeypatch, piece, every_s):
    monkeypatch.setattr(ping, "TIMEOUT_S", 0.3)
    heard = []
    with server(tmp_path, without_end(piece), every_s) as path:
        asking = threading.Thread(target=lambda: heard.append(ping.said(path)), daemon=True)
        asking.start()
        asking.join(WAIT_S)
        assert heard == [None]
