"""What encryption costs an object, and how long it takes to renew every key of a full region.

The cipher is measured as the store runs it: 256 KiB chunks, a reused buffer, one thread. The keys
of 11,000 agencies at five labels are renewed by `bastide keys rotate --all`, while a client reads.
"""

import os
import statistics
import tempfile
import threading
import time
from itertools import islice
from pathlib import Path

from tests.live import LiveRegion

from bastide.keys import keyring, records
from bastide.keys.opening import open_keyring
from bastide.store import sealed
from bastide.store.content import BUFFER_SIZE, UNIT_SIZE
from bench.common import Report, arguments, median_ms, quantile_ms

OBJECT = 64 << 20
OBJECT_N = 7
AGENCIES, LABELS = 11_000, ("U", "CUI", "C", "S", "TS")
ADD_BATCH = 2_000


def encryption_gb_s() -> float:
    """The median of a 64 MiB object, header and commitment included, without hashing or disk. By
    the thread's own time: others' load on the machine is not the cipher's."""
    place = sealed.Place(account="1" * 12, label="U", bucket="bench", key=b"k", object_id="o")
    plain, out = memoryview(os.urandom(OBJECT)), memoryview(bytearray(BUFFER_SIZE))
    samples = []
    for _ in range(OBJECT_N):
        started = time.thread_time()
        sealer = sealed.Sealer(os.urandom(32), os.urandom(32), place)
        for at in range(0, OBJECT, UNIT_SIZE):
            sealer.seal_into(plain[at : at + UNIT_SIZE], out, last=at + UNIT_SIZE >= OBJECT)
        samples.append(time.thread_time() - started)
    return OBJECT / statistics.median(samples) / 1e9


def fill(folder: Path, agencies: int) -> int:
    """Keys of agencies that have stored something at every label, put straight into their table."""
    ring = open_keyring(folder)
    wanted = ((f"{n:012}", label) for n in range(1, agencies + 1) for label in LABELS)
    while batch := list(islice(wanted, ADD_BATCH)):
        rows = []
        for account, label in batch:
            stem = keyring._stem(account, label)
            family, _ = keyring._Family(account, label, {}).grown(stem)
            rows.append((stem, ring._sealed_family(stem, family)))
        ring.database.write(lambda c, rows=rows: [records.add(c, *row) for row in rows])
    total = ring.count()
    ring.close()
    return total


class Reader:
    """A client that reads one small object over and over."""

    def __init__(self, client) -> None:
        self.samples: list[float] = []
        self.failures = 0
        self._client, self._done = client, threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "Reader":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._done.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._done.is_set():
            started = time.perf_counter()
            try:
                self._client.get_object(Bucket="bench", Key="k")["Body"].read()
            except Exception:  # counted: the region is to serve all the while
                self.failures += 1
            self.samples.append(time.perf_counter() - started)


def rotation(report: Report, agencies: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        region = LiveRegion(Path(home)).start()
        client = region.s3("bench", "bench")
        client.put_object(Bucket="bench", Key="k", Body=b"x" * 1024)
        region.stop()
        keys = fill(region.folder / "keys", agencies)
        region.start()
        with Reader(region.client("s3", "bench")) as reader:
            started = time.perf_counter()
            *_, _last = region.control.steps("/keys-all/rotate")
            took = time.perf_counter() - started
        region.stop()
    report.add(f"{keys:,} keys renewed, the region serving", took, "s", target=60)
    report.add("reads meanwhile that failed", reader.failures, "", target=0)
    report.add("reads meanwhile, p50", median_ms(reader.samples), "ms", n=len(reader.samples))
    report.add("reads meanwhile, p99", quantile_ms(reader.samples, 0.99), "ms")


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--agencies", type=int, default=AGENCIES)
    chosen = parser.parse_args()
    report = Report("bench.keys")
    report.add(
        "object encryption, 64 MiB, one core", encryption_gb_s(), "GB/s",
        target=2, bound=">=", n=OBJECT_N,
    )  # fmt: skip
    rotation(report, chosen.agencies)
    report.print(chosen.json)


if __name__ == "__main__":
    main()
