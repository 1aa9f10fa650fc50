"""Another region's Bedrock as an upstream: ConverseStream and CountTokens, signed with SigV4.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import quote

import aiohttp
import msgspec
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.eventstream import EventStreamBuffer, EventStreamMessage, ParserError

from bastide.inference.engine_client import EngineClient, Request, broken, limited
from bastide.inference.model import Endpoint
from bastide.inference.upstream.model import TOKENS_MAX, Upstream
from bastide.kernel.errors import ServiceError

SIGNING_NAME = "bedrock"
# What goes along: guardrails, quotas and profiles are the region's own.
SENT = ("messages", "system", "inferenceConfig", "toolConfig", "additionalModelRequestFields",
        "additionalModelResponseFieldPaths", "outputConfig")  # fmt: skip
COUNTED = ("messages", "system", "toolConfig")
COUNT_BYTES_MAX = 64 << 10
FAILED = "The model failed while it answered."
Tokens = Annotated[int, msgspec.Meta(ge=0, le=TOKENS_MAX)]


@dataclass(frozen=True, slots=True, kw_only=True)
class BedrockSource:
    """One request: `said` in Converse's words."""

    client: EngineClient
    endpoint: Endpoint
    upstream: Upstream
    said: Mapping[str, Any]

    async def events(self) -> "BedrockEvents":
        body = {name: self.said[name] for name in SENT if name in self.said}
        return BedrockEvents(await self._post("converse-stream", body))

    async def count(self) -> int:
        body = {name: self.said[name] for name in COUNTED if name in self.said}
        response = await self._post("count-tokens", {"input": {"converse": body}})
        return await number_in(response, "inputTokens")

    async def _post(self, operation: str, body: Mapping[str, Any]) -> aiohttp.ClientResponse:
        model = quote(self.upstream.model, safe="")
        url = f"{self.upstream.url}/model/{model}/{operation}"
        return await self.client.post(self.endpoint, signed(self.upstream, url, body))


def signed(upstream: Upstream, url: str, body: Mapping[str, Any]) -> Request:
    data = msgspec.json.encode(body)
    request = AWSRequest(
        method="POST", url=url, data=data, headers={"content-type": "application/json"}
    )
    SigV4Auth(Credentials(*upstream.key.split()), SIGNING_NAME, upstream.region).add_auth(request)
    return Request(url=url, data=data, headers=dict(request.headers.items()))


async def number_in(response: aiohttp.ClientResponse, name: str) -> int:
    """A number of tokens in an answer. Raises ServiceError."""
    try:
        found = msgspec.json.decode(await limited(response, COUNT_BYTES_MAX), type=dict[str, Any])
        return msgspec.convert(found.get(name), Tokens)
    except (aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
        raise broken(error, "ModelErrorException") from error
    finally:
        response.close()


class BedrockEvents:
    """The events of one answer. Raises ServiceError when it breaks."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncGenerator[Mapping[str, Any], None]:
        buffer = EventStreamBuffer()
        try:
            async for block in self._response.content.iter_any():
                buffer.add_data(block)
                for message in buffer:
                    yield _event(message)
        except TimeoutError:
            raise ServiceError("ModelStreamErrorException", "The model took too long.") from None
        except (aiohttp.ClientError, OSError, ParserError) as error:
            raise broken(error) from error

    def close(self) -> None:
        self._response.close()


def _event(message: EventStreamMessage) -> Mapping[str, Any]:
    said: Mapping[str, Any] = message.to_response_dict()
    if said["headers"].get(":message-type") != "event":
        raise ServiceError("ModelStreamErrorException", FAILED)
    return {str(said["headers"].get(":event-type")): json.loads(said["body"])}
