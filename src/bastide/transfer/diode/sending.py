"""The sending end: every file of a bundle as datagrams, at a steady rate. Nothing is ever read."""

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from itertools import chain
from typing import Any

from bastide.kernel.clock import Clock
from bastide.transfer import chunks
from bastide.transfer.bundles import Bundle, Steps, read_envelope
from bastide.transfer.diode import erasure
from bastide.transfer.diode.datagram import CHUNK, DATAGRAM_BYTES, ENVELOPE, File, packed
from bastide.transfer.diode.erasure import PARITY_MAX, SHARD_BYTES
from bastide.transfer.model import Refused

K = 32  # columns of a file; 8 MiB are 219 rows
PASSES_MAX, RATE_MBIT_MAX = 100, 100_000
PORT_MAX = 65_535
BURST_S = 0.002  # how much may be caught up at once: a receiver's buffer takes it
STEP_DATAGRAMS = 1024
CHECKED_S = 0.25  # in which a receiver checks an envelope's signatures: before, it keeps little
REPEATED = 16  # an envelope goes again after so many times its size


@dataclass(slots=True, kw_only=True)
class Pace:
    """A bucket of tokens: no more than `bytes_per_s`, whatever was missed."""

    bytes_per_s: float
    clock: Clock
    sleep: Callable[[float], None] = time.sleep
    _due_s: float = 0.0

    def wait(self, count: int) -> None:
        now = self.clock.monotonic_s()
        self._due_s = max(self._due_s, now - BURST_S) + count / self.bytes_per_s
        if self._due_s > now:
            self.sleep(self._due_s - now)

    def rest(self, seconds: float) -> None:
        self._due_s = max(self._due_s, self.clock.monotonic_s()) + seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """Where to, how fast, how much of each `K` shards may be lost, and how often all of it.
    `host` is an address: a name may be another one's between the question and the sending."""

    host: str
    port: int
    pace: Pace
    parity: int = 8
    passes: int = 1

    def send(self, bundle: Bundle) -> Steps:
        """Send a bundle. Its envelope goes first, now and then, and last: a receiver keeps next to
        nothing of a bundle before it has that."""
        family, kind, protocol, _, address = _found(self.host, self.port)
        # Not connected: else the kernel would report what comes back, and here nothing may.
        with socket.socket(family, kind, protocol) as door:
            yield from self._passes(bundle, door, address)

    def _passes(self, bundle: Bundle, door: socket.socket, address: object) -> Steps:
        total = self.passes * chunks.total(bundle.statement.predicate)
        done = 0
        for number in range(self.passes):
            step = f"sending, pass {number + 1} of {self.passes}"
            for which, (size, datagrams) in enumerate(files(bundle, self.parity)):
                for count, datagram in enumerate(datagrams):
                    self.pace.wait(len(datagram))
                    _out(door, datagram, address)
                    if count % STEP_DATAGRAMS == 0:
                        at = min(size, count * SHARD_BYTES)
                        yield {"step": step, "done": min(done + at, total), "total": total}
                done += size
                if which == 0:
                    self.pace.rest(CHECKED_S)
        yield {"step": "sent", "done": total, "total": total}


def link_of(way: Mapping[str, Any], clock: Clock) -> Link:
    """As an operator names it: `udp` is HOST:PORT. Raises Refused."""
    host, _, port = way["udp"].rpartition(":")
    bounds = {"rate_mbit": RATE_MBIT_MAX, "passes": PASSES_MAX, "parity": PARITY_MAX}
    for name, highest in bounds.items():
        if not 1 <= way[name] <= highest:
            raise Refused(f"{name} is from 1 to {highest}")
    if not host or not port.isascii() or not port.isdigit() or not 1 <= int(port) <= PORT_MAX:
        raise Refused(f"{way['udp'][:64]!r} is no HOST:PORT")
    pace = Pace(bytes_per_s=way["rate_mbit"] * 125_000, clock=clock)
    return Link(
        host=_address(host.strip("[]"), int(port)),
        port=int(port),
        pace=pace,
        parity=way["parity"],
        passes=way["passes"],
    )


def _found(host: str, port: int) -> tuple[Any, ...]:
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)[0]
    except OSError as error:
        raise Refused(f"{host[:64]!r} is no address: {error.strerror}") from None


def _address(host: str, port: int) -> str:
    as_numbers = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
    return socket.getnameinfo(_found(host, port)[4], as_numbers)[0]


def files(bundle: Bundle, parity: int) -> Iterator[tuple[int, Iterator[bytes]]]:
    """Of each file, the bytes that count as progress, and its datagrams."""
    name, envelope = bytes.fromhex(bundle.digest), read_envelope(bundle.folder)
    yield 0, datagrams(name, envelope, ENVELOPE, parity)
    since = 0
    for number in range(len(bundle.statement.subject)):
        if since >= REPEATED * len(envelope):
            yield 0, datagrams(name, envelope, ENVELOPE, parity)
            since = 0
        data = chunks.read_chunk(bundle.folder, bundle.statement, number)
        yield len(data), datagrams(name, data, CHUNK, parity)
        since += len(data)
    yield 0, datagrams(name, envelope, ENVELOPE, parity)


def datagrams(bundle: bytes, data: bytes, kind: int, parity: int) -> Iterator[bytes]:
    """A file as datagrams: its own bytes in their order, then the parity."""
    shape = erasure.shape_of(len(data), K, parity)
    of = File(bundle, sha256(data).digest(), kind, shape).packed()
    columns = data + bytes(shape.k * shape.column_bytes - len(data))
    for slot in range(shape.filled):
        at = slot * SHARD_BYTES
        yield packed(of, shape, slot, columns[at : at + SHARD_BYTES])
    made = chain.from_iterable(_cut(one) for one in erasure.parity(columns, shape, range(shape.m)))
    for slot, shard in enumerate(made, shape.k * shape.rows):
        yield packed(of, shape, slot, shard)


def _cut(column: bytes) -> Iterator[bytes]:
    for at in range(0, len(column), SHARD_BYTES):
        yield column[at : at + SHARD_BYTES]


def _out(door: socket.socket, datagram: bytes, address: object) -> None:
    try:
        door.sendto(datagram, address)  # type: ignore[call-overload]  # as getaddrinfo gave it
    except OSError as error:
        raise Refused(f"a datagram cannot be sent: {error.strerror}") from None


assert DATAGRAM_BYTES <= 1472, "it fits Ethernet's frame"
