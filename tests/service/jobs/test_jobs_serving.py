"""Services are reached through a unix socket: their own, or a bridge to their TCP port."""

import os
import sys

import pytest
from tests.jobs_kit import PlainKind, Site, local_executor

from bastide.jobs import reach
from bastide.jobs.model import Bind, Status

PREFIX = os.path.realpath(sys.base_prefix)
PYTHON = f"{PREFIX}/bin/python3"
TCP = (
    "import http.server\n"
    "class H(http.server.BaseHTTPRequestHandler):\n"
    "    def do_GET(self):\n"
    "        self.send_response(200); self.end_headers(); self.wfile.write(b'pong')\n"
    "http.server.HTTPServer(('0.0.0.0', 8080), H).serve_forever()\n"
)
UNIX = (
    "import socket\n"
    "door = socket.socket(socket.AF_UNIX); door.bind('/run/bastide/http.sock'); door.listen()\n"
    "while True:\n"
    "    client, _ = door.accept(); client.recv(4096)\n"
    "    client.sendall(b'HTTP/1.0 200 OK\\r\\n\\r\\npong'); client.close()\n"
)


def get(path):
    with reach.connect(path) as client:
        client.settimeout(5)
        client.sendall(b"GET /ping HTTP/1.0\r\n\r\n")
        answer = b""
        while data := client.recv(4096):
            answer += data
        return answer


class Serving(PlainKind):
    def binds(self, home):
        from pathlib import Path

        return [*super().binds(home), Bind(source=Path(PREFIX), target=PREFIX)]

    def probe(self, job, replica, socket):
        return get(socket).endswith(b"pong")


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path, local_executor(tmp_path), kind=Serving())
    yield made
    made.end()


@pytest.mark.parametrize(("program", "port"), [(TCP, 8080), (UNIX, None)])
def test_it_answers(site, program, port):
    extra = {} if port is None else {"port": port}
    job_id = site.submit(PYTHON, "-I", "-c", program, service=True, **extra)
    site.wait(job_id, Status.READY)
    [path] = site.runner.sockets(job_id)
    for _ in range(5):
        assert get(path).endswith(b"pong")
    site.restart()
    site.wait(job_id, Status.READY)
    assert get(path).endswith(b"pong")
    site.runner.forget(job_id)
    site.wait_gone(job_id)
    assert not path.exists()
