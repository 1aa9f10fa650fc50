"""HTTP to engines, over kept-alive connections. aiohttp costs 95-160 µs a request here, measured
against a stub engine; every failure becomes one of Bedrock's errors."""

import logging
import ssl
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import aiohttp
import msgspec
from yarl import URL

from bastide.inference.model import Endpoint
from bastide.inference.replies import Chunk, Completion, Count, refusal
from bastide.inference.sse import BadEvents, EventSplitter
from bastide.kernel.errors import ServiceError

logger = logging.getLogger(__name__)
CONNECT_TIMEOUT_S = 5.0
ANSWER_TIMEOUT_S = 3600.0
TOKEN_TIMEOUT_S = 600.0
ANSWER_BYTES_MAX = 32 << 20
ERROR_BYTES_MAX = 64 << 10
DONE = b"[DONE]"
_CHUNK = msgspec.json.Decoder(Chunk)
_COMPLETION = msgspec.json.Decoder(Completion)
_COUNT = msgspec.json.Decoder(Count)


class EngineStream:
    """A streamed answer whose first byte is here. `close()` ends the generation."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._done = False

    async def chunks(self) -> AsyncGenerator[Chunk, None]:
        """Raises ServiceError when the stream breaks."""
        splitter = EventSplitter()
        try:
            async for block in self._response.content.iter_any():
                for event in splitter.feed(block):
                    if event == DONE:
                        self._done = True
                        continue
                    yield _read(event)
        except TimeoutError:
            raise ServiceError("ModelStreamErrorException", "The model took too long.") from None
        except (aiohttp.ClientError, OSError, BadEvents, msgspec.DecodeError) as error:
            raise broken(error) from error

    def close(self) -> None:
        """A connection that was read to its end is kept for the next request."""
        if self._done and self._response.content.at_eof():
            self._response.release()
        else:
            self._response.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One POST, signed or with its key; `url` is sent as it is written."""

    url: str
    data: bytes
    headers: Mapping[str, str]


class EngineClient:
    """Belongs to one event loop; its sessions are made on first use. `unreachable` is told the URL
    of a server that no connection is to be had to."""

    def __init__(
        self,
        *,
        answer_timeout_s: float = ANSWER_TIMEOUT_S,
        token_timeout_s: float = TOKEN_TIMEOUT_S,
        unreachable: Callable[[str], None] = lambda url: None,
    ) -> None:
        self._unreachable = unreachable
        self._sessions: dict[_Way, aiohttp.ClientSession] = {}
        self._whole = aiohttp.ClientTimeout(total=answer_timeout_s, sock_connect=CONNECT_TIMEOUT_S)
        self._streamed = aiohttp.ClientTimeout(
            total=None, sock_connect=CONNECT_TIMEOUT_S, sock_read=token_timeout_s
        )

    async def complete(self, endpoint: Endpoint, body: dict[str, Any]) -> Completion:
        raw = await self._post(endpoint, "/chat/completions", body)
        try:
            found = _COMPLETION.decode(raw)
        except msgspec.DecodeError as error:
            raise broken(error, "ModelErrorException") from error
        if not found.choices:
            raise ServiceError("ModelErrorException", "The model gave no answer.")
        return found

    async def count(self, endpoint: Endpoint, messages: Sequence[Mapping[str, str]]) -> int:
        """The tokens of a prompt. An engine that is not ours is asked for one token's answer."""
        body: dict[str, Any] = {"model": endpoint.model, "messages": messages}
        if not endpoint.local:
            return (await self.complete(endpoint, {**body, "max_tokens": 1})).usage.prompt_tokens
        raw = await self._post(endpoint, "/chat/completions/input_tokens", body)
        try:
            return _COUNT.decode(raw).input_tokens
        except msgspec.DecodeError as error:
            raise broken(error, "ModelErrorException") from error

    async def stream(self, endpoint: Endpoint, body: dict[str, Any]) -> EngineStream:
        """Raises ServiceError before the first byte; after it, the stream does."""
        return EngineStream(await self._open(endpoint, "/chat/completions", body, self._streamed))

    async def close(self) -> None:
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def _post(self, endpoint: Endpoint, path: str, body: dict[str, Any]) -> bytes:
        response = await self._open(endpoint, path, body, self._whole)
        try:
            return await limited(response, ANSWER_BYTES_MAX)
        except TimeoutError:
            raise ServiceError("ModelTimeoutException", "The model took too long.") from None
        except (aiohttp.ClientError, OSError) as error:
            raise broken(error, "ModelErrorException") from error
        finally:
            response.release() if response.content.at_eof() else response.close()

    async def _open(
        self, endpoint: Endpoint, path: str, body: dict[str, Any], limits: aiohttp.ClientTimeout
    ) -> aiohttp.ClientResponse:
        headers = {"content-type": "application/json"}
        if endpoint.key:
            headers["authorization"] = f"Bearer {endpoint.key}"
        sent = _Sent(endpoint.url + path, msgspec.json.encode(body), headers, limits)
        return await self._answered(sent, endpoint)

    async def post(self, endpoint: Endpoint, request: "Request") -> aiohttp.ClientResponse:
        """The answer to a request that was made elsewhere, not yet read. Close it. Raises
        ServiceError."""
        sent = _Sent(request.url, request.data, dict(request.headers), self._streamed)
        return await self._answered(sent, endpoint)

    async def _answered(self, sent: "_Sent", endpoint: Endpoint) -> aiohttp.ClientResponse:
        try:
            response = await self._send(sent, endpoint)
        except TimeoutError:
            raise ServiceError("ModelTimeoutException", "The model took too long.") from None
        except (aiohttp.ClientError, OSError) as error:
            logger.warning("an engine does not answer: %s", type(error).__name__)
            if isinstance(error, aiohttp.ClientConnectorError):
                self._unreachable(endpoint.url)
            message = "The model's engine is unavailable. Try again."
            raise ServiceError("ServiceUnavailableException", message) from error
        if response.status != 200:
            raise await _refused(response)
        return response

    async def _send(self, sent: "_Sent", endpoint: Endpoint) -> aiohttp.ClientResponse:
        """llama.cpp ends kept connections when it likes, so our own engines get a new one each
        time (0.1 ms). A kept one that had just ended is no failure: an inference can be repeated.
        """
        if endpoint.local:
            return await sent.on(self._session(endpoint, keep=False))
        try:
            return await sent.on(self._session(endpoint, keep=True))
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            if isinstance(error, aiohttp.ClientConnectorError):
                raise
        return await sent.on(self._session(endpoint, keep=False))

    def _session(self, endpoint: Endpoint, *, keep: bool) -> aiohttp.ClientSession:
        way = _Way(endpoint.socket, endpoint.ca_file, keep)
        if way not in self._sessions:
            self._sessions[way] = aiohttp.ClientSession(
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=way.connector(),
                skip_auto_headers=("user-agent", "accept-encoding"),
            )
        return self._sessions[way]


class _Way(NamedTuple):
    """How connections to an engine are made, and whether they are kept."""

    socket: str
    ca_file: str
    keep: bool

    def connector(self) -> aiohttp.BaseConnector:
        if self.socket:
            return aiohttp.UnixConnector(self.socket, limit=0, force_close=not self.keep)
        trusted = ssl.create_default_context(cafile=self.ca_file) if self.ca_file else True
        return aiohttp.TCPConnector(limit=0, force_close=not self.keep, ssl=trusted)


@dataclass(frozen=True, slots=True)
class _Sent:
    url: str
    data: bytes
    headers: dict[str, str]
    limits: aiohttp.ClientTimeout

    async def on(self, session: aiohttp.ClientSession) -> aiohttp.ClientResponse:
        return await session.post(
            URL(self.url, encoded=True),
            data=self.data,
            headers=self.headers,
            timeout=self.limits,
            allow_redirects=False,
        )


def broken(error: Exception, code: str = "ModelStreamErrorException") -> ServiceError:
    logger.warning("an engine's answer broke off: %s", type(error).__name__)
    return ServiceError(code, "The model's answer broke off. Try your request again.")


def _read(event: bytes) -> Chunk:
    chunk = _CHUNK.decode(event)
    if chunk.error is not None:
        raise ServiceError("ModelStreamErrorException", "The model failed while it answered.")
    return chunk


async def _refused(response: aiohttp.ClientResponse) -> ServiceError:
    body = b""
    try:
        body = await limited(response, ERROR_BYTES_MAX)
    except (aiohttp.ClientError, OSError, TimeoutError):
        logger.warning("an engine's error could not be read")
    finally:
        response.close()
    logger.warning("an engine answered %s", response.status)
    return refusal(response.status, body)


async def limited(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body, up to `limit` bytes."""
    found = bytearray()
    async for block in response.content.iter_any():
        found += block
        if len(found) > limit:
            raise aiohttp.ClientPayloadError("the answer is too large")
    return bytes(found)
