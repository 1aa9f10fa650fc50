"""The only source of time, so that tests and the simulator can own it."""

import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    """Wall time for records, monotonic time for durations."""

    def now(self) -> datetime:
        """The wall time, aware, in UTC."""
        ...

    def monotonic_s(self) -> float:
        """Seconds that never go back, from an arbitrary origin."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic_s(self) -> float:
        return time.monotonic()


@dataclass(slots=True)
class ManualClock:
    """A clock that only moves when told to: for tests and simulations."""

    at: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    elapsed_s: float = 0.0

    def now(self) -> datetime:
        return self.at

    def monotonic_s(self) -> float:
        return self.elapsed_s

    def advance(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        self.elapsed_s += seconds


def epoch_ms(at: datetime) -> int:
    """Milliseconds since 1970-01-01T00:00:00Z, as CloudWatch Logs counts them."""
    return int(at.timestamp() * 1000)


def moment(at_ms: int) -> datetime:
    """The time that is `at_ms` milliseconds after 1970-01-01T00:00:00Z, in UTC: `epoch_ms` back."""
    return datetime.fromtimestamp(at_ms / 1000, UTC)
