"""Who may come in. Connections are counted from their accept on, before TLS has said a word."""

import asyncio
import contextlib
import errno
import logging
import socket
import ssl
from collections.abc import Callable

from bastide.kernel.shares import Shares
from bastide.wire.sources import source_of
from bastide.wire.strict import StrictProtocol

logger = logging.getLogger(__name__)
ACCEPTS_MAX = 64  # at once; then others have their turn
HANDSHAKE_TIMEOUT_S = 10.0
REST_S = 1.0
_NO_ROOM = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Door:
    """Takes the connections of one listener; uvicorn's idea of an asyncio server. Whoever holds
    more than their share is hung up on: the listener goes on for all others."""

    def __init__(
        self,
        listener: socket.socket,
        make_protocol: Callable[[], StrictProtocol],
        context: ssl.SSLContext | None,
        shares: Shares,
        source: str | None = None,
    ) -> None:
        """`source`: whose all its connections are; None goes by their addresses."""
        self._listener = listener
        self._make_protocol = make_protocol
        self._context = context
        self._shares = shares
        self._source = source
        self._loop = asyncio.get_running_loop()
        self._arriving: set[asyncio.Task[None]] = set()
        self._resting: asyncio.TimerHandle | None = None
        self.is_open = False

    def open(self, backlog: int) -> None:
        self._listener.setblocking(False)
        self._listener.listen(backlog)
        self.is_open = True
        self._attend()

    def close(self) -> None:
        self.is_open = False
        if self._resting is not None:
            self._resting.cancel()
        self._loop.remove_reader(self._listener.fileno())
        for task in self._arriving:
            task.cancel()

    async def wait_closed(self) -> None:
        await asyncio.gather(*self._arriving, return_exceptions=True)

    def _attend(self) -> None:
        self._loop.add_reader(self._listener.fileno(), self._accept)

    def _accept(self) -> None:
        for _ in range(ACCEPTS_MAX):
            try:
                connection, address = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _NO_ROOM:
                    raise
                self._rest()
                return
            self._take(connection, self._source or source_of(address[0]))

    def _rest(self) -> None:
        """No descriptors are left: asking again at once would only burn the processor."""
        logger.error("no more connections can be opened; trying again in %s s", REST_S)
        self._loop.remove_reader(self._listener.fileno())
        self._resting = self._loop.call_later(REST_S, self._attend)

    def _take(self, connection: socket.socket, source: str) -> None:
        if not self._shares.take(source):
            connection.close()
            return
        connection.setblocking(False)
        task = self._loop.create_task(self._welcome(connection, source))
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    async def _welcome(self, connection: socket.socket, source: str) -> None:
        protocol = self._make_protocol()
        with contextlib.ExitStack() as undone:
            undone.callback(self._shares.give_back, source)
            undone.callback(connection.close)
            with contextlib.suppress(OSError):  # as all that TLS and sockets raise
                await self._loop.connect_accepted_socket(
                    lambda: protocol,
                    connection,
                    ssl=self._context,
                    ssl_handshake_timeout=HANDSHAKE_TIMEOUT_S if self._context else None,
                )
                undone.pop_all()
                protocol.when_gone(lambda: self._shares.give_back(source))
