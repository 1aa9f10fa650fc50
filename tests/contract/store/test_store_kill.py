"""What was acknowledged survives `kill -9`, byte for byte; what was not leaves no file behind."""

import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest
from tests.stores import Store, a_principal

from bastide.db.database import Database
from bastide.keys.opening import open_keyring

ROOT = Path(__file__).parents[3]
CHILD = """
import os, sys
from pathlib import Path
from bastide.db.database import Database
from bastide.keys.opening import open_keyring
from tests.stores import Store
url, root, start = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
database = Database(url)
database.start(create=True)
store = Store(database, root / "objects", open_keyring(root / "keys"))
if not store.call("list_buckets")["Buckets"]:
    store.bucket()
number = start
while True:
    size = (100, 70_000, 1_500_000)[number % 3]
    data = number.to_bytes(8, "big") * (size // 8)
    store.put(f"k{number % 7}/{number}", data)
    if number % 5 == 0 and number > start:
        store.call("delete_object", Bucket="bucket", Key=f"k{(number - 1) % 7}/{number - 1}")
        print("deleted", number - 1, flush=True)
    print("put", number, flush=True)
    number += 1
"""


def body_of(number):
    size = (100, 70_000, 1_500_000)[number % 3]
    return number.to_bytes(8, "big") * (size // 8)


def run_and_kill(url, root, start, lines):
    """Let the child acknowledge `lines` things, then kill it in the middle of the next."""
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, url, str(root), str(start)], cwd=ROOT, text=True,
        stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
    )  # fmt: skip
    try:
        said = [child.stdout.readline().split() for _ in range(lines)]
    finally:
        child.kill()
        rest, _ = child.communicate(timeout=30)
    said += [line.split() for line in rest.split("\n")[:-1]]  # the last one may be cut short
    return [(word, int(number)) for word, number in said]


def check(url, root, known):
    database = Database(url)
    database.start(create=True)
    store = Store(database, root / "objects", open_keyring(root / "keys"))
    keys = [each.key for each in store.space.listing(a_principal(), "bucket", "")]
    for word, number in known:
        if word == "put" and ("deleted", number) not in known:
            got = store.get(f"k{number % 7}/{number}") if f"k{number % 7}/{number}" in keys else b""
            last = max(n for w, n in known if w == "put")
            if number != last or got:  # the last one may have been deleted, unanswered
                assert hashlib.sha256(got).digest() == hashlib.sha256(body_of(number)).digest()
    big = [key for key in keys if len(body_of(int(key.split("/")[1]))) > 65536]
    assert len(store.files()) == len(big)
    store.close()
    database.close()


def crash_rounds(url, root, rounds, seed):
    chance = random.Random(seed)
    known, start = [], 0
    for _ in range(rounds):
        known += run_and_kill(url, root, start, chance.randint(1, 12))
        check(url, root, known)
        start = max(number for _, number in known) + 3


def test_acknowledged_puts_survive_kill_9(database_url, tmp_path):
    crash_rounds(database_url, tmp_path, 7, seed=1)


@pytest.mark.slow
def test_acknowledged_puts_survive_many_kills(database_url, tmp_path):
    crash_rounds(database_url, tmp_path, 60, seed=2)
