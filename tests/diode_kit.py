"""The receiving end of datagrams, for tests: without a socket, at a clock of the test's."""

import random
from dataclasses import dataclass, field

from bastide.kernel.clock import ManualClock
from bastide.transfer.diode.__main__ import attempted
from bastide.transfer.diode.arrival import Limits
from bastide.transfer.diode.arrivals import Arrivals
from bastide.transfer.diode.incoming import ARRIVING, Incoming
from bastide.transfer.diode.sending import files
from bastide.transfer.signing import Anchors
from tests.transfer_kit import HIGH

DATA = random.Random(7).randbytes(150_000)  # four rows


class Here:
    """Work that is done at once."""

    how = None

    def begin(self, work):
        self.how = attempted(work)

    def ended(self):
        return self.how


@dataclass
class Far:
    """The receiving end of a test; `again()` is a kill and a new start."""

    folder: object
    trust: Anchors = field(default_factory=lambda: Anchors([]))
    region: str = HIGH
    limits: Limits = field(default_factory=lambda: Limits(bytes_max=1 << 24))
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self):
        self.again()

    def again(self):
        self.arrivals = Arrivals(folder=self.folder, region=self.region, trust=self.trust,
                                 limits=self.limits, clock=self.clock, hands=Here())  # fmt: skip
        self.arrivals.load()
        return self

    def take(self, datagrams, source="10.0.0.1"):
        for one in datagrams:
            self.arrivals.take(one, source)
        self.clock.advance(1)
        self.arrivals.tend()
        return self

    def states(self):
        return {row["bundle"]: row["state"] for row in Incoming(self.folder, self.region).rows()}

    def kept(self):
        """The bytes on disk, and the names of the files."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return sum(path.stat().st_blocks * 512 for path in files), {one.suffix for one in files}

    def there(self, bundle):
        return self.folder / self.region / bundle.digest


def stream(bundle, parity=8):
    return [one for _, found in files(bundle, parity) for one in found]


def is_whole(far, bundle):
    """Whether it is there; and if so, it must be the bundle and nothing else."""
    place = far.there(bundle)
    if not place.exists():
        return False
    want = {path.name: path.read_bytes() for path in bundle.folder.iterdir()}
    assert {path.name: path.read_bytes() for path in place.iterdir()} == want
    assert not (far.folder / ARRIVING / bundle.digest).exists()
    return True
