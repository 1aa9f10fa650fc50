"""What goes wrong in tests: at a call of a port, and by kill -9 at any step of a piece of work."""

import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from typing import Any


class Between:
    """A port, `target`, with somebody in between: every call of a method goes through
    `around(name, call)`, which may refuse it, let it take effect and then fail, count it, or leave
    it alone. What is no method is passed through."""

    def __init__(self, target, around, name=""):
        self._target, self._around = target, around
        self._name = name or type(target).__name__

    def __getattr__(self, name):
        found = getattr(self._target, name)
        if not callable(found):
            return found
        return lambda *args, **options: self._around(
            f"{self._name}.{name}", partial(found, *args, **options)
        )


def killed(
    work: Callable[[], Any], at: int, is_step: Callable[[str, tuple[Any, ...]], bool]
) -> bool:
    """Whether a process that does `work` was killed before its step of that number; False: it ended
    before. `is_step` says of Python's audit events, and what they are about, which are steps."""
    child = os.fork()
    if child == 0:
        steps = iter(range(1 << 30))

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            if is_step(event, arguments) and next(steps) == at:
                os.kill(os.getpid(), signal.SIGKILL)

        try:
            sys.addaudithook(hook)
            work()
        finally:
            os._exit(0)
    return os.WIFSIGNALED(os.waitpid(child, 0)[1])
