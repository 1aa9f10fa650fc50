"""serve_script.py for real: a process, a unix socket, a user's script."""

import json
import subprocess
import sys
import time

import pytest

from bastide.serving import serve_script
from bastide.serving.unix_http import Asked, Connections, NotAnswered, pieces

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
    while not socket.exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
    yield socket
    process.kill()
    process.communicate()


@pytest.fixture
def connections():
    connections = Connections()
    yield connections
    connections.close()


def post(body=b"x", kind="text/csv", **more):
    headers = {"Content-Type": kind, "Content-Length": str(len(body)), **more}
    return Asked(method="POST", path="/invocations", headers=headers, body=body, timeout_s=10)


def test_ping_and_invoke(server, connections):
    assert connections.ask(server, Asked(method="GET", path="/ping"), 100).status == 200
    for _ in range(3):
        answer = connections.ask(server, post("é".encode()), 1000)
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert json.loads(answer.body) == ["M", "é"]
    assert len(connections._idle[server]) == 1  # one connection did it all


def test_bytes_stay_bytes(server, connections):
    answer = connections.ask(server, post(b"\xff\xfe", "application/octet-stream"), 1000)
    assert json.loads(answer.body) == ["M", 2]


@pytest.mark.parametrize(
    ("body", "kind", "accept", "status", "said"),
    [
        (b"x", "bad/type", "*/*", 500, b"ValueError: cannot read that"),
        (b"\xff", "text/csv", "*/*", 400, b"utf-8"),
        (b"x", "text/csv", "image/png", 406, b"image/png"),
    ],
)
def test_errors_are_answers(server, connections, body, kind, accept, status, said):
    answer = connections.ask(server, post(body, kind, Accept=accept), 1000)
    assert answer.status == status
    assert said in answer.body
    assert connections.ask(server, post(), 1000).status == 200


def test_other_paths_and_sizes(server, connections):
    assert connections.ask(server, Asked(method="GET", path="/x"), 100).status == 404
    huge = Asked(method="POST", path="/invocations", headers={"Content-Length": str(10**12)})
    assert connections.ask(server, huge, 100).status == 413
    with pytest.raises(NotAnswered, match="larger"):
        connections.ask(server, post(b"y" * 1000), 10)


def test_streamed(server, connections):
    with connections.open(server, post(b"y" * 200_000)) as (status, _, response):
        assert status == 200
        assert sum(len(chunk) for chunk in pieces(response)) > 200_000
    assert len(connections._idle[server]) == 1


def test_nobody_listens(tmp_path, connections):
    with pytest.raises(NotAnswered):
        connections.ask(tmp_path / "none.sock", post(), 10)


def test_a_long_name_can_be_reached(tmp_path, connections):
    deep = tmp_path / ("d" * 100)
    deep.mkdir()
    socket, process = start(tmp_path)
    try:
        deadline = time.monotonic() + 20
        while not socket.exists():
            assert time.monotonic() < deadline
        socket.rename(deep / "http.sock")
        assert connections.ask(deep / "http.sock", post(), 1000).status == 200
    finally:
        process.kill()
        process.communicate()


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
