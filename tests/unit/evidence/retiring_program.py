"""A process to be killed: retires records again and again, and tells each write before it."""

import sys
from pathlib import Path

from tests.retirement_kit import OLD_S, Archive

from bastide.db import Database


class Telling(Database):
    def submit(self, work):
        print("write", flush=True)
        return super().submit(work)


def main(folder: Path) -> None:
    database = Telling(f"sqlite:///{folder}/region.db")
    database.start(create=True)
    archive = Archive(database, folder)
    archive.begin()
    up_to = -1
    print("begun", flush=True)
    while True:
        archive.infer()
        archive.clock.advance(OLD_S)
        up_to += 3
        archive.retire(up_to)
        print("retired", up_to, flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
