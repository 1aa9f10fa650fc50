"""A model that does what it is asked: an OpenAI-compatible engine whose answers follow from the
question, so that clients' suites meet every form of answer and no model's talent.

It proposes a call until results are there, takes the first function, gives each argument the least
value that its schema takes (a text is what the last user quotes), and else says GREETING.
"""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SCRIPTED = "site.scripted-v1:0"  # as regions of tests name it
GREETING = "Hello there, it is a fine day."
LEAST = {"integer": 3, "number": 3.0, "boolean": True, "null": None}


def value_of(schema: dict[str, Any], quoted: str) -> Any:
    for word in ("anyOf", "oneOf", "allOf"):
        if word in schema:
            return value_of(schema[word][0], quoted)
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    match schema.get("type"):
        case "object":
            properties = schema.get("properties", {})
            return {name: value_of(each, quoted) for name, each in properties.items()}
        case "array":
            return [value_of(schema.get("items", {}), quoted)] * max(1, schema.get("minItems", 1))
        case kind:
            return LEAST.get(str(kind), quoted)


def said(body: dict[str, Any]) -> str:
    """What it answers."""
    messages = body["messages"]
    question = str(messages[-1]["content"])
    form = (body.get("response_format") or {}).get("json_schema")
    if form is None:
        return GREETING
    options = form["schema"].get("enum")
    if options is None:
        spoken = "".join(str(one["content"]) for one in messages if one["role"] == "user")
        quoted = re.findall(r"'([^']{1,40})'", spoken)
        return json.dumps(value_of(form["schema"], (quoted or ["abc"])[0]), ensure_ascii=False)
    if "yes" in options:
        return json.dumps("no" if "results above" in question else "yes")
    return json.dumps(options[0])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    says = staticmethod(said)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        text, finish = self.says(body), "stop"
        for stop in body.get("stop") or ():
            text = text.partition(stop)[0]
        words = text.split(" ")
        most = body.get("max_tokens") or len(words)
        if len(words) > most:
            words, finish = words[:most], "length"
        pieces = [word if at == 0 else f" {word}" for at, word in enumerate(words)]
        asked = sum(len(str(one["content"]).split()) for one in body["messages"])
        usage = {
            "prompt_tokens": asked,
            "completion_tokens": len(words),
            "total_tokens": asked + len(words),
        }
        if body.get("stream"):
            self._stream(pieces, finish, usage)
        else:
            message = {"role": "assistant", "content": "".join(pieces)}
            choice = {"index": 0, "message": message, "finish_reason": finish}
            self._send("application/json", json.dumps({"choices": [choice], "usage": usage}))

    def _stream(self, pieces: list[str], finish: str, usage: dict[str, int]) -> None:
        deltas = [{"content": piece} for piece in pieces]
        events = [{"choices": [{"index": 0, "delta": d, "finish_reason": None}]} for d in deltas]
        last = {"choices": [{"index": 0, "delta": {}, "finish_reason": finish}], "usage": usage}
        lines = [f"data: {json.dumps(event)}\n\n" for event in [*events, last]]
        self._send("text/event-stream", "".join([*lines, "data: [DONE]\n\n"]))

    def _send(self, kind: str, text: str) -> None:
        data = text.encode()
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        pass


@contextmanager
def scripted_model(says: Callable[[dict[str, Any]], str] = said) -> Iterator[str]:
    """Its address, as bastide.toml names an engine."""
    handler = type("Handler", (_Handler,), {"says": staticmethod(says)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
