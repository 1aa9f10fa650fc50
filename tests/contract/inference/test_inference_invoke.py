"""InvokeModel on a scripted engine: bodies in, bodies out, and what a receipt says of them."""

import asyncio
import base64
import json

import pytest
from tests.inference_kit import GOOD_STREAM, StubEngine, call, engines, invocations, models_at
from tests.receipts_kit import RECEIPTS

from bastide.inference.dialects import families
from bastide.inference.dialects.dialect import About
from bastide.inference.engine_client import EngineClient
from bastide.inference.invoke_model import Chunks, Telling
from bastide.inference.model import RemoteEngine
from bastide.kernel.clock import SystemClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.receipts import commitment

pytestmark = pytest.mark.asyncio
OWN = "bench.stub-v1:0"
NOVA = "amazon.nova-lite-v1:0"
CLAUDE, LLAMA = "anthropic.claude-3-haiku-20240307-v1:0", "meta.llama3-8b-instruct-v1:0"
MISTRAL, TITAN = "mistral.mistral-7b-instruct-v0:2", "amazon.titan-text-express-v1"
BODY = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
INVOKE, STREAM = "bedrock-runtime.InvokeModel", "bedrock-runtime.InvokeModelWithResponseStream"


class Room:
    """InvokeModel over one remote engine, under an id of each family."""

    def __init__(self, tmp_path, stub):
        remote = {OWN: RemoteEngine(url=stub.url, model="stub", key="sesame")}
        self.engines, self.client = engines(tmp_path, remote), EngineClient()
        aliases = dict.fromkeys((NOVA, CLAUDE, LLAMA, MISTRAL, TITAN), OWN)
        models = models_at(tmp_path, remote_ids=(OWN,), site_aliases=aliases)
        self.here = invocations(models, self.engines, self.client)

    async def __aenter__(self):
        return self.here

    async def __aexit__(self, *_):
        await self.client.close()
        await self.engines.close()


def asked(model, body, **more):
    return {"modelId": model, "body": json.dumps(body).encode(), **more}


async def test_an_answer_its_figures_and_its_receipt(tmp_path):
    made = call(INVOKE)
    async with StubEngine() as stub, Room(tmp_path, stub) as here:
        req = asked("us." + NOVA, BODY | {"inferenceConfig": {"maxTokens": 9, "topK": 3}})
        found = await here.invoke_model(made, req)
    body = json.loads(found["body"])
    assert body["output"] == {"message": {"role": "assistant", "content": [{"text": "one two"}]}}
    assert body["usage"]["totalTokens"] == 8
    assert found["contentType"] == "application/json"
    assert (stub.seen[0]["max_tokens"], stub.seen[0]["top_k"]) == (9, 3)
    headers = made.notes.headers
    assert headers["x-amzn-bedrock-input-token-count"] == "5"
    assert headers["x-amzn-bedrock-output-token-count"] == "3"
    assert int(headers["x-amzn-bedrock-invocation-latency"]) >= 0
    check_receipt(made, req["body"], found["body"])


async def test_a_stream_its_figures_and_its_receipt(tmp_path):
    made = call(STREAM)
    async with StubEngine(parts=GOOD_STREAM) as stub, Room(tmp_path, stub) as here:
        req = asked(NOVA, BODY)
        found = await here.invoke_model_with_response_stream(made, req)
        parts = [event["chunk"]["bytes"] async for event in found["body"]]
    chunks = [json.loads(part) for part in parts]
    assert [next(iter(chunk)) for chunk in chunks] == [
        "messageStart", "contentBlockDelta", "contentBlockDelta", "contentBlockStop",
        "messageStop", "metadata",
    ]  # fmt: skip
    figures = chunks[-1]["amazon-bedrock-invocationMetrics"]
    assert (figures["inputTokenCount"], figures["outputTokenCount"]) == (5, 3)
    assert 0 <= figures["firstByteLatency"] <= figures["invocationLatency"]
    check_receipt(made, req["body"], b"".join(parts))


def check_receipt(made, prompt, answer):
    said = made.notes.inference
    salt = base64.b64decode(made.notes.headers["x-bastide-receipt-salt"])
    assert said.prompt == commitment(salt, prompt)
    assert said.answer == commitment(salt, answer)
    assert (said.input_tokens, said.output_tokens) == (5, 3)


HELLO = [{"role": "user", "content": "hello"}]
MESSAGES = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": HELLO}


@pytest.mark.parametrize(
    ("model", "body", "text_of"),
    [
        (NOVA, BODY, lambda said: said["output"]["message"]["content"][0]["text"]),
        (CLAUDE, MESSAGES, lambda said: said["content"][0]["text"]),
        (LLAMA, {"prompt": "hello"}, lambda said: said["generation"]),
        (MISTRAL, {"prompt": "hello"}, lambda said: said["outputs"][0]["text"]),
        (TITAN, {"inputText": "hello"}, lambda said: said["results"][0]["outputText"]),
        (OWN, MESSAGES, lambda said: said["content"][0]["text"]),
        (OWN, {"prompt": "hello"}, lambda said: said["generation"]),
    ],
)
async def test_every_family_asks_the_same_and_is_answered_in_its_own_words(
    tmp_path, model, body, text_of
):
    async with StubEngine() as stub, Room(tmp_path, stub) as here:
        found = await here.invoke_model(call(INVOKE), asked(model, body))
    assert stub.seen[0]["messages"] == [{"role": "user", "content": "hello"}]
    assert text_of(json.loads(found["body"])) == "one two"


@pytest.mark.parametrize(
    ("model", "body"),
    [(CLAUDE, MESSAGES), (LLAMA, {"prompt": "hello"}), (MISTRAL, {"prompt": "hello"}),
     (TITAN, {"inputText": "hello"})],
)  # fmt: skip
async def test_every_familys_stream_ends_with_its_figures(tmp_path, model, body):
    async with StubEngine(parts=GOOD_STREAM) as stub, Room(tmp_path, stub) as here:
        found = await here.invoke_model_with_response_stream(call(STREAM), asked(model, body))
        chunks = [json.loads(event["chunk"]["bytes"]) async for event in found["body"]]
    assert ["amazon-bedrock-invocationMetrics" in chunk for chunk in chunks] == [
        *[False] * (len(chunks) - 1), True,
    ]  # fmt: skip


class Told:
    """A conversation under a guardrail, as Converse tells it."""

    def __init__(self, *events):
        self.events = iter(events)

    def __aiter__(self):
        return self

    async def __anext__(self):
        for event in self.events:
            return event
        raise StopAsyncIteration

    async def aclose(self):
        pass


@pytest.mark.parametrize(
    ("stop", "action"), [("guardrail_intervened", "INTERVENED"), ("end_turn", "NONE")]
)
async def test_the_last_chunk_says_what_a_guardrail_did(stop, action):
    made, trace = call(STREAM), {"guardrail": {"actionReason": "r"}}
    about = About(operation=STREAM, named=LLAMA, request_id="r", at_s=0)
    told = Telling(
        exchange=families.read({"prompt": "hello"}, about), bodies=RECEIPTS.of_bodies(made, b""),
        req={"guardrailIdentifier": "g"},
    )  # fmt: skip
    usage = {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}
    metadata = {"usage": usage, "metrics": {"latencyMs": 1}, "trace": trace}
    events = Told({"messageStop": {"stopReason": stop}}, {"metadata": metadata})
    chunks = Chunks(events, told, (SystemClock(), 0.0))
    (last,) = [json.loads(event["chunk"]["bytes"]) async for event in chunks]
    assert last["amazon-bedrock-guardrailAction"] == action
    assert last["amazon-bedrock-trace"] == trace
    assert made.notes.inference is None  # no model was asked


async def test_a_stream_that_is_left_frees_the_engine(tmp_path):
    async with StubEngine(parts=GOOD_STREAM, held=True) as stub, Room(tmp_path, stub) as here:
        made = call(STREAM)
        found = await here.invoke_model_with_response_stream(made, asked(NOVA, BODY))
        await found["body"].__anext__()
        await found["body"].aclose()
        await asyncio.wait_for(stub.gone.wait(), 5)
    assert made.notes.inference is None


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"contentType": "text/plain"}, "content type is not supported"),
        ({"accept": "text/event-stream"}, "accept type is not supported"),
        ({"guardrailIdentifier": "g"}, "A guardrail needs a guardrailVersion."),
        ({"guardrailVersion": "1"}, "A guardrail needs a guardrailIdentifier."),
        ({"requestMetadata": '{"a":1}'}, "request metadata"),
        ({"requestMetadata": "x"}, "Malformed input request"),
        ({"body": None}, "Malformed input request"),
        ({"modelId": "amazon.nova-none-v1:0"}, "The provided model identifier is invalid."),
    ],
)
async def test_what_is_wrong_beside_the_body(tmp_path, more, said):
    async with StubEngine() as stub, Room(tmp_path, stub) as here:
        for method in (here.invoke_model, here.invoke_model_with_response_stream):
            with pytest.raises(ServiceError, match=said) as caught:
                await method(call(INVOKE), asked(NOVA, BODY) | more)
            assert caught.value.code == "ValidationException"
    assert not stub.seen


async def test_settings_in_headers_are_converses(tmp_path):
    more = {
        "accept": "*/*", "contentType": "application/json; charset=utf-8", "trace": "ENABLED",
        "performanceConfigLatency": "standard", "serviceTier": "default",
        "requestMetadata": '{"project":"x"}',
    }  # fmt: skip
    async with StubEngine() as stub, Room(tmp_path, stub) as here:
        found = await here.invoke_model(call(INVOKE), asked(NOVA, BODY, **more))
        assert (found["performanceConfigLatency"], found["serviceTier"]) == ("standard", "default")
        with pytest.raises(ServiceError, match=r"serviceTier\.type=flex") as caught:
            await here.invoke_model(call(INVOKE), asked(NOVA, BODY, serviceTier="flex"))
    assert caught.value.code == "UnsupportedOperation"


async def test_a_large_body_is_parsed_as_a_small_one(tmp_path):
    text = "hello " * 100_000
    async with StubEngine() as stub, Room(tmp_path, stub) as here:
        await here.invoke_model(call(INVOKE), asked(LLAMA, {"prompt": text}))
    assert stub.seen[0]["messages"] == [{"role": "user", "content": text}]


async def test_the_tokens_of_a_body_are_counted_as_those_of_its_conversation(tmp_path):
    made = call("bedrock-runtime.CountTokens")
    async with StubEngine() as stub, Room(tmp_path, stub) as here:
        for model, body in ((CLAUDE, MESSAGES), (LLAMA, {"prompt": "hello"}), (NOVA, BODY)):
            given = {"invokeModel": {"body": json.dumps(body).encode()}}
            req = {"modelId": model, "input": given}
            assert await here.talk.count_tokens(made, req) == {"inputTokens": 5}
        wrong = {"invokeModel": {"body": b'{"prompt":1}'}}
        with pytest.raises(ServiceError, match="Malformed input request"):
            await here.talk.count_tokens(made, {"modelId": LLAMA, "input": wrong})
    hello = {"role": "user", "content": "hello"}
    assert [each["messages"] for each in stub.seen] == [[hello]] * 3


async def test_what_converse_does_not_honour_is_refused_by_name(tmp_path):
    """The wire sees to that only for what comes in, and this was made here."""
    video = {"role": "user", "content": [{"toolResult": {
        "toolUseId": "t", "content": [{"video": {"format": "mkv"}}]}}]}  # fmt: skip
    async with StubEngine() as stub, Room(tmp_path, stub) as here:
        with pytest.raises(ServiceError, match="is not supported here") as caught:
            await here.invoke_model(call(INVOKE), asked(NOVA, {"messages": [video]}))
    assert not stub.seen
    assert caught.value.code == "UnsupportedOperation"
    assert "messages.content.toolResult" in caught.value.message
    assert "of bedrock-runtime.InvokeModel" in caught.value.message
