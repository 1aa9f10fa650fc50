"""InvokeModel on a scripted engine: bodies in, bodies out, and what a receipt says of them."""

import base64
import json

import pytest
from tests.inference_kit import GOOD_STREAM, StubEngine, call, engines, invocations, models_at

from bastide.inference.engine_client import EngineClient
from bastide.inference.model import RemoteEngine
from bastide.kernel.errors import ServiceError
from bastide.kernel.receipts import commitment

pytestmark = pytest.mark.asyncio
OWN = "bench.stub-v1:0"
NOVA = "amazon.nova-lite-v1:0"
BODY = {"messages": [{"role": "user", "content": [{"text": "hello"}]}]}
INVOKE, STREAM = "bedrock-runtime.InvokeModel", "bedrock-runtime.InvokeModelWithResponseStream"


class Room:
    """InvokeModel over one remote engine, under an id of each family."""

    def __init__(self, tmp_path, stub):
        remote = {OWN: RemoteEngine(url=stub.url, model="stub", key="sesame")}
        self.engines, self.client = engines(tmp_path, remote), EngineClient()
        aliases = dict.fromkeys((NOVA,), OWN)
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


async def test_what_converse_does_not_honour_is_refused_by_name(tmp_path):
    body = BODY | {"messages": [{"role": "user", "content": [{"cachePoint": {"type": "default"}}]}]}
    async with StubEngine() as stub, Room(tmp_path, stub) as here:
        with pytest.raises(ServiceError) as caught:
            await here.invoke_model(call(INVOKE), asked(NOVA, body, guardrailIdentifier="g",
                                                        guardrailVersion="1"))  # fmt: skip
    assert not stub.seen
    assert caught.value.code == "UnsupportedOperation"
    assert "messages.content.cachePoint of bedrock-runtime.InvokeModel" in caught.value.message
