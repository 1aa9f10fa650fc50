"""The inside of a worker: `python -m bastide.jobs.worker_main MODULE` (see jobs/worker.py)."""

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import BinaryIO

import msgspec

from bastide.jobs.worker import ANSWERED, BEGUN, FAILED, SIZE


def main(module: str) -> None:
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    try:
        settings = msgspec.json.decode(_read(questions) or b"")
        answer: Callable[[bytes], bytes] = importlib.import_module(module).begin(settings)
    except Exception:  # told to whoever started it: no question was asked yet
        _say(answers, FAILED, traceback.format_exc()[-4000:].encode())
        return
    _say(answers, BEGUN, b"")
    while (question := _read(questions)) is not None:
        try:
            said = answer(question)
        except Exception as error:  # its text may quote what was asked: only its kind is told
            _say(answers, FAILED, type(error).__name__.encode())
        else:
            _say(answers, ANSWERED, said)


def _read(questions: BinaryIO) -> bytes | None:
    """One frame; None once the region has ended."""
    head = questions.read(SIZE.size)
    return questions.read(SIZE.unpack(head)[1]) if len(head) == SIZE.size else None


def _say(answers: BinaryIO, how: int, what: bytes) -> None:
    answers.write(SIZE.pack(how, len(what)) + what)
    answers.flush()


if __name__ == "__main__":
    main(sys.argv[1])
