"""The inside of a function's process: AWS's contract of a Python runtime, over its three pipes.

It runs in a cage beside a stranger's code, with the standard library alone: nothing of this package
is there. Questions come in at 0, answers go out at 1; what is printed goes to 2, which is the log.
Source: https://docs.aws.amazon.com/lambda/latest/dg/python-handler.html
"""

import importlib
import json
import logging
import os
import struct
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

HEAD = struct.Struct(">II")  # the sizes of what is said, and of what it is said about
PAYLOAD_MAX = 6_291_556  # bytes of an answer, as AWS counts them
TASK = "/var/task"
Handler = Callable[[Any, Any], Any]


class Context:
    """What a handler is told of its invocation."""

    identity = None
    client_context = None

    def __init__(self, told: Mapping[str, Any]) -> None:
        self.function_name = told["function_name"]
        self.function_version = told["function_version"]
        self.invoked_function_arn = told["invoked_function_arn"]
        self.memory_limit_in_mb = told["memory_limit_in_mb"]
        self.aws_request_id = told["aws_request_id"]
        self.log_group_name = told["log_group_name"]
        self.log_stream_name = told["log_stream_name"]
        self._deadline_ms = int(told["deadline_ms"])

    def get_remaining_time_in_millis(self) -> int:
        return max(0, self._deadline_ms - time.time_ns() // 1_000_000)


class NoHandler(Exception):
    """The handler cannot be had; `kind` is what AWS calls it."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def main() -> None:
    questions, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what is printed is no answer
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # it is a text stream
    first = _read(questions)
    assert first is not None
    settings = json.loads(first[0])
    os.environ.clear()  # noqa: TID251 - the process's own, which users' code reads
    os.environ.update(settings["env"])  # noqa: TID251
    sys.path.insert(0, TASK)
    os.chdir(TASK)
    _say(answers, {}, b"")
    handler: Handler | None = None
    while (question := _read(questions)) is not None:
        context = Context(json.loads(question[0]))
        _log_with(context)
        said, payload, handler = _answer(settings["handler"], handler, question[1], context)
        _flush()
        _say(answers, said, payload)


def _answer(
    named: str, handler: Handler | None, event: bytes, context: Context
) -> tuple[dict[str, Any], bytes, Handler | None]:
    """Whether it is an answer, and which; and the handler, loaded at the first event."""
    try:
        handler = handler or load(named)
        value = handler(json.loads(event), context)
    except NoHandler as error:
        return _failed(error.kind, str(error), [], context), b"", None
    except Exception as error:  # whatever the user's own code raises is the answer
        traceback.print_exc()
        frames = traceback.format_list(traceback.extract_tb(error.__traceback__)[1:])
        return _failed(type(error).__name__, str(error), frames, context), b"", handler
    try:
        payload = json.dumps(value, ensure_ascii=False).encode()
    except (TypeError, ValueError) as error:
        message = f"Unable to marshal response: {error}"
        return _failed("Runtime.MarshalError", message, [], context), b"", handler
    if len(payload) > PAYLOAD_MAX:
        message = (
            f"Response payload size exceeded maximum allowed payload size ({PAYLOAD_MAX} bytes)."
        )
        return _failed("Function.ResponseSizeTooLarge", message, [], context), b"", handler
    return {}, payload, handler


def load(named: str) -> Handler:
    """`package/module.function`. Raises NoHandler."""
    name, _, function = named.rpartition(".")
    if not name:
        said = f"Bad handler '{named}': not enough values to unpack (expected 2, got 1)"
        raise NoHandler("Runtime.MalformedHandlerName", said)
    try:
        module = importlib.import_module(name.replace("/", "."))
    except ImportError as error:
        said = f"Unable to import module '{name}': {error}"
        raise NoHandler("Runtime.ImportModuleError", said) from error
    except SyntaxError as error:
        said = f"Syntax error in module '{name}': {error}"
        raise NoHandler("Runtime.UserCodeSyntaxError", said) from error
    found: Handler | None = getattr(module, function, None)
    if found is None:
        said = f"Handler '{function}' missing on module '{name}'"
        raise NoHandler("Runtime.HandlerNotFound", said)
    return found


def _failed(kind: str, message: str, frames: list[str], context: Context) -> dict[str, Any]:
    return {
        "errorMessage": message[:100_000],
        "errorType": kind,
        "requestId": context.aws_request_id,
        "stackTrace": [frame[:2_000] for frame in frames[:100]],
    }


def _log_with(context: Context) -> None:
    """Records as AWS's runtime writes them."""
    said = f"[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t{context.aws_request_id}\t%(message)s"
    form = logging.Formatter(said, "%Y-%m-%dT%H:%M:%S")
    form.converter = time.gmtime
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.StreamHandler(sys.stdout))
    for each in root.handlers:
        each.setFormatter(form)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # the user's code closed it
            continue


def _read(questions: BinaryIO) -> tuple[bytes, bytes] | None:
    """What is said and what it is about; None once the region has ended."""
    head = questions.read(HEAD.size)
    if len(head) < HEAD.size:
        return None
    said, payload = HEAD.unpack(head)
    return questions.read(said), questions.read(payload)


def _say(answers: BinaryIO, said: Mapping[str, Any], payload: bytes) -> None:
    text = json.dumps(said).encode()
    answers.write(HEAD.pack(len(text), len(payload)) + text + payload)
    answers.flush()


if __name__ == "__main__":
    main()
