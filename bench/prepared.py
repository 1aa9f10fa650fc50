"""ConverseStream by a client as light as the bare engine's: bytes that are signed before their time
begins, over a kept TLS connection, read and not parsed."""

import http.client
import json
import ssl
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from tests.live import LiveRegion

from bench.load import signed


def asked_for(text: str, tokens: int) -> dict[str, Any]:
    return {
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "inferenceConfig": {"maxTokens": tokens, "temperature": 0.0},
    }


class Prepared(http.client.HTTPSConnection):
    """One connection to the region. `call`, then read its `pieces` to their end."""

    def __init__(self, region: LiveRegion, model: str) -> None:
        self._env = region.agency("bench")
        self._url = f"{region.status['endpoint']}/model/{model.replace(':', '%3A')}/converse-stream"
        parts = urlsplit(self._url)
        assert parts.hostname
        context = ssl.create_default_context(cafile=self._env["AWS_CA_BUNDLE"])
        super().__init__(parts.hostname, parts.port, context=context)
        self.connect()

    def call(self, text: str, tokens: int) -> bytes:
        body = json.dumps(asked_for(text, tokens)).encode()
        headers = {"content-type": "application/json"}
        return signed("POST", self._url, body, service="bedrock", env=self._env, **headers)

    def pieces(self, call: bytes) -> Iterator[bytes]:
        self.sock.sendall(call)
        answer = http.client.HTTPResponse(self.sock, method="POST")
        answer.begin()
        while piece := answer.read1():
            yield piece
