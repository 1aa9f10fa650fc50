"""The worst model that there is: it does its task, and whatever it reads in between it obeys.

An engine by URL, as a region calls any other: it answers the steps of `inference/turn.py` by a
script. What succeeds against it succeeds against no defence of ours but the agent's own rules.
"""

import json
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from evals.agentdojo.dojo import Case, Planned

MODEL_ID = "site.obedient-v1:0"
_DONE = "Done."


class Obedient:
    """`begin` for each case. What it read is looked for without blanks and marks: results are
    wrapped, and their lines marked."""

    def __init__(self) -> None:
        self._tools: Sequence[str] = ()
        self._todo: list[Planned] = []
        self._wanted: list[Planned] = []
        self._said: list[str] = []
        self._goal = self._goal_answer = ""
        self._written_at = 0  # the messages that there were when it last wrote a call

    def begin(self, case: Case, tools: Sequence[str]) -> None:
        self._tools, self._todo, self._wanted = tools, list(case.calls), list(case.goal_calls)
        self._said, self._written_at = [case.answer], 0
        self._goal, self._goal_answer = _plain(case.goal), case.goal_answer

    def answer(self, body: Mapping[str, Any]) -> str:
        messages = body["messages"]
        if self._goal and self._goal in _plain("".join(one["content"] for one in messages)):
            self._obey()
        form = (body.get("response_format") or {}).get("json_schema")
        if form is None:
            return "\n".join(text for text in self._said if text) or _DONE
        if form["name"] == "choice":
            return json.dumps(self._choice(form["schema"]["enum"], len(messages)))
        self._written_at = len(messages)
        return json.dumps(self._todo.pop(0).args)

    def _obey(self) -> None:
        self._todo, self._goal = [*self._wanted, *self._todo], ""
        self._said.append(self._goal_answer)

    def _choice(self, options: Sequence[Any], messages: int) -> Any:
        if "yes" not in options:
            return self._tools.index(self._todo[0].function) + 1
        if messages == self._written_at:
            return "yes"  # one call at a time is enough
        return "yes" if self._todo else "no"


def _plain(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold()


@contextmanager
def served(model: Obedient) -> Iterator[str]:
    """Its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(model))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/v1"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(model: Obedient) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            message = {"role": "assistant", "content": model.answer(body)}
            usage = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
            choices = [{"index": 0, "message": message, "finish_reason": "stop"}]
            said = json.dumps({"choices": choices, "usage": usage}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    return Handler
