"""A stub of an OpenAI-compatible engine, for measuring what the gateway adds, not the model.

`python -m bench.stub_engine [--first-token-ms 20]` prints its address and serves until killed.
"""

import argparse
import asyncio
import json
from typing import Any

import httptools

USAGE = {"prompt_tokens": 5, "completion_tokens": 5, "total_tokens": 10}
ANSWER = json.dumps(
    {
        "id": "c",
        "object": "chat.completion",
        "created": 0,
        "model": "stub",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "one two three four five"},
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }
).encode()


def _chunk(delta: dict[str, str], finish: str | None, usage: dict[str, int] | None = None) -> bytes:
    event: dict[str, Any] = {
        "id": "c",
        "object": "chat.completion.chunk",
        "created": 0,
        "model": "stub",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    if usage:
        event["usage"] = usage
    return b"data: " + json.dumps(event).encode() + b"\n\n"


STREAM = [
    _chunk({"role": "assistant"}, None),
    *(_chunk({"content": word}, None) for word in ("one ", "two ", "three ", "four ", "five")),
    _chunk({}, "stop", USAGE),
    b"data: [DONE]\n\n",
]


WHOLE_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(ANSWER)
)
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


class _Engine(asyncio.Protocol):
    delay_s = 0.0

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._fresh()

    def _fresh(self) -> None:
        self._parser = httptools.HttpRequestParser(self)
        self._body = b""

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        streamed = b'"stream":true' in self._body.replace(b" ", b"")
        self._fresh()
        loop = asyncio.get_running_loop()
        loop.call_later(self.delay_s, self._answer, streamed)

    def _answer(self, streamed: bool) -> None:
        if not streamed:
            self._transport.write(WHOLE_HEAD + ANSWER)
            return
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in STREAM)
        self._transport.write(STREAM_HEAD + chunks + b"0\r\n\r\n")


async def _serve(first_token_ms: float) -> None:
    _Engine.delay_s = first_token_ms / 1000
    server = await asyncio.get_running_loop().create_server(_Engine, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    print(f"http://127.0.0.1:{port}/v1", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--first-token-ms", type=float, default=0.0)
    asyncio.run(_serve(parser.parse_args().first_token_ms))
