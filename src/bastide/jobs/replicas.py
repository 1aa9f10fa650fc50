"""HTTP to replicas' unix sockets, over connections that are kept and used again."""

import asyncio
import contextlib
import io
from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

from bastide.jobs import reach
from bastide.jobs.replica_protocol import Budget, ReplicaProtocol

CONNECT_TIMEOUT_S = 2.0
QUEUE_PAUSE_S = 0.01
BUDGETS_MAX = 4096


class NotAnswered(Exception):
    """The replica broke off, or did not answer as HTTP, or not in time (`timed_out`)."""

    def __init__(self, reason: str, timed_out: bool = False) -> None:
        super().__init__(reason)
        self.timed_out = timed_out


class NotReached(Exception):
    """The replica has not taken the request: asking another one repeats nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """One invocation."""

    headers: Mapping[str, str]
    body: bytes
    timeout_s: float  # until the last byte of the answer


class Answer:
    """An answer whose head is here. It is to be read to its end, or closed."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status
        self.headers = response.headers

    async def pieces(self) -> AsyncGenerator[bytes, None]:
        """As they arrive. Raises NotAnswered."""
        try:
            async for piece in self._response.content.iter_any():
                yield piece
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _not_answered(error) from error

    async def head(self, size: int) -> bytes:
        """The first `size` bytes at most, or what there is of them."""
        said = b""
        with contextlib.suppress(NotAnswered):
            async for piece in self.pieces():
                said += piece
                if len(said) >= size:
                    break
        return said[:size]

    def close(self) -> None:
        """A connection that was read to its end is kept for the next request."""
        if self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


class Replicas:
    """Belongs to one event loop; its session is made on first use."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def ask(self, path: Path, asked: Asked) -> Answer:
        """Raises NotReached, or NotAnswered."""
        timeout = aiohttp.ClientTimeout(total=asked.timeout_s, connect=CONNECT_TIMEOUT_S)
        try:
            response = await self._opened().post(
                f"http://{bytes(path).hex()}/invocations",
                data=io.BytesIO(asked.body),  # sent in parts, between which others have their turn
                headers={"Host": "localhost", **asked.headers},
                timeout=timeout,
                allow_redirects=False,
            )
        except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
            raise NotReached(str(error)) from error
        except aiohttp.ClientOSError as error:
            # So a unix socket says that its other end went with some of our bytes unread.
            if isinstance(error.__cause__, ConnectionResetError | BrokenPipeError):
                raise NotReached(str(error)) from error
            raise _not_answered(error) from error
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            raise _not_answered(error) from error
        return Answer(response)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=_Connector(limit=0),  # `Load` bounds them
                cookie_jar=aiohttp.DummyCookieJar(),
                auto_decompress=False,
                skip_auto_headers=("user-agent", "accept", "accept-encoding", "content-type"),
            )
        return self._session


class _Connector(aiohttp.BaseConnector):
    """One pool for all replicas: a host's name is the path of its socket, in hexadecimal."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        self._budgets: OrderedDict[Path, Budget] = OrderedDict()

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: list[Any],
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109 - aiohttp's own hook; it ends us itself
    ) -> ResponseHandler:
        path = Path(bytes.fromhex(str(req.url.raw_host)).decode())
        try:
            while True:
                with contextlib.suppress(BlockingIOError):
                    connection = reach.connect(path)
                    break
                await asyncio.sleep(QUEUE_PAUSE_S)  # ended by the timeout of connecting
        except OSError as error:
            raise aiohttp.ClientConnectorError(req.connection_key, error) from error
        loop = asyncio.get_running_loop()
        budget = self._budget_of(path)
        _, protocol = await loop.create_unix_connection(
            lambda: ReplicaProtocol(loop, budget), sock=connection
        )
        return protocol

    def _budget_of(self, path: Path) -> Budget:
        """One for all connections of a replica; those that were not used for long are dropped."""
        budget = self._budgets.setdefault(path, Budget())
        self._budgets.move_to_end(path)
        if len(self._budgets) > BUDGETS_MAX:
            self._budgets.popitem(last=False)
        return budget


def _not_answered(error: Exception) -> NotAnswered:
    return NotAnswered(str(error) or type(error).__name__, isinstance(error, TimeoutError))
