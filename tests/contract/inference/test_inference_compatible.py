"""bedrock-mantle's operations on a scripted engine: answers, streams, who leaves, what is above."""

import asyncio
import json

import msgspec
import pytest
from tests.inference_kit import (
    ACCOUNT,
    GOOD_STREAM,
    OTHER,
    STUB,
    StubEngine,
    call,
    chunk,
    stub_room,
)  # fmt: skip
from tests.waiting import until

from bastide.inference.chat_completions import ChatCompletions
from bastide.inference.messages import Messages
from bastide.inference.model_lists import ModelLists
from bastide.inference.responses import Responses
from bastide.kernel.errors import ServiceError

pytestmark = pytest.mark.asyncio
SAID = [{"role": "user", "content": "hello"}]
CHAT, RESPONSE, MESSAGE = "create_chat_completion", "create_response", "create_message"
OPERATIONS = (CHAT, RESPONSE, MESSAGE)
NAMES = {CHAT: "CreateChatCompletion", RESPONSE: "CreateResponse", MESSAGE: "CreateMessage"}
CLASSES = {CHAT: ChatCompletions, RESPONSE: Responses, MESSAGE: Messages}


def asked(operation, **more):
    said = {"input": SAID} if operation == RESPONSE else {"messages": SAID}
    limit = {"max_tokens": 9} if operation == MESSAGE else {}
    return {"model": STUB, **said, **limit, **more}


async def answered(talk, operation, **more):
    handler = CLASSES[operation](talk=talk, models=talk.models)
    method = getattr(handler, operation)
    return await method(call(f"bedrock-mantle.{NAMES[operation]}"), asked(operation, **more))


def text_of(operation, body):
    if operation == CHAT:
        return body["choices"][0]["message"]["content"]
    content = body["output"][0]["content"] if operation == RESPONSE else body["content"]
    return content[0]["text"]


def delta_of(operation, event):
    if operation == CHAT:
        return event["choices"][0]["delta"].get("content") or "" if event != "[DONE]" else ""
    if operation == RESPONSE:
        return event["delta"] if event["type"] == "response.output_text.delta" else ""
    return event["delta"]["text"] if event["type"] == "content_block_delta" else ""


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_an_answer_and_the_same_streamed(tmp_path, operation):
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        whole = (await answered(talk, operation))["body"]
        assert text_of(operation, whole) == "one two"
        stub.parts = GOOD_STREAM
        events = (await answered(talk, operation, stream=True))["events"]
        said = "".join([delta_of(operation, event) async for event in events])
        assert said == "one two"
        assert [each["messages"][-1]["content"] for each in stub.seen] == ["hello"] * 2


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("asked_for", [0, 2])
async def test_who_goes_away_ends_the_generation(tmp_path, operation, asked_for):
    """Also one who went before asking for the first event."""
    async with StubEngine(GOOD_STREAM, held=True) as stub, stub_room(tmp_path, stub) as talk:
        events = (await answered(talk, operation, stream=True))["events"]
        for _ in range(asked_for):
            await anext(events)
        await events.aclose()
        await asyncio.wait_for(stub.gone.wait(), 5)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_who_goes_away_before_the_answer_ends_the_generation(tmp_path, operation):
    async with StubEngine(silent=True) as stub, stub_room(tmp_path, stub) as talk:
        task = asyncio.create_task(answered(talk, operation))
        await until(lambda: bool(stub.seen))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(stub.gone.wait(), 5)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_stream_that_breaks_off_is_an_error_of_the_models(tmp_path, operation):
    async with StubEngine([chunk("one ")]) as stub, stub_room(tmp_path, stub) as talk:
        events = (await answered(talk, operation, stream=True))["events"]
        with pytest.raises(ServiceError) as caught:
            [event async for event in events]
        assert caught.value.code == "ModelStreamErrorException"


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_model_above_the_session_is_like_one_that_is_not_there(tmp_path, operation):
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        lists, who = ModelLists(models=talk.models), call()
        assert [each["id"] for each in lists.list_models(who, {})["body"]["data"]] == [STUB]
        assert lists.retrieve_model(who, {"model": STUB})["body"]["id"] == STUB
        with pytest.raises(ServiceError) as absent:
            await answered(talk, operation, model="no.such-model")
        card = talk.models._by_id[STUB]
        talk.models._by_id[STUB] = msgspec.structs.replace(card, label="S")
        with pytest.raises(ServiceError) as above:
            await answered(talk, operation)
        assert above.value.code == absent.value.code == "ResourceNotFoundException"
        assert above.value.message.replace(STUB, "no.such-model") == absent.value.message
        assert lists.list_models(who, {})["body"]["data"] == []
        with pytest.raises(ServiceError, match="ResourceNotFoundException"):
            lists.retrieve_model(who, {"model": STUB})
        assert stub.seen == []


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_what_is_another_agencys_is_like_what_is_not_there(tmp_path, operation):
    of_other = f"arn:aws-us-gov:bedrock:us-gov-west-1:{OTHER}:inference-profile/us-gov.{STUB}"
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        with pytest.raises(ServiceError) as caught:
            await answered(talk, operation, model=of_other)
        assert caught.value.code == "ResourceNotFoundException"
        own = of_other.replace(OTHER, ACCOUNT)
        assert (await answered(talk, operation, model=own))["body"]


async def test_what_converse_does_not_honour_is_refused_by_name(tmp_path):
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        thought = {"type": "thinking", "thinking": "So", "signature": "s"}
        turns = [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": [thought, {"type": "text", "text": "Hi"}]},
            {"role": "user", "content": "Again"},
        ]
        with pytest.raises(ServiceError, match="reasoningContent") as caught:
            await answered(talk, MESSAGE, messages=turns)
        assert caught.value.code == "UnsupportedOperation"
        assert stub.seen == []


async def test_functions_reach_the_engine_and_an_answer_in_no_form_is_its_failure(tmp_path):
    function = {"name": "look_up", "parameters": {"type": "object", "properties": {}}}
    tool = {"type": "function", "function": {**function, "strict": True}}
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        with pytest.raises(ServiceError, match="ModelErrorException"):
            await answered(talk, CHAT, tools=[tool], tool_choice="auto")
        assert "look_up" in json.dumps(stub.seen)
