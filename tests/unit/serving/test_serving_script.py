"""serve_script.py for real: a process, a unix socket, a user's script."""

import contextlib
import http.client
import json
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from bastide.jobs import ping, reach
from bastide.serving import serve_script

USER = """
import json
def model_fn(model_dir):
    return open(model_dir + "/m.txt").read()
def input_fn(body, content_type):
    if content_type == "bad/type":
        raise ValueError("cannot read that")
    return body
def predict_fn(data, model):
    return [model, data if isinstance(data, str) else len(data)]
"""


def start(tmp_path, source=USER):
    code = tmp_path / "model/code"
    code.mkdir(parents=True)
    (tmp_path / "model/m.txt").write_text("M")
    if source is not None:
        (code / "inference.py").write_text(source)
    socket = tmp_path / "http.sock"
    return socket, subprocess.Popen(
        [sys.executable, serve_script.__file__, str(socket)],
        env={"SM_MODEL_DIR": str(tmp_path / "model")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def server(tmp_path):
    socket, process = start(tmp_path)
    deadline = time.monotonic() + 20
    while not ping.answers(socket):
        assert process.poll() is None
        assert time.monotonic() < deadline
    yield socket
    process.kill()
    process.communicate()


@contextlib.contextmanager
def connected(path):
    connection = http.client.HTTPConnection("localhost")
    connection.sock = reach.connect(path)
    connection.sock.settimeout(10)
    yield connection
    connection.close()


def ask(connection, method, path, body=None, **headers):
    connection.request(method, path, body, headers)
    answer = connection.getresponse()
    return SimpleNamespace(status=answer.status, headers=answer.headers, body=answer.read())


def post(path, body=b"x", kind="text/csv", **more):
    with connected(path) as connection:
        return ask(connection, "POST", "/invocations", body, **{"Content-Type": kind}, **more)


def test_ping_and_invoke(server):
    assert ping.answers(server)
    with connected(server) as one:  # one connection does it all
        for _ in range(3):
            kind = {"Content-Type": "text/csv"}
            answer = ask(one, "POST", "/invocations", "é".encode(), **kind)
            assert answer.status == 200
            assert answer.headers["content-type"] == "application/json"
            assert json.loads(answer.body) == ["M", "é"]


def test_bytes_stay_bytes(server):
    answer = post(server, b"\xff\xfe", "application/octet-stream")
    assert json.loads(answer.body) == ["M", 2]


@pytest.mark.parametrize(
    ("body", "kind", "accept", "status", "said"),
    [
        (b"x", "bad/type", "*/*", 500, b"ValueError: cannot read that"),
        (b"\xff", "text/csv", "*/*", 400, b"utf-8"),
        (b"x", "text/csv", "image/png", 406, b"image/png"),
    ],
)
def test_errors_are_answers(server, body, kind, accept, status, said):
    answer = post(server, body, kind, Accept=accept)
    assert answer.status == status
    assert said in answer.body
    assert post(server).status == 200


def test_other_paths_and_sizes(server):
    with connected(server) as connection:
        assert ask(connection, "GET", "/x").status == 404
        huge = {"Content-Length": str(10**12)}
        assert ask(connection, "POST", "/invocations", **huge).status == 413


def test_nobody_listens(tmp_path):
    assert not ping.answers(tmp_path / "none.sock")


def test_a_long_name_can_be_reached(tmp_path, server):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    server.rename(deep / "http.sock")
    assert post(deep / "http.sock").status == 200


def test_without_model_fn_it_says_so(tmp_path):
    _, process = start(tmp_path, source=None)
    _, said = process.communicate(timeout=20)
    assert process.returncode == 1
    assert b"Please provide a model_fn implementation." in said


def test_a_module_may_transform():
    class Module:
        model_fn = staticmethod(lambda folder: folder)
        transform_fn = staticmethod(lambda model, data, kind, accept: (f"{model}{data}", "a/b"))

    script = serve_script.Script(Module, "M")
    assert script.answer(b"x", "text/csv", "") == (b"Mx", "a/b")
