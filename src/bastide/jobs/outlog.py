"""What a replica prints, kept in a few bounded files: `log.0`, `log.1`, … of one attempt.

Each line is `epoch-milliseconds TAB text`. Lines are cut at LINE_MAX; a token bucket limits the
rate, and what it drops is counted in a line of its own, so a job that prints a gigabyte costs a
few MiB of disk. Used by the shim, so it imports little.
"""

import os
from typing import BinaryIO

LINE_MAX = 16 * 1024
SEGMENT_MAX = 8 * 1024 * 1024
SEGMENTS_MAX = 4
BURST_BYTES = 12 * 1024 * 1024
RATE_BYTES_S = 256 * 1024
TAIL_MAX = 8 * 1024


class OutLog:
    """The writing side. Times are milliseconds since the epoch."""

    def __init__(self, folder: str, now_ms: int) -> None:
        self._folder = folder
        self._segment = 0
        self._size = 0
        self._file = self._open()
        self._tokens = float(BURST_BYTES)
        self._refilled_ms = now_ms
        self._dropped_lines = 0
        self._dropped_bytes = 0

    def _open(self) -> BinaryIO:
        path = f"{self._folder}/log.{self._segment}"
        return open(path, "ab")

    def write(self, lines: list[bytes], now_ms: int) -> None:
        """Keep `lines` (without newlines) as far as the bucket allows, and flush them."""
        self._refill(now_ms)
        stamp = b"%d\t" % now_ms
        kept: list[bytes] = []
        for line in lines:
            size = len(line) + len(stamp) + 1
            if size > self._tokens:
                self.drop(1, len(line) + 1)
                continue
            self._tokens -= size
            self._say_dropped(kept, stamp)
            kept.append(stamp + line.replace(b"\r", b"").replace(b"\0", b"") + b"\n")
        self._append(kept)

    def drop(self, lines: int, size: int) -> None:
        """Count what is not kept."""
        self._dropped_lines += lines
        self._dropped_bytes += size

    @property
    def full(self) -> bool:
        """Whether the bucket is so empty that lines need not even be split."""
        return self._tokens < LINE_MAX

    def close(self, now_ms: int) -> None:
        kept: list[bytes] = []
        self._say_dropped(kept, b"%d\t" % now_ms)
        self._append(kept)
        self._file.close()

    def refill(self, now_ms: int) -> None:
        self._refill(now_ms)

    def _refill(self, now_ms: int) -> None:
        passed_ms = max(now_ms - self._refilled_ms, 0)
        self._tokens = min(self._tokens + passed_ms * RATE_BYTES_S / 1000, float(BURST_BYTES))
        self._refilled_ms = now_ms

    def _say_dropped(self, kept: list[bytes], stamp: bytes) -> None:
        if self._dropped_lines or self._dropped_bytes:
            said = b"[bastide] %d lines (%d bytes) were printed too fast and not kept\n"
            kept.append(stamp + said % (self._dropped_lines, self._dropped_bytes))
            self._dropped_lines = self._dropped_bytes = 0

    def _append(self, kept: list[bytes]) -> None:
        if not kept:
            return
        data = b"".join(kept)
        self._file.write(data)
        self._file.flush()
        self._size += len(data)
        if self._size > SEGMENT_MAX:
            self._file.close()
            self._segment += 1
            self._size = 0
            self._file = self._open()
            stale = f"{self._folder}/log.{self._segment - SEGMENTS_MAX}"
            if os.path.exists(stale):
                os.unlink(stale)


class Stream:
    """Cuts one pipe's bytes into lines; a line that is too long becomes several."""

    def __init__(self, log: OutLog, *, keeps_tail: bool) -> None:
        self._log = log
        self._rest = b""
        self._keeps_tail = keeps_tail
        self._tail = b""

    def feed(self, data: bytes, now_ms: int) -> None:
        if self._keeps_tail:
            self._tail = (self._tail + data[-TAIL_MAX:])[-TAIL_MAX:]
        self._log.refill(now_ms)
        if self._log.full:
            self._log.drop(data.count(b"\n"), len(self._rest) + len(data))
            self._rest = b""
            return
        *lines, self._rest = (self._rest + data).split(b"\n")
        cut = [piece for line in lines for piece in _pieces(line)]
        if len(self._rest) >= LINE_MAX:
            cut += _pieces(self._rest)
            self._rest = b""
        if cut:
            self._log.write(cut, now_ms)

    def end(self, now_ms: int) -> None:
        if self._rest:
            self._log.write(_pieces(self._rest), now_ms)
            self._rest = b""

    def tail(self) -> str:
        return self._tail.decode("utf-8", "replace")


def _pieces(line: bytes) -> list[bytes]:
    if len(line) <= LINE_MAX:
        return [line]
    return [line[start : start + LINE_MAX] for start in range(0, len(line), LINE_MAX)]


class Reader:
    """The reading side: complete lines from where `position` (segment, offset) stands."""

    def __init__(self, folder: str, position: tuple[int, int] = (0, 0)) -> None:
        self._folder = folder
        self.position = position

    def read(self, size_max: int = 1024 * 1024) -> list[tuple[int, str]]:
        """The next lines, up to about `size_max` bytes; empty when there are none yet."""
        segment, offset = self._standing()
        complete = self._is_complete(segment)  # asked first: more may be written while we read
        try:
            with open(f"{self._folder}/log.{segment}", "rb") as file:
                file.seek(offset)
                data = file.read(size_max)
        except FileNotFoundError:
            return []
        end = data.rfind(b"\n") + 1
        if end:
            self.position = (segment, offset + end)
            return [_parse(line) for line in data[: end - 1].split(b"\n")]
        if complete:
            self.position = (segment + 1, 0)
            return self.read(size_max)
        return []

    def _is_complete(self, segment: int) -> bool:
        """Nothing is added to a segment that has another after it."""
        return os.path.exists(f"{self._folder}/log.{segment + 1}")

    def _standing(self) -> tuple[int, int]:
        """Where to read: the oldest segment still there when ours was deleted."""
        segment, _ = self.position
        if not os.path.exists(f"{self._folder}/log.{segment}"):
            kept = [int(name[4:]) for name in os.listdir(self._folder) if name.startswith("log.")]
            later = [number for number in kept if number > segment]
            if later:
                self.position = (min(later), 0)
        return self.position


def _parse(line: bytes) -> tuple[int, str]:
    stamp, _, text = line.partition(b"\t")
    return int(stamp) if stamp.isdigit() else 0, text.decode("utf-8", "replace")
