"""Where the region's own work writes its logs and metrics: jobs' output, latencies."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import Unavailable
from bastide.kernel.labels.view import View
from bastide.logs import metric_records, records
from bastide.logs.model import EVENT_OVERHEAD, MESSAGE_SIZE_MAX, Group, Sample

logger = logging.getLogger(__name__)

PIECE_CHARS = (MESSAGE_SIZE_MAX - EVENT_OVERHEAD) // 4  # four bytes at most for each character
WAITING_MAX = 2000
FLUSH_AFTER_S = 5.0
MINUTE_MS = 60_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSink:
    """Makes group and stream as needed, at the marking of whose lines they are. A line that is
    too long becomes several. `beside` is written with the lines, or not at all."""

    database: Database
    labels: LabelsInUse
    clock: Clock

    def put(
        self,
        account: str,
        marking: str,
        group: str,
        stream: str,
        events: Sequence[tuple[int, str]],
        beside: Callable[[Connection], None] | None = None,
    ) -> None:
        now, view = epoch_ms(self.clock.now()), self.labels.at(marking)
        lines = [piece for at, text in events for piece in _pieces(at, text)]

        def write(c: Connection) -> None:
            where = _group(c, account, group, now, view)
            kept = records.put_stream(c, where, stream, now)
            records.add_events(c, where, kept, now, lines)
            if beside is not None:
                beside(c)

        self.database.write(write)


def _group(c: Connection, account: str, name: str, now: int, view: View) -> Group:
    found = records.find_group(c, account, name, view)
    found = found or records.add_group(c, account, name, now, {}, view)
    assert found is not None
    return found


def _pieces(at: int, text: str) -> Iterator[tuple[int, str]]:
    """NUL cannot be stored by PostgreSQL, and half a surrogate pair by nobody."""
    clean = text.replace("\0", "\ufffd").encode(errors="replace").decode()
    for start in range(0, max(len(clean), 1), PIECE_CHARS):
        yield at, clean[start : start + PIECE_CHARS]


@dataclass(slots=True, kw_only=True)
class MetricSink:
    """Gathers values in memory, one row for each metric and minute, and writes them together.
    Whoever reads metrics calls `flush` first. A crash loses the last few seconds of them."""

    database: Database
    labels: LabelsInUse
    clock: Clock
    _waiting: dict[tuple[str, ...], Sample] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _flushed_s: float = 0.0

    def put(  # noqa: PLR0913 - the words of PutMetricData itself
        self,
        account: str,
        marking: str,
        namespace: str,
        name: str,
        dimensions: Mapping[str, str],
        value: float,
        at: datetime,
        unit: str = "None",
    ) -> None:
        minute = epoch_ms(at) // MINUTE_MS * MINUTE_MS
        sample = Sample(
            account=account,
            label=self.labels.at(marking).own,
            namespace=namespace,
            name=name,
            dimensions=metric_records.canonical(dimensions),
            at_ms=minute,
            unit=unit,
            count=1,
            total=value,
            minimum=value,
            maximum=value,
        )
        with self._lock:
            self._gather(sample)
            now = self.clock.monotonic_s()
            due = len(self._waiting) >= WAITING_MAX or now - self._flushed_s > FLUSH_AFTER_S
            samples = self._taken(now) if due else []
        if samples:
            self._hand_over(samples)

    def _hand_over(self, samples: Sequence[Sample]) -> None:
        """What they are about is done: that its figures cannot be kept is not its failure."""
        try:
            self.database.submit(lambda c: metric_records.add(c, samples))
        except Unavailable as error:
            logger.warning("%d samples of metrics are lost: %s", len(samples), error)

    def flush(self) -> None:
        """Write what was gathered, and wait for it. Unavailable where it cannot be; it is kept."""
        with self._lock:
            samples = self._taken(self.clock.monotonic_s())
        try:
            if samples:
                self.database.write(lambda c: metric_records.add(c, samples))
        except Unavailable:
            with self._lock:
                for sample in samples:
                    self._gather(sample)
            raise

    def _gather(self, sample: Sample) -> None:
        key = (
            sample.account, sample.label, sample.namespace, sample.name, sample.dimensions,
            str(sample.at_ms), sample.unit,
        )  # fmt: skip
        known = self._waiting.get(key)
        self._waiting[key] = sample if known is None else _summed(known, sample)

    def _taken(self, now_s: float) -> list[Sample]:
        samples, self._waiting, self._flushed_s = list(self._waiting.values()), {}, now_s
        return samples


def _summed(one: Sample, other: Sample) -> Sample:
    return replace(
        one,
        count=one.count + other.count,
        total=one.total + other.total,
        minimum=min(one.minimum, other.minimum),
        maximum=max(one.maximum, other.maximum),
    )
