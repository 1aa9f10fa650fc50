"""Long work that the region does not end: what came of it is never taken for the whole."""

import contextlib
import socket
import threading

import pytest

from bastide.cli.control import CommandFailed, Control
from bastide.settings import load

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
STEP, RESULT = b'{"step": "first"}\n', b'{"result": 1}\n'


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


@pytest.fixture
def answering(tmp_path):
    """`answering(data)` is the control of a region that answers so, and ends the connection."""
    site = load({"BASTIDE_HOME": str(tmp_path)})
    path = site.control_socket("here")
    path.parent.mkdir(parents=True)
    with contextlib.ExitStack() as held:

        def answer(data):
            door = held.enter_context(socket.socket(socket.AF_UNIX))
            door.bind(str(path))
            door.listen()

            def once():
                connection, _ = door.accept()
                with connection:
                    asked = b""
                    while not asked.endswith(b"{}"):
                        asked += connection.recv(65536)
                    connection.sendall(data)

            thread = threading.Thread(target=once)
            thread.start()
            held.callback(thread.join)
            return Control(site, "here", timeout_s=20)

        yield answer


@pytest.mark.parametrize(
    "cut",
    [
        b"",
        HEAD,
        HEAD + chunk(STEP),
        HEAD + chunk(STEP) + b"5\r\n{",
        HEAD + chunk(STEP) + chunk(RESULT[:-1]),
        HEAD + chunk(STEP) + b"0\r\n\r\n",
        HEAD + chunk(STEP + RESULT + STEP) + b"0\r\n\r\n",
    ],
    ids=[
        "unheard",
        "at once",
        "after a step",
        "in a chunk",
        "in the last line",
        "ended",
        "not at its end",
    ],
)  # fmt: skip
def test_what_breaks_off_is_no_success(answering, cut):
    with pytest.raises(CommandFailed, match="Region here broke off before that was done"):
        list(answering(cut).steps("/work"))


def test_what_ends_with_a_result_is(answering):
    control = answering(HEAD + chunk(STEP) + chunk(RESULT) + b"0\r\n\r\n")
    assert list(control.steps("/work")) == [{"step": "first"}, {"result": 1}]
