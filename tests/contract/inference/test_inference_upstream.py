"""Models beyond the walls, played by a scripted server: who may ask them, what they are sent, and
what becomes of what they answer."""

import asyncio
import binascii
import json
import struct
from contextlib import asynccontextmanager, suppress
from dataclasses import replace

import pytest
from tests.inference_kit import (
    ACCOUNT,
    OTHER,
    StubEngine,
    call,
    conversations,
    engines,
    models_at,
    turn,
)
from tests.labels_kit import US

from bastide.inference.engine_client import EngineClient
from bastide.inference.model import RemoteEngine
from bastide.inference.quotas import Quotas
from bastide.inference.upstream.model import Egress, EgressRule, Kind, Upstream
from bastide.inference.upstream.upstreams import Upstreams
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError
from bastide.settings import Quota

pytestmark = pytest.mark.asyncio
FAR = "anthropic.claude-far-v1:0"
REQ = {"modelId": FAR, "messages": [turn()]}
TOOL = {"toolSpec": {"name": "look", "inputSchema": {"json": {"type": "object"}}}}
CALLED = {"toolUse": {"toolUseId": "tooluse_1", "name": "look"}}
USAGE = {"usage": {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}}


def event(name, value, kind="event"):
    """A message of Amazon's event stream."""
    said = {":message-type": kind, f":{kind}-type": name, ":content-type": "application/json"}
    headers = b"".join(
        bytes([len(key)]) + key.encode() + b"\x07" + struct.pack(">H", len(text)) + text.encode()
        for key, text in said.items()
    )
    payload = value if isinstance(value, bytes) else json.dumps(value).encode()
    head = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    message = head + struct.pack(">I", binascii.crc32(head)) + headers + payload
    return message + struct.pack(">I", binascii.crc32(message))


def text(words):
    return event("contentBlockDelta", {"contentBlockIndex": 0, "delta": {"text": words}})


END = {"stopReason": "end_turn"}


def counts(written):
    return b'{"usage": {"inputTokens": 1, "outputTokens": %s}}' % written


def ended(reason="end_turn"):
    return [event("messageStop", {"stopReason": reason}), event("metadata", USAGE)]


def sse(*events):
    return [b"data: " + json.dumps(one).encode() + b"\n\n" for one in events]


SAID = [event("messageStart", {"role": "assistant"}), text("one "), text("two"), *ended()]
CALLS = [
    event("contentBlockStart", {"contentBlockIndex": 0, "start": CALLED}),
    event("contentBlockDelta", {"delta": {"toolUse": {"input": '{"at":'}}}),
    event("contentBlockDelta", {"delta": {"toolUse": {"input": "1}"}}}),
    event("contentBlockStop", {"contentBlockIndex": 0}),
    *ended("tool_use"),
]
ANTHROPIC = sse(
    {"type": "message_start", "message": {"usage": {"input_tokens": 4, "output_tokens": 0}}},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "ping"},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hm"}},
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "input_json_delta", "partial_json": '{"at": 1}'},
    },
    {"type": "content_block_stop", "index": 1},
    {
        "type": "message_delta",
        "delta": {"stop_reason": "tool_use", "stop_sequence": None},
        "usage": {"output_tokens": 3},
    },
    {"type": "message_stop"},
)


@asynccontextmanager
async def beyond(folder, stub, kind=Kind.BEDROCK, agency=ACCOUNT, up_to=US.lowest):
    """Conversations of a region that one agency's prompts may leave for the stub."""
    url = stub.url.removesuffix("/v1")
    key = "AKIDEXAMPLE secret" if kind is Kind.BEDROCK else "sesame"
    far = Upstream(kind=kind, url=url, model="far-model:0", key=key, region="us-east-1")
    rules = [EgressRule(agency=agency, up_to=up_to, models=(FAR,))]
    egress = Egress(upstreams={FAR: far}, rules=rules)
    pool = engines(folder, {FAR: RemoteEngine(url=url, model="far-model:0")})
    client = EngineClient(unreachable=pool.unreachable)
    models = models_at(folder, remote_ids=(FAR,))
    models.leaves = egress.lets
    try:
        talk = conversations(models, pool, client)
        yield replace(talk, upstreams=Upstreams(egress=egress))
    finally:
        await client.close()
        await pool.close()


async def events_of(talk, asked, req=REQ):
    answer = await talk.converse_stream(asked, req)
    return [one async for one in answer["stream"]]


async def test_an_answer_of_bedrock_whole_and_streamed(tmp_path):
    async with StubEngine(SAID) as stub, beyond(tmp_path, stub) as talk:
        asked = call()
        answer = await talk.converse(asked, REQ)
        assert answer["output"]["message"]["content"] == [{"text": "one two"}]
        assert answer["usage"] == {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}
        assert answer["stopReason"] == "end_turn"
        assert asked.notes.audit["left_for"] == f"bedrock {stub.url.split('/')[2]}"
        assert asked.notes.headers["x-bastide-model"] == FAR
        events = await events_of(talk, call("bedrock-runtime.ConverseStream"))
        assert [next(iter(one)) for one in events][-2:] == ["messageStop", "metadata"]
    (first, second) = stub.seen
    assert first == second
    assert first["path"] == "/model/far-model%3A0/converse-stream"
    assert first["messages"] == REQ["messages"]
    assert "/us-east-1/bedrock/aws4_request" in stub.headers[0]["authorization"]


async def test_what_calls_of_tools_become(tmp_path):
    req = {**REQ, "toolConfig": {"tools": [TOOL]}}
    use = {"toolUseId": "tooluse_1", "name": "look", "input": {"at": 1}}
    async with StubEngine(CALLS) as stub, beyond(tmp_path, stub) as talk:
        answer = await talk.converse(call(), req)
        assert answer["output"]["message"]["content"] == [{"toolUse": use}]
        assert answer["stopReason"] == "tool_use"
    assert stub.seen[0]["toolConfig"] == req["toolConfig"]


async def test_anthropic_in_its_own_words(tmp_path):
    turns = [
        turn("look"),
        {"role": "assistant", "content": [{"toolUse": {**CALLED["toolUse"], "input": {"at": 0}}}]},
        {
            "role": "user",
            "content": [
                {
                    "toolResult": {
                        "toolUseId": "tooluse_1",
                        "content": [{"json": {"seen": True}}],
                        "status": "error",
                    }
                }
            ],
        },
    ]
    req = {
        "modelId": FAR,
        "messages": turns,
        "system": [{"text": "be brief"}, {"cachePoint": {"type": "default"}}],
        "toolConfig": {"tools": [TOOL], "toolChoice": {"tool": {"name": "look"}}},
        "inferenceConfig": {"maxTokens": 9, "stopSequences": ["x"], "temperature": 0.5},
        "additionalModelRequestFields": {"top_k": 3},
    }
    async with StubEngine(ANTHROPIC) as stub, beyond(tmp_path, stub, Kind.ANTHROPIC) as talk:
        answer = await talk.converse(call(), req)
        text_, use = answer["output"]["message"]["content"]
        assert text_ == {"text": "hm"}
        assert use["toolUse"] == {"toolUseId": "toolu_1", "name": "look", "input": {"at": 1}}
        assert answer["usage"] == {"inputTokens": 4, "outputTokens": 3, "totalTokens": 7}
    seen = stub.seen[0]
    assert seen.pop("path") == "/v1/messages"
    assert seen == {
        "model": "far-model:0",
        "stream": True,
        "max_tokens": 9,
        "stop_sequences": ["x"],
        "temperature": 0.5,
        "top_k": 3,
        "system": [{"type": "text", "text": "be brief", "cache_control": {"type": "ephemeral"}}],
        "tools": [{"name": "look", "input_schema": {"type": "object"}}],
        "tool_choice": {"type": "tool", "name": "look"},
        "messages": [
            {"role": "user", "content": [{"type": "text", "text": "look"}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "tool_use", "id": "tooluse_1", "name": "look", "input": {"at": 0}}
                ],
            },
            {
                "role": "user",
                "content": [
                    {
                        "type": "tool_result",
                        "tool_use_id": "tooluse_1",
                        "content": [{"type": "text", "text": '{"seen": true}'}],
                        "is_error": True,
                    }
                ],
            },
        ],
    }
    assert stub.headers[0]["x-api-key"] == "sesame"


async def test_claudes_own_choice_and_the_times_of_cache_points_go_along(tmp_path):
    own = {"disable_parallel_tool_use": True}
    point = {"cachePoint": {"type": "default", "ttl": "1h"}}
    req = {
        "modelId": FAR,
        "messages": [turn("look")],
        "toolConfig": {"tools": [TOOL, point], "toolChoice": {"any": {}}},
        "additionalModelRequestFields": {"tool_choice": own},
    }
    async with StubEngine(ANTHROPIC) as stub, beyond(tmp_path, stub, Kind.ANTHROPIC) as talk:
        await talk.converse(call(), req)
    assert stub.seen[0]["tool_choice"] == {"type": "any", **own}
    assert stub.seen[0]["tools"][-1]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


async def test_an_answer_that_was_begun_is_continued_there(tmp_path):
    turns = [turn("look"), turn("I see", "assistant")]
    for kind, said in ((Kind.BEDROCK, SAID), (Kind.ANTHROPIC, ANTHROPIC)):
        (tmp_path / kind).mkdir()
        async with StubEngine(said) as stub, beyond(tmp_path / kind, stub, kind) as talk:
            asked = {"modelId": FAR, "messages": turns}
            if kind is Kind.BEDROCK:
                assert (await talk.converse(call(), asked))["stopReason"]
            else:  # its answer calls a tool, and none was offered
                with pytest.raises(ServiceError, match="broke off"):
                    await talk.converse(call(), asked)
        assert [one["role"] for one in stub.seen[0]["messages"]] == ["user", "assistant"]


async def test_tokens_are_counted_there(tmp_path):
    counted = {"modelId": FAR, "input": {"converse": {"messages": [turn()]}}}
    for kind, body in ((Kind.BEDROCK, {"inputTokens": 7}), (Kind.ANTHROPIC, {"input_tokens": 7})):
        (tmp_path / kind).mkdir()
        async with (
            StubEngine([json.dumps(body).encode()]) as stub,
            beyond(tmp_path / kind, stub, kind) as talk,
        ):
            asked = call("bedrock-runtime.CountTokens")
            assert await talk.count_tokens(asked, counted) == {"inputTokens": 7}
            assert asked.notes.audit["left_for"]


@pytest.mark.parametrize("said", ["-1", "2147483648", "9" * 400, "true", '"7"', "null"])
async def test_a_number_of_tokens_that_cannot_be_is_a_failure_of_theirs(tmp_path, said):
    counted = {"modelId": FAR, "input": {"converse": {"messages": [turn()]}}}
    for kind in Kind:
        (tmp_path / kind).mkdir()
        body = f'{{"inputTokens": {said}, "input_tokens": {said}}}'.encode()
        async with StubEngine([body]) as stub, beyond(tmp_path / kind, stub, kind) as talk:
            with pytest.raises(ServiceError, match="broke off"):
                await talk.count_tokens(call("bedrock-runtime.CountTokens"), counted)


@pytest.mark.parametrize("secret", ["another agency", "a higher label"])
async def test_nothing_leaves_that_no_rule_lets_out(tmp_path, secret):
    asked = call(account=OTHER) if secret == "another agency" else call()
    if secret == "a higher label":
        above = replace(asked.principal, session=US.parse("CUI"), clearance=US.parse("CUI"))
        asked = replace(asked, principal=above)
    async with StubEngine(SAID) as stub, beyond(tmp_path, stub) as talk:
        for ask in (talk.converse, talk.converse_stream):
            with pytest.raises(ServiceError, match="model identifier is invalid"):
                await ask(asked, REQ)
        assert FAR not in talk.models.served(asked.principal.session, asked.account)
        assert FAR in talk.models.served(US.lowest, ACCOUNT)
        talk.models.leaves = lambda *_: True  # were the catalogue wrong
        with pytest.raises(ServiceError, match="model identifier is invalid"):
            await talk.converse(asked, REQ)
        assert stub.seen == []
        assert "left_for" not in asked.notes.audit


HOSTILE = {
    "an unknown stop": [text("one"), *ended("because")],
    "a tool that nobody offered": CALLS,
    "no end": [text("one")],
    "an exception": [text("one"), event("throttlingException", {"message": "x"}, "exception")],
    "no numbers": [event("messageStop", {"stopReason": "end_turn"}), event("metadata", {})],
    "no text": [event("contentBlockDelta", {"delta": {"text": 1}}), *ended()],
    "two events in one": [event("messageStop", {"stopReason": "end_turn"})[:-9]],
    "no event stream": [b"<html>hello</html>" * 40],
    "a list": [event("contentBlockDelta", [1]), *ended()],
    "nested without end": [event("contentBlockDelta", b"[" * 200_000), *ended()],
    "endless tokens": [*ended()[:1], event("metadata", counts(b"Infinity"))],
    "more tokens than there are": [*ended()[:1], event("metadata", counts(b"9" * 12))],
    "fewer than none": [*ended()[:1], event("metadata", counts(b"-1"))],
    "half a character": [text("\ud83d"), *ended()],
    "a stop that nobody asked for": [
        event("messageStop", {**END, "additionalModelResponseFields": {"stop_sequence": {}}}),
    ],
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_it_says_is_a_stranger_s(tmp_path, name):
    async with StubEngine(HOSTILE[name]) as stub, beyond(tmp_path, stub) as talk:
        with pytest.raises(ServiceError) as caught:
            await talk.converse(call(), REQ)
        assert caught.value.code.startswith("Model")


@pytest.mark.parametrize("value", ["NaN", "[" * 100_000, '"\\ud83d"', "}"])
async def test_the_input_of_a_call_that_is_none(tmp_path, value):
    piece = {"delta": {"toolUse": {"input": '{"at":' + value + "}"}}}
    said = [CALLS[0], event("contentBlockDelta", piece), *CALLS[3:]]
    async with StubEngine(said) as stub, beyond(tmp_path, stub) as talk:
        answer = await talk.converse(call(), {**REQ, "toolConfig": {"tools": [TOOL]}})
    assert answer["stopReason"] == "malformed_tool_use"
    assert not any("toolUse" in block for block in answer["output"]["message"]["content"])


@pytest.mark.parametrize("kind", Kind)
async def test_what_was_produced_is_billed_when_it_breaks_off(tmp_path, kind):
    """Bedrock counts at its end; Anthropic tells the prompt's tokens before."""
    bedrock = kind is Kind.BEDROCK
    said = SAID[:3] if bedrock else ANTHROPIC[:4]
    async with StubEngine(said, cut=True) as stub, beyond(tmp_path, stub, kind) as talk:
        asked = call("bedrock-runtime.ConverseStream")
        with pytest.raises(ServiceError, match="ModelStreamErrorException"):
            await events_of(talk, asked)
    tokens = (0, 2) if bedrock else (4, 1)
    billed = asked.notes.inference
    assert (billed.input_tokens, billed.output_tokens) == tokens
    assert asked.notes.audit["left_for"]


async def test_what_was_produced_is_billed_when_the_caller_leaves(tmp_path):
    async with StubEngine(SAID[:3] + ended(), held=True) as stub, beyond(tmp_path, stub) as talk:
        asked = call("bedrock-runtime.ConverseStream")
        answer = (await talk.converse_stream(asked, REQ))["stream"]
        for _ in range(2):
            await anext(answer)
        await answer.aclose()
        await asyncio.wait_for(stub.gone.wait(), 5)
    assert asked.notes.inference.output_tokens == 1


async def test_a_prompt_that_is_not_sent_has_not_left(tmp_path):
    async with StubEngine(SAID) as stub, beyond(tmp_path, stub) as talk:
        spent = replace(talk, quotas=Quotas(clock=ManualClock(), of_all=Quota(tokens_per_minute=1)))
        for _ in range(2):
            asked = call()
            with suppress(ServiceError):
                await spent.converse(asked, REQ)
    assert len(stub.seen) == 1
    assert "left_for" not in asked.notes.audit


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "ServiceUnavailable"), (429, "Throttling"), (400, "Validation"), (500, "ModelError")],
)
async def test_what_it_refuses_tells_nothing_of_our_key(tmp_path, status, code):
    refusal = [b'{"message": "the key AKIDEXAMPLE of 123456789012 is not allowed"}']
    async with StubEngine(refusal, status=status) as stub, beyond(tmp_path, stub) as talk:
        with pytest.raises(ServiceError, match=code) as caught:
            await talk.converse(call(), REQ)
        assert "AKID" not in caught.value.message
