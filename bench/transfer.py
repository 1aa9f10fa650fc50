"""A bundle made and inspected: in process, on this disk, from pieces in memory.

The bytes are hashed twice and written synced, the statement is signed twice; then they are read
and hashed twice again. What the store does to give an object is in bench.s3. Then the diode's code:
a chunk made into datagrams, taken in again, and made whole when some of each 40 or 48 are lost.
"""

import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from bastide.jobs.cage import Walls
from bastide.kernel.clock import SystemClock
from bastide.kernel.ids import SystemIds
from bastide.kernel.labels.scheme import load
from bastide.transfer.diode import erasure
from bastide.transfer.diode.arrival import Limits
from bastide.transfer.diode.arrivals import Arrivals
from bastide.transfer.diode.datagram import CHUNK
from bastide.transfer.diode.sending import datagrams, files
from bastide.transfer.filters.model import SchemeSource
from bastide.transfer.gate import Gate, Site, Surroundings, open_gate
from bastide.transfer.model import CHUNK_BYTES, Item, Origin
from bastide.transfer.ports import Nobody
from bastide.transfer.releases import Target
from bastide.transfer.signing import Anchors
from bench.common import Report, arguments

TOTAL_BYTES = 512 << 20
OBJECTS = 64
TO = "us-iso-east-1"
ORIGIN = Origin(region="us-gov-west-1", agency="a", account="123456789012", bucket="b", prefix="")
ROUNDS = 3
BLOCK = bytes(range(256)) * 4096


@dataclass(frozen=True)
class Object:
    """As the store gives one: in pieces."""

    name: str
    size: int

    @property
    def state(self) -> str:
        return self.name

    def open(self) -> tuple[Item, Iterator[bytes]]:
        item = Item(kind="object", name=self.name, size=self.size, sha256="", label="U")
        return item, (BLOCK for _ in range(self.size // len(BLOCK)))


class Nowhere:
    def check(self, target: Target, items: object, read: object) -> list[str]:
        raise NotImplementedError

    def put(self, target: Target, item: Item, pieces: Iterator[bytes]) -> None:
        raise NotImplementedError

    def finish(self, target: Target, items: object, read: object) -> Iterator[str]:
        raise NotImplementedError


def gate(folder: Path) -> Gate:
    site = Site(
        region="us-gov-west-1", ceiling="U", scheme=load("us"),
        scheme_source=SchemeSource(name="us"), receive_bytes_max=1 << 40,
    )  # fmt: skip
    around = Surroundings(
        clock=SystemClock(), ids=SystemIds(), approvals=Nobody(), shelves=Nowhere(),
        walls=Walls(bwrap=None, seccomp=None, uid_first=None),
    )  # fmt: skip
    return open_gate(folder, site, around)


def measured(folder: Path) -> tuple[float, float]:
    """Seconds to create, and to inspect."""
    made = gate(folder)
    sources = [Object(f"k{number}", TOTAL_BYTES // OBJECTS) for number in range(OBJECTS)]
    start = time.perf_counter()
    *_, last = made.create(TO, ORIGIN, "", sources)
    middle = time.perf_counter()
    for _ in made.inspect(last["made"].digest):
        pass
    return middle - start, time.perf_counter() - middle


class AtOnce:
    """Work of the receiver, done in its turn."""

    def __init__(self) -> None:
        self.how: bool | None = None

    def begin(self, work: Callable[[], bool]) -> None:
        self.how = work()

    def ended(self) -> bool | None:
        return self.how


def diode(report: Report) -> None:
    """MB/s of one core, for the sender, for the receiver, and for what lost shards cost."""
    data = random.Random(1).randbytes(CHUNK_BYTES)
    start = time.perf_counter()
    list(datagrams(bytes(32), data, CHUNK, 8))
    report.add("diode: chunk to datagrams", len(data) / 1e6 / (time.perf_counter() - start), "MB/s")
    with tempfile.TemporaryDirectory() as folder:
        near = gate(Path(folder) / "near")
        arrivals = Arrivals(
            folder=Path(folder), region=TO, trust=Anchors([near.anchor()]),
            limits=Limits(bytes_max=1 << 30), clock=SystemClock(), hands=AtOnce(),
        )  # fmt: skip
        arrivals.load()
        *_, last = near.create(TO, ORIGIN, "", [Object("a", CHUNK_BYTES)])
        envelope, *rest = (list(found) for _, found in files(last["made"], 8))
        sent = [one for found in rest for one in found]
        for one in envelope:  # of what nobody signed, little is kept
            arrivals.take(one, "")
        start = time.perf_counter()
        for one in sent:
            arrivals.take(one, "")
        took = time.perf_counter() - start
    report.add("diode: datagrams to chunk, none lost", len(data) / 1e6 / took, "MB/s")
    for percent, parity in ((0, 8), (1, 8), (5, 8), (10, 16)):
        took = given_back(data, percent / 100, parity)
        name = f"diode: made whole, {percent} % lost, parity {parity} of 32"
        report.add(name, len(data) / 1e6 / took, "MB/s")


def given_back(data: bytes, lost: float, parity: int) -> float:
    """Seconds to make a chunk whole, of which each shard was lost with that chance."""
    shape = erasure.shape_of(len(data), 32, parity)
    columns = data + bytes(shape.k * shape.column_bytes - len(data))
    whole = columns + b"".join(erasure.parity(columns, shape, range(parity)))
    chance = random.Random(2)
    while True:
        have = bytearray(chance.random() >= lost for _ in range(shape.slots))
        harmed = bytearray(whole)
        start = time.perf_counter()
        try:
            erasure.recover(harmed, shape, have)
        except erasure.Unrecoverable:
            continue
        assert harmed[: len(data)] == data
        return time.perf_counter() - start


def main() -> None:
    options = arguments(__doc__ or "").parse_args()
    report = Report("transfer")
    rounds = []
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory() as folder:
            rounds.append(measured(Path(folder)))
    create, inspect = min(rounds, key=sum)
    size = TOTAL_BYTES / 1e6
    report.add("create", size / create, "MB/s", n=ROUNDS)
    report.add("inspect", size / inspect, "MB/s", n=ROUNDS)
    report.add(
        "create + inspect", size / (create + inspect), "MB/s", target=100, bound=">=", n=ROUNDS
    )
    diode(report)
    report.print(options.json)


if __name__ == "__main__":
    main()
