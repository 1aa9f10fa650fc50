"""Converse on a scripted engine: what is counted to quotas, and billed, however an answer ends."""

import asyncio
import base64

import msgspec
import pytest
from tests.inference_kit import (
    GOOD_STREAM,
    STUB,
    StubEngine,
    call,
    chunk,
    completion,
    stub_room,
    turn,
)
from tests.waiting import until

from bastide.kernel.errors import ServiceError
from bastide.kernel.receipts import commitment
from bastide.settings import Quota

pytestmark = pytest.mark.asyncio
REQ = {"modelId": STUB, "messages": [turn()]}
BYTES_MAX = 64 << 20  # more than the buffers of sockets hold
TIMED = {"timings": {"cache_n": 2, "prompt_n": 7, "predicted_n": 4}}


async def test_a_quota_is_settled_with_what_was_used_whole_streamed_or_given_up(tmp_path):
    limit = Quota(tokens_per_minute=8)  # the stub's answers take 8
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        talk.quotas.of_all = limit
        whole, streamed = [completion()], GOOD_STREAM
        for number, parts in enumerate((whole, streamed)):
            ask, stub.parts = (talk.converse, talk.converse_stream)[number], parts
            by = call(account=f"{number:012}")
            answer = await ask(by, REQ)
            if "stream" in answer:
                assert [event async for event in answer["stream"]]
            with pytest.raises(ServiceError, match="Too many tokens") as caught:
                await ask(by, REQ)
            assert caught.value.retry_after_s > 0
        stub.status, by = 500, call(account="111111111111")
        for _ in range(3):  # what fails before it has answered costs nothing
            with pytest.raises(ServiceError, match="failed"):
                await talk.converse(by, REQ)


@pytest.mark.parametrize("streams", [False, True])
async def test_who_leaves_while_the_engine_works_has_what_was_foreseen_used(tmp_path, streams):
    """An engine tells what it did at its end: who leaves before would have it work for nothing."""
    async with StubEngine(silent=True) as stub, stub_room(tmp_path, stub) as talk:
        talk.quotas.of_all, by = Quota(tokens_per_minute=8), call()
        ask = talk.converse_stream if streams else talk.converse
        req = {**REQ, "inferenceConfig": {"maxTokens": 8}}
        asking = asyncio.create_task(ask(by, req))
        await until(lambda: stub.seen)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        with pytest.raises(ServiceError, match="Too many tokens"):
            await talk.converse(by, req)


async def test_tokens_that_another_server_counts_are_within_the_quota(tmp_path):
    """It reads the prompt to count it, as for an answer."""
    req = {"modelId": STUB, "input": {"converse": {"messages": [turn()]}}}
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        talk.quotas.of_all, by = Quota(tokens_per_minute=6), call("bedrock-runtime.CountTokens")
        assert (await talk.count_tokens(by, req))["inputTokens"] == 5
        with pytest.raises(ServiceError, match="Too many tokens"):
            await talk.count_tokens(by, req)
    assert len(stub.seen) == 1


async def test_who_names_no_end_takes_what_the_model_may_write(tmp_path):
    """Else any number of answers at once would be within the quota of a minute."""
    req = {"modelId": STUB, "messages": [turn()]}
    async with StubEngine(GOOD_STREAM) as stub, stub_room(tmp_path, stub) as talk:
        talk.quotas.of_all = Quota(tokens_per_minute=100)
        talk.models._by_id[STUB] = msgspec.structs.replace(
            talk.models._by_id[STUB], context_tokens=4096
        )
        answer = await talk.converse_stream(call("bedrock-runtime.ConverseStream"), req)
        with pytest.raises(ServiceError, match="Too many tokens"):
            await talk.converse(call(), req)
        assert [event async for event in answer["stream"]]
        settled = {**req, "inferenceConfig": {"maxTokens": 80}}
        answer = await talk.converse_stream(call("bedrock-runtime.ConverseStream"), settled)
        assert [event async for event in answer["stream"]]


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        (GOOD_STREAM[0], ("0", "1")),  # an engine that counts at its end: a piece is a token
        (chunk("four", **TIMED), ("9", "4")),  # one that counts as it goes
    ],
)
async def test_what_was_produced_is_billed_when_the_engine_dies(tmp_path, part, tokens):
    async with StubEngine([part], cut=True) as stub, stub_room(tmp_path, stub) as talk:
        asked = call("bedrock-runtime.ConverseStream")
        answer = await talk.converse_stream(asked, REQ)
        with pytest.raises(ServiceError, match="ModelStreamErrorException"):
            [event async for event in answer["stream"]]
    billed = (asked.notes.audit["input_tokens"], asked.notes.audit["output_tokens"])
    assert billed == tokens
    said = asked.notes.inference
    assert (said.input_tokens, said.output_tokens) == tuple(map(int, tokens))
    salt = base64.b64decode(asked.notes.headers["x-bastide-receipt-salt"])
    assert said.answer == commitment(salt, b"four" if tokens[0] == "9" else b"one ")


async def test_what_was_produced_is_billed_when_the_caller_leaves(tmp_path):
    async with StubEngine(GOOD_STREAM, held=True) as stub, stub_room(tmp_path, stub) as talk:
        asked = call("bedrock-runtime.ConverseStream")
        answer = (await talk.converse_stream(asked, REQ))["stream"]
        for _ in range(2):
            await anext(answer)
        await answer.aclose()
        await answer.aclose()
        await asyncio.wait_for(stub.gone.wait(), 5)
    assert asked.notes.audit["output_tokens"] == "1"
    assert asked.notes.inference.output_tokens == 1


class Endless(StubEngine):
    """Writes for as long as it is read; `stuck` when nobody does, with `written` on their way."""

    written = 0
    stuck = False

    async def _one(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if b"content-length" in line)
        await reader.readexactly(int(length.split()[1]))
        writer.write(b"HTTP/1.1 200 X\r\ncontent-type: text/event-stream\r\n\r\n")
        part = chunk("word " * 1000)
        while self.written < BYTES_MAX:
            writer.write(part)
            self.written += len(part)
            try:
                await asyncio.wait_for(writer.drain(), 1)
            except TimeoutError:
                self.stuck = True
                await reader.read()  # until the client goes away
                raise ConnectionError from None
        raise ConnectionError


async def test_who_stops_reading_keeps_little_and_lets_the_engine_go_when_given_up(tmp_path):
    """The gateway asks for no event that it cannot send, and closes the answer after STALL_S."""
    async with Endless() as stub, stub_room(tmp_path, stub) as talk:
        asked = call("bedrock-runtime.ConverseStream")
        answer = (await talk.converse_stream(asked, REQ))["stream"]
        for _ in range(3):
            await anext(answer)
        await until(lambda: stub.stuck or stub.gone.is_set())
        assert stub.stuck, "all was read, and lies somewhere"
        await answer.aclose()
        await asyncio.wait_for(stub.gone.wait(), 5)
    assert asked.notes.inference.output_tokens == 2


async def test_an_engine_that_did_nothing_is_not_billed(tmp_path):
    async with StubEngine([b""], 500) as stub, stub_room(tmp_path, stub) as talk:
        asked = call()
        with pytest.raises(ServiceError):
            await talk.converse(asked, REQ)
    assert asked.notes.inference is None
    assert "output_tokens" not in asked.notes.audit
