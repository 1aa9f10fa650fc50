#!/usr/local/bin/python3
"""What runs in the tests' own image: `train` and `serve`, by the standard library alone."""

import http.server
import json
import os
import select
import signal
import sys
import threading
from pathlib import Path

RELEASED = threading.Event()
WAITING: set[int] = set()
GONE: list[int] = []


def train():
    given = json.loads(Path("/opt/ml/input/config/hyperparameters.json").read_text())
    if "wait" in given:
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        threading.Event().wait()
    text = Path("/opt/ml/input/data/train/t.txt").read_text()
    facts = {"text": text, "hyperparameters": given, **where()}
    Path("/opt/ml/model/facts.json").write_text(json.dumps(facts))
    print("trained in", os.getcwd(), flush=True)


def where():
    return {
        "cwd": os.getcwd(),
        "uid": os.getuid(),
        "flavour": os.environ.get("FLAVOUR"),
        "hidden": Path("/opt/hidden").exists(),
        "linked": Path("/opt/hard").read_text(),
    }


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.say(200, {})

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        getattr(self, f"on_{body}", self.on_other)()

    def on_facts(self):
        model = Path("/opt/ml/model/facts.json")
        trained = json.loads(model.read_text()) if model.exists() else None
        self.say(200, {"pid": os.getpid(), "trained": trained, **where()})

    def on_other(self):
        self.say(200, {name.lower(): value for name, value in self.headers.items()})

    def on_host(self):
        self.say(200, os.uname().nodename)

    def on_count(self):
        self.say(200, {"waiting": len(WAITING), "gone": len(GONE)})

    def on_block(self):
        """Until it is released, or the caller has gone."""
        me = id(self)
        WAITING.add(me)
        while not RELEASED.wait(0.02):
            if select.select([self.connection], [], [], 0)[0]:
                GONE.append(me)
                break
        WAITING.discard(me)
        self.say(200, "released")

    def on_release(self):
        RELEASED.set()
        self.say(200, "ok")

    def on_stream(self):
        self.begin()
        self.part(b"first")
        RELEASED.wait()
        self.part(b"second")
        self.part(b"")

    def on_broken(self):
        self.begin()
        self.part(b"first")
        self.close_connection = True

    def on_refuse(self):
        self.say(418, "no tea")

    def on_die(self):
        os.kill(os.getpid(), signal.SIGKILL)

    def begin(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", "from=container")
        self.end_headers()

    def part(self, data):
        self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
        self.wfile.flush()

    def say(self, status, what):
        data = json.dumps(what).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("X-Amzn-SageMaker-Custom-Attributes", "from=container")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    request_queue_size = 128


def serve():
    if os.environ.get("MODE") == "crash":
        sys.exit("this container does not start")
    Server(("0.0.0.0", 8080), Handler).serve_forever()


if __name__ == "__main__":
    {"train": train, "serve": serve}[sys.argv[1]]()
