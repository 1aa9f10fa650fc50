"""A region that dies as by kill -9 while it makes a bundle or takes one in, after the first chunk
and before the second, once it is told to: `python -m tests.service.dying_gate --region NAME`."""

import os
import signal
from pathlib import Path

from bastide.app import __main__
from bastide.settings import load
from bastide.transfer import chunks
from bastide.transfer.making import Half

ORDER = "dies"  # the file of this name in the site's folder, which it takes along


def die_if_told(file: Path):
    if file.exists():
        file.unlink()
        os.kill(os.getpid(), signal.SIGKILL)


def taking(file: Path):
    real = chunks.read_chunk

    def read_chunk(folder, statement, number):
        if number == 1:
            die_if_told(file)
        return real(folder, statement, number)

    return read_chunk


def making(file: Path):
    real = Half.add_chunk

    def add_chunk(half, digest):
        real(half, digest)
        die_if_told(file)

    return add_chunk


if __name__ == "__main__":
    order = load().home / ORDER
    chunks.read_chunk, Half.add_chunk = taking(order), making(order)
    __main__.main()
