"""The server inside an endpoint's sandbox: model_fn, input_fn, predict_fn, output_fn over HTTP.

Run by the environment's own interpreter as one file, so it imports nothing of Bastide; numpy only
if it is there. The model is loaded before the socket appears, so whoever can connect is served.
Defaults are those of AWS's scikit-learn container
(https://sagemaker.readthedocs.io/en/stable/frameworks/sklearn/using_sklearn.html).
"""

from __future__ import annotations

import importlib
import io
import json
import os
import socketserver
import sys
import traceback
from http.server import BaseHTTPRequestHandler
from typing import Any

BODY_SIZE_MAX = 64 * 1024 * 1024
CSV, JSON, NPY = "text/csv", "application/json", "application/x-npy"
TEXT_TYPES = (CSV, JSON)
NO_MODEL_FN = (
    "Please provide a model_fn implementation.\n"
    "See documentation for model_fn at https://github.com/aws/sagemaker-python-sdk"
)


class Refused(Exception):
    """The request cannot be served as it is; `status` says why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def default_model_fn(model_dir: str) -> Any:
    raise NotImplementedError(NO_MODEL_FN)


def default_input_fn(body: Any, content_type: str) -> Any:
    np = importlib.import_module("numpy")

    if content_type == CSV:
        return np.genfromtxt(io.StringIO(body), dtype=np.float32, delimiter=",")
    if content_type == JSON:
        return np.array(json.loads(body)).astype(np.float32)
    if content_type == NPY:
        return np.load(io.BytesIO(body), allow_pickle=False)
    raise Refused(415, f"Content type {content_type} is not supported by this framework.")


def default_predict_fn(data: Any, model: Any) -> Any:
    return model.predict(data)


def default_output_fn(prediction: Any, accept: str) -> Any:
    if accept == JSON:
        return json.dumps(prediction, default=_plain), accept
    if accept not in (CSV, NPY):
        raise Refused(406, f"Accept type {accept} is not supported by this framework.")
    np = importlib.import_module("numpy")

    if accept == NPY:
        raw = io.BytesIO()
        np.save(raw, np.asarray(prediction), allow_pickle=False)
        return raw.getvalue(), accept
    text = io.StringIO()
    np.savetxt(text, np.asarray(prediction), delimiter=",", fmt="%s")
    return text.getvalue(), accept


def _plain(value: Any) -> Any:
    """numpy's arrays and numbers as JSON knows them."""
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON serializable")


class Script:
    """The user's functions, and the defaults for those that are not there."""

    def __init__(self, module: Any, model_dir: str, default_accept: str = JSON) -> None:
        self.default_accept = default_accept
        self.input_fn = getattr(module, "input_fn", default_input_fn)
        self.predict_fn = getattr(module, "predict_fn", default_predict_fn)
        self.output_fn = getattr(module, "output_fn", default_output_fn)
        self.transform_fn = getattr(module, "transform_fn", None)
        if self.transform_fn and any(
            hasattr(module, name) for name in ("input_fn", "predict_fn", "output_fn")
        ):
            raise ValueError(
                "Cannot use transform_fn together with input_fn, predict_fn, output_fn"
            )
        self.model = getattr(module, "model_fn", default_model_fn)(model_dir)

    def answer(self, body: bytes, content_type: str, accept: str) -> tuple[bytes, str]:
        """What goes back, and its type."""
        accept = self.default_accept if accept in ("", "*/*") else accept
        content_type = content_type or JSON
        kind = content_type.split(";", 1)[0].strip().lower()
        given: Any = body.decode("utf-8") if kind in TEXT_TYPES else body
        if self.transform_fn:
            return _encoded(self.transform_fn(self.model, given, content_type, accept), accept)
        known = self.input_fn is default_input_fn
        data = self.input_fn(given, kind if known else content_type)
        return _encoded(self.output_fn(self.predict_fn(data, self.model), accept), accept)


def _encoded(result: Any, accept: str) -> tuple[bytes, str]:
    """`output_fn` answers data, (data, type), or a response object as Flask's."""
    if hasattr(result, "get_data"):
        return bytes(result.get_data()), getattr(result, "content_type", None) or accept
    if isinstance(result, tuple) and len(result) == 2 and isinstance(result[1], str):
        result, accept = result
    if isinstance(result, (bytes, bytearray, memoryview)):
        return bytes(result), accept
    if isinstance(result, str):
        return result.encode("utf-8"), accept
    return json.dumps(result, default=_plain).encode("utf-8"), accept


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "bastide-serve"
    wbufsize = 64 * 1024
    script: Script

    def do_GET(self) -> None:
        self._send(200 if self.path.split("?")[0] == "/ping" else 404, b"\n", "text/plain")

    def do_POST(self) -> None:
        body = self._body()
        if body is None:
            return
        if self.path.split("?")[0] != "/invocations":
            self._send(404, b"", "text/plain")
            return
        try:
            answer, kind = self.script.answer(
                body, self.headers.get("Content-Type", ""), self.headers.get("Accept", "")
            )
        except Refused as error:
            self._send(error.status, str(error).encode(), "text/plain")
        except UnicodeDecodeError as error:
            self._send(400, str(error).encode(), "text/plain")
        except Exception as error:  # whatever the user's code raises is the answer
            traceback.print_exc()
            text = f"{type(error).__name__}: {error}"
            self._send(500, text.encode(errors="replace"), "text/plain")
        else:
            self._send(200, answer, kind)

    def _body(self) -> bytes | None:
        try:
            size = int(self.headers.get("Content-Length", ""))
        except ValueError:
            size = -1
        if not 0 <= size <= BODY_SIZE_MAX:
            self.close_connection = True
            self._send(413 if size > 0 else 411, b"", "text/plain")
            return None
        return self.rfile.read(size)

    def _send(self, status: int, body: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind.replace("\r", " ").replace("\n", " "))
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def address_string(self) -> str:
        return "local"

    def log_request(self, code: Any = "-", size: Any = "-") -> None:
        """Health checks come every few seconds: only invocations are worth a line."""
        if self.command == "POST":
            self.log_message('"%s" %s', self.requestline, str(int(code)))


class Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 128


def load() -> Script:
    """Import the user's module from its folder, and load the model."""
    environ = os.environ  # noqa: TID251 - the settings of a job are its environment
    model_dir = environ.get("SM_MODEL_DIR", "/opt/ml/model")
    program = environ.get("SAGEMAKER_PROGRAM", "")
    folder = environ.get("SAGEMAKER_SUBMIT_DIRECTORY", "").replace("file://", "", 1)
    if not folder or not os.path.isdir(folder):
        folder = os.path.join(model_dir, "code")
    if not program and os.path.isfile(os.path.join(folder, "inference.py")):
        program = "inference.py"
    module = None
    if program:
        sys.path.insert(0, folder)
        if os.path.isdir(folder):
            os.chdir(folder)
        name = program[:-3] if program.endswith(".py") else program
        module = importlib.import_module(name.replace("/", "."))
    accept = environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON)
    return Script(module, model_dir, accept)


def main(path: str) -> None:
    Handler.script = load()
    with Server(path, Handler) as server:
        print("serving", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "/run/bastide/http.sock")
