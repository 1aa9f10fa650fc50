"""A process to be killed: appends records to a log and prints each index once it is durable."""

import sys
from pathlib import Path

from bastide.audit.log import MerkleLog
from bastide.audit.signing import load_signer
from bastide.db import Database
from bastide.kernel.clock import SystemClock


def main(folder: Path) -> None:
    database = Database(f"sqlite:///{folder}/region.db")
    database.start(create=True)
    log = MerkleLog(
        database, load_signer(folder / "keys", "bastide/kill"), SystemClock(), checkpoint_leaves=20
    )
    log.start()
    while True:
        waiting = [log.append(b"x" * 300) for _ in range(5)]
        for each in waiting:
            print(each.result(), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
