"""A wire between two UDP ends that loses, doubles, harms and mixes up what it carries, by a seed.
Nothing goes back on it; what somebody sends back all the same is kept to be seen."""

import random
import socket
from dataclasses import dataclass, field
from threading import Thread

END = b""


@dataclass
class Weather:
    """How often each thing happens to a datagram. `burst`: so many are lost from time to time."""

    lost: float = 0.0
    doubled: float = 0.0
    harmed: float = 0.0
    cut: float = 0.0
    mixed: int = 1  # how many are held and shuffled
    burst: int = 0
    seed: int = 0

    def through(self, datagrams):
        """What comes out of the other end."""
        chance = random.Random(self.seed)
        held, gone = [], 0
        for datagram in datagrams:
            if self.burst and chance.random() < 0.001:
                gone = self.burst
            if gone or chance.random() < self.lost:
                gone = max(0, gone - 1)
                continue
            held.append(self._harmed(datagram, chance))
            if chance.random() < self.doubled:
                held.append(datagram)
            if len(held) >= self.mixed:
                chance.shuffle(held)
                yield from held
                held = []
        yield from held

    def _harmed(self, datagram, chance):
        if chance.random() < self.cut:
            return datagram[: chance.randrange(len(datagram))] or b"\0"
        if chance.random() < self.harmed:
            at = chance.randrange(len(datagram))
            return (
                datagram[:at]
                + bytes([datagram[at] ^ 1 << chance.randrange(8)])
                + datagram[at + 1 :]
            )
        return datagram


@dataclass
class Wire:
    """`port` is its near end; the far end is at `to`. Both ends are sockets of this process."""

    to: tuple[str, int]
    weather: Weather
    came_back: list[bytes] = field(default_factory=list)
    carried: int = 0

    def __enter__(self):
        self._near = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 64 << 20)
        self._near.bind(("127.0.0.1", 0))
        self._far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._far.bind(("127.0.0.1", 0))
        self.port = self._near.getsockname()[1]
        self._thread = Thread(target=self._carry)
        self._thread.start()
        return self

    def __exit__(self, *_):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(END, ("127.0.0.1", self.port))
        self._thread.join()
        self._far.setblocking(False)
        while True:
            try:
                self.came_back.append(self._far.recv(2048))
            except BlockingIOError:
                break
        self._near.close()
        self._far.close()

    def _carry(self):
        for datagram in self.weather.through(iter(lambda: self._near.recv(2048), END)):
            self._far.sendto(datagram, self.to)
            self.carried += 1
