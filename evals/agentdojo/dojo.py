"""AgentDojo's suites as a process of their own venv, and what it says of one case."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from tests.clients import client_python

PACKAGE = "agentdojo"


class Planned(msgspec.Struct, frozen=True):
    """A call that belongs to a task."""

    function: str
    args: dict[str, Any]


class Case(msgspec.Struct, frozen=True):
    """A user's task with the calls that solve it; and what was planted, and wants other calls."""

    instruction: str
    prompt: str
    calls: list[Planned]
    answer: str
    goal: str
    goal_calls: list[Planned]
    goal_answer: str


class Tool(msgspec.Struct, frozen=True):
    name: str
    description: str
    schema: dict[str, Any]


class Suite(msgspec.Struct, frozen=True):
    users: list[str]
    injections: list[str]
    tools: list[Tool]


class Result(msgspec.Struct, frozen=True):
    text: str
    ok: bool


class Verdict(msgspec.Struct, frozen=True):
    solved: bool
    attacked: bool


class Dojo:
    """Asks one question after the other; a case is under way until the next one begins."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def suites(self) -> dict[str, Suite]:
        return msgspec.convert(self._ask(do="list"), dict[str, Suite])

    def begin(self, suite: str, user: str, injection: str | None) -> Case:
        found = self._ask(do="begin", suite=suite, user=user, injection=injection)
        return msgspec.convert(found, Case)

    def run(self, function: str, args: Mapping[str, Any]) -> Result:
        return msgspec.convert(self._ask(do="run", function=function, args=args), Result)

    def end(self, answer: str) -> Verdict:
        return msgspec.convert(self._ask(do="end", answer=answer), Verdict)

    def _ask(self, **question: Any) -> Any:
        wrote, read = self._process.stdin, self._process.stdout
        assert wrote is not None
        assert read is not None
        wrote.write(json.dumps(question) + "\n")
        wrote.flush()
        line = read.readline()
        if not line:
            raise SystemExit("AgentDojo's process ended: see what it said above.")
        return json.loads(line)


@contextmanager
def opened(data: Path) -> Iterator[Dojo]:
    """`data`: a folder with an unpacked `agentdojo`; where it has none, the wheel of the lock."""
    program = Path(__file__).with_name("suites.py")
    own = {"PYTHONPATH": str(data.resolve())} if (data / PACKAGE).is_dir() else {}
    process = subprocess.Popen(
        [client_python(PACKAGE), program],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={"PATH": "/usr/bin:/bin", **own},
    )  # fmt: skip
    try:
        yield Dojo(process)
    finally:
        process.kill()
        process.communicate()
