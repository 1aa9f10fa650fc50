"""The code interpreter's handler: what a model wrote is run in a folder of files, which goes on.

It runs in a cage beside that code, with the standard library alone: whatever it says, the region
looks at again (`interpreter.py`).
"""

import base64
import contextlib
import io
import os
import stat
import tempfile
import traceback
from collections.abc import Iterator
from typing import Any

TEXT_MAX = 24_000
FILES_MAX = 40
BYTES_MAX = 8 * 1024 * 1024


def handler(event: dict[str, Any], context: object) -> dict[str, Any]:
    os.chdir(tempfile.mkdtemp())
    for name, data in event["files"].items():
        with open(name, "wb") as file:
            file.write(base64.b64decode(data))
    printed, error = io.StringIO(), ""
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        try:
            exec(compile(event["code"], "<code>", "exec"), {"__name__": "__main__"})  # noqa: S102
        except SystemExit:
            pass
        except Exception:  # whatever the model's own code raises is the answer
            lines = traceback.format_exc().splitlines(keepends=True)
            error = "".join([lines[0], *lines[3:]])  # but for our own frame
    files = dict(_files())
    output = _cut(printed.getvalue())
    if lost := sorted(set(os.listdir(".")) - files.keys()):
        names = _whole(", ".join(lost))[:1_000]
        output += f"\nNot kept, as they are no files or too large: {names}\n"
    return {"output": output, "error": _cut(error), "files": files}


def _whole(text: str) -> str:
    """As `kernel/strangers.py` has it, which is not there in the cage."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _cut(text: str) -> str:
    text = _whole(text)
    if len(text) <= TEXT_MAX:
        return text
    return f"{text[:TEXT_MAX]}\n({len(text) - TEXT_MAX} more characters were cut)"


def _files() -> Iterator[tuple[str, str]]:
    left = BYTES_MAX
    for name in sorted(os.listdir("."))[:FILES_MAX]:
        found = os.lstat(name)
        if not stat.S_ISREG(found.st_mode) or found.st_size > left or name != _whole(name):
            continue
        with open(name, "rb") as file:
            data = file.read(left)
        left -= len(data)
        yield name, base64.b64encode(data).decode()
