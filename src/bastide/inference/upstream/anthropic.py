"""Anthropic's API as an upstream: Messages, streamed, by key.

Source: https://docs.anthropic.com/en/api/messages-streaming
"""

import json
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from bastide.inference.engine_client import EngineClient, Request, broken
from bastide.inference.model import Endpoint
from bastide.inference.sse import BadEvents, EventSplitter
from bastide.inference.tools import ALONE, OWN_CHOICE
from bastide.inference.upstream.bedrock import FAILED, number_in
from bastide.inference.upstream.model import Upstream
from bastide.kernel.errors import ServiceError, invalid

VERSION = "2023-06-01"
TOKENS_MAX = 4096  # Anthropic must be told a number
EXTRA = ("top_k",)  # of additionalModelRequestFields
CONFIG = {"maxTokens": "max_tokens", "temperature": "temperature", "topP": "top_p",
          "stopSequences": "stop_sequences"}  # fmt: skip
STOPS = {"refusal": "content_filtered", "pause_turn": "end_turn"}
Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AnthropicSource:
    """One request: `said` in Converse's words."""

    client: EngineClient
    endpoint: Endpoint
    upstream: Upstream
    said: Params

    async def events(self) -> "AnthropicEvents":
        body = {**prompt_of(self.said), **settings_of(self.said), "stream": True}
        return AnthropicEvents(await self._post("/v1/messages", body))

    async def count(self) -> int:
        response = await self._post("/v1/messages/count_tokens", prompt_of(self.said))
        return await number_in(response, "input_tokens")

    async def _post(self, path: str, body: Params) -> aiohttp.ClientResponse:
        headers = {
            "content-type": "application/json",
            "anthropic-version": VERSION,
            "x-api-key": self.upstream.key,
        }
        request = Request(
            url=self.upstream.url + path,
            data=msgspec.json.encode({**body, "model": self.upstream.model}),
            headers=headers,
        )
        return await self.client.post(self.endpoint, request)


def prompt_of(said: Params) -> dict[str, Any]:
    found: dict[str, Any] = {
        "messages": [
            {"role": turn["role"], "content": _blocks(turn["content"])} for turn in said["messages"]
        ]
    }
    if system := _blocks(said.get("system") or ()):
        found["system"] = system
    config = said.get("toolConfig")
    if config:
        found["tools"] = _pointed(config["tools"], lambda one: _tool(one["toolSpec"]))
        ((choice, named),) = (config.get("toolChoice") or {"auto": {}}).items()
        found["tool_choice"] = {"type": choice, **named}
    return found


def settings_of(said: Params) -> dict[str, Any]:
    config = said.get("inferenceConfig") or {}
    found = {"max_tokens": TOKENS_MAX, **{CONFIG[name]: value for name, value in config.items()}}
    more = {**(said.get("additionalModelRequestFields") or {})}
    own = more.pop(OWN_CHOICE, None)
    if stranger := next((name for name in more if name not in EXTRA), None):
        raise invalid(f"This model does not take {stranger}.")
    found |= more
    if own and own.get(ALONE):
        found[OWN_CHOICE] = {**prompt_of(said)[OWN_CHOICE], ALONE: True}
    if form := (said.get("outputConfig") or {}).get("textFormat"):
        schema = json.loads(form["structure"]["jsonSchema"]["schema"])
        found["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return found


def _tool(spec: Params) -> dict[str, Any]:
    found = {"name": spec["name"], "input_schema": spec["inputSchema"]["json"]}
    return found | {name: spec[name] for name in ("description", "strict") if spec.get(name)}


def _blocks(blocks: Sequence[Params]) -> list[dict[str, Any]]:
    return _pointed(blocks, _block)


def _pointed(given: Sequence[Params], made: Callable[[Params], Any]) -> list[dict[str, Any]]:
    """A cache point is for what stands before it."""
    found: list[dict[str, Any]] = []
    for one in given:
        if "cachePoint" not in one:
            found.append(made(one))
        elif found:
            ttl = one["cachePoint"].get("ttl")
            found[-1]["cache_control"] = {"type": "ephemeral", **({"ttl": ttl} if ttl else {})}
    return found


def _block(block: Params) -> dict[str, Any]:
    ((kind, value),) = block.items()
    match kind:
        case "text":
            return {"type": "text", "text": value}
        case "guardContent":
            return {"type": "text", "text": value["text"]["text"]}
        case "toolUse":
            return {"type": "tool_use", "id": value["toolUseId"], "name": value["name"],
                    "input": value["input"]}  # fmt: skip
        case "toolResult":
            failed = {"is_error": True} if value.get("status") == "error" else {}
            content = [_in_result(each) for each in value["content"]]
            return {"type": "tool_result", "tool_use_id": value["toolUseId"], "content": content,
                    **failed}  # fmt: skip
    raise invalid(f"This model does not take {kind}.")


def _in_result(block: Params) -> dict[str, Any]:
    if "json" in block:
        return {"type": "text", "text": json.dumps(block["json"], ensure_ascii=False)}
    return _block(block)


class AnthropicEvents:
    """The events of one answer, in the words of ConverseStream. Raises ServiceError when it
    breaks."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._read = 0

    async def __aiter__(self) -> AsyncIterator[Params]:
        splitter = EventSplitter()
        try:
            async for block in self._response.content.iter_any():
                for event in splitter.feed(block):
                    for told in self._told(json.loads(event)):
                        yield told
        except TimeoutError:
            raise ServiceError("ModelStreamErrorException", "The model took too long.") from None
        except (aiohttp.ClientError, OSError, BadEvents) as error:
            raise broken(error) from error

    def close(self) -> None:
        self._response.close()

    def _told(self, event: Params) -> Iterator[Params]:
        match event["type"]:
            case "message_start":
                usage = event["message"]["usage"]
                self._read = sum(usage.get(name) or 0 for name in (
                    "input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"
                ))  # fmt: skip
                yield {"metadata": {"usage": {"inputTokens": self._read, "outputTokens": 0}}}
            case "content_block_start" if event["content_block"]["type"] == "tool_use":
                use = event["content_block"]
                start = {"toolUse": {"toolUseId": use["id"], "name": use["name"]}}
                yield {"contentBlockStart": {"start": start}}
            case "content_block_delta":
                yield from _delta(event["delta"])
            case "content_block_stop":
                yield {"contentBlockStop": {}}
            case "message_delta":
                yield from self._stopped(event)
            case "error":
                raise ServiceError("ModelStreamErrorException", FAILED)

    def _stopped(self, event: Params) -> Iterator[Params]:
        delta, usage = event["delta"], event["usage"]
        reason = delta["stop_reason"]
        beside = {"stop_sequence": delta.get("stop_sequence")}
        yield {
            "messageStop": {
                "stopReason": STOPS.get(reason, reason),
                "additionalModelResponseFields": beside,
            }
        }
        tokens = {"inputTokens": self._read, "outputTokens": usage["output_tokens"]}
        yield {"metadata": {"usage": tokens}}


def _delta(delta: Params) -> Iterator[Params]:
    match delta["type"]:
        case "text_delta":
            yield {"contentBlockDelta": {"delta": {"text": delta["text"]}}}
        case "input_json_delta":
            yield {"contentBlockDelta": {"delta": {"toolUse": {"input": delta["partial_json"]}}}}
