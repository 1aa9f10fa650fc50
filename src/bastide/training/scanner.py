"""Users' regular expressions on users' lines, in a process of their own with a deadline.

A regular expression can take for ever (`(a+)+$`), and Python's holds the interpreter's lock while
it does: in this process it would stop the whole region. A pattern that is too slow is skipped
from then on; the process is killed and started again. Each agency has a process of its own, and
its own slow patterns: what one asks neither delays another nor is skipped for it.
"""

import contextlib
import json
import logging
import select
import subprocess
import sys
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

logger = logging.getLogger(__name__)
LINE_CHARS_MAX = 4096
DEADLINE_S = 2.0
SLOW_MAX = 1_000
SCANNERS_MAX = 16
_PROGRAM = """
import json, re, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (1 << 29, 1 << 29))
for text in sys.stdin:
    pattern, lines = json.loads(text)
    found = []
    try:
        search = re.compile(pattern).search
        for number, line in enumerate(lines):
            match = search(line)
            if match:
                found.append([number, match.group(1) if match.re.groups else match.group(0)])
    except (re.error, RecursionError, OverflowError, MemoryError):
        found = []
    sys.stdout.write(json.dumps(found) + chr(10))
    sys.stdout.flush()
"""


@dataclass(slots=True)
class PatternScanner:
    """The agencies' scanners; those that were asked last have their child."""

    deadline_s: float = DEADLINE_S
    _of: "OrderedDict[str, AgencyScanner]" = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def scan(
        self, account: str, patterns: Sequence[str], lines: Sequence[str]
    ) -> list[tuple[int, int, str]]:
        """(line, pattern, what its first group found), in the order of the lines."""
        return self._agency(account).scan(patterns, lines)

    def close(self) -> None:
        with self._lock:
            for each in self._of.values():
                each.close()

    def _agency(self, account: str) -> "AgencyScanner":
        with self._lock:
            found = self._of.setdefault(account, AgencyScanner(self.deadline_s))
            self._of.move_to_end(account)
            if len(self._of) > SCANNERS_MAX:
                oldest = next(iter(self._of))
                if self._of[oldest].close_idle():
                    del self._of[oldest]
            return found


@dataclass(slots=True)
class AgencyScanner:
    """One child for the agency; questions queue for it."""

    deadline_s: float
    _child: "subprocess.Popen[bytes] | None" = None
    _slow: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def scan(self, patterns: Sequence[str], lines: Sequence[str]) -> list[tuple[int, int, str]]:
        """(line, pattern, what its first group found), in the order of the lines."""
        short = [line[:LINE_CHARS_MAX] for line in lines]
        found: list[tuple[int, int, str]] = []
        with self._lock:
            for index, pattern in enumerate(patterns):
                found += [(line, index, text or "") for line, text in self._ask(pattern, short)]
        return sorted(found)

    def close(self) -> None:
        with self._lock:
            self._kill()

    def close_idle(self) -> bool:
        """Unless somebody asks it something just now."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            self._kill()
        finally:
            self._lock.release()
        return True

    def _ask(self, pattern: str, lines: Sequence[str]) -> list[tuple[int, str | None]]:
        if pattern in self._slow:
            return []
        answer = self._exchange(json.dumps([pattern, lines]).encode() + b"\n")
        if answer is None:
            logger.warning("a metric's regular expression took too long and is skipped")
            self._kill()
            if len(self._slow) < SLOW_MAX:
                self._slow.add(pattern)
            return []
        return [(line, text) for line, text in json.loads(answer)]

    def _exchange(self, question: bytes) -> bytes | None:
        """One line there, one line back; None when it took too long or the child died."""
        child = self._started()
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            child.stdin.write(question)
            child.stdin.flush()
        except OSError:
            return None
        answer, news = bytearray(), select.poll()  # select() takes no descriptor above 1023
        news.register(child.stdout, select.POLLIN)
        while not answer.endswith(b"\n"):
            if not news.poll(self.deadline_s * 1000):
                return None
            chunk = child.stdout.read1(65536)  # type: ignore[attr-defined]  # a BufferedReader
            if not chunk:
                return None
            answer += chunk
        return bytes(answer)

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._child is None or self._child.poll() is not None:
            self._kill()
            self._child = subprocess.Popen(  # noqa: S603 - our own interpreter and program
                [sys.executable, "-I", "-S", "-c", _PROGRAM],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={"PYTHONUTF8": "1"},
                start_new_session=True,
            )
        return self._child

    def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        child.kill()
        child.wait()
        for pipe in (child.stdin, child.stdout):
            if pipe is not None:
                with contextlib.suppress(OSError):
                    pipe.close()
