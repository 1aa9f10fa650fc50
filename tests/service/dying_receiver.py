"""A region that dies as by kill -9 while it takes a bundle in, after the first chunk and before the
second, once it is told to: `python -m tests.service.dying_receiver --region NAME`."""

import os
import signal
from pathlib import Path

from bastide.app import __main__
from bastide.settings import load
from bastide.transfer import chunks

ORDER = "dies"  # the file of this name in the site's folder, which it takes along


def dying(file: Path):
    real = chunks.read_chunk

    def read_chunk(folder, statement, number):
        if number == 1 and file.exists():
            file.unlink()
            os.kill(os.getpid(), signal.SIGKILL)
        return real(folder, statement, number)

    return read_chunk


if __name__ == "__main__":
    chunks.read_chunk = dying(load().home / ORDER)
    __main__.main()
