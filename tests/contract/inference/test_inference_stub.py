"""Converse on a scripted engine: every way in which an engine can answer, fail and vanish."""

import asyncio
import base64
import json
import ssl
from contextlib import suppress
from dataclasses import replace

import msgspec
import pytest
from tests.inference_kit import (
    DONE,
    GOOD_STREAM,
    GOV,
    STUB,
    USAGE,
    StubEngine,
    call,
    chunk,
    completion,
    stub_room,
    turn,
)  # fmt: skip
from tests.waiting import until

from bastide.kernel.clock import SystemClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.receipts import commitment, conversation
from bastide.settings import Quota
from bastide.wire import tls

pytestmark = pytest.mark.asyncio
REQ = {"modelId": STUB, "messages": [turn()]}


def check_receipt(asked, answer):
    """Whole and streamed alike: the same texts give the same receipt."""
    said = asked.notes.inference
    salt = base64.b64decode(asked.notes.headers["x-bastide-receipt-salt"])
    assert said.prompt == commitment(salt, conversation(REQ))
    assert said.answer == commitment(salt, answer)
    assert (said.model, said.input_tokens, said.output_tokens) == (STUB, 5, 3)
    assert (said.label, said.policy) == ("U", "sha256:00")
    assert said.model_digest.startswith("absent: ")
    assert (said.energy_j, said.energy) == (None, said.model_digest), "another's engine"


async def events_of(talk, req=REQ):
    answer = await talk.converse_stream(call("bedrock-runtime.ConverseStream"), req)
    return [event async for event in answer["stream"]]


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
        await events_of(talk, {**req, "inferenceConfig": {"maxTokens": 80}})


async def test_converse(tmp_path):
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        asked = call()
        answer = await talk.converse(asked, REQ)
        assert answer["output"] == {
            "message": {"role": "assistant", "content": [{"text": "one two"}]}
        }
        assert answer["stopReason"] == "end_turn"
        assert answer["usage"] == {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}
        assert answer["metrics"]["latencyMs"] >= 0
        assert asked.notes.headers.pop("x-bastide-model") == STUB
        assert asked.notes.headers.keys() == {"x-bastide-receipt", "x-bastide-receipt-salt"}
        assert asked.notes.audit == {"model": STUB, "input_tokens": "5", "output_tokens": "3"}
        assert stub.headers[0]["authorization"] == "bearer sesame"
        assert stub.seen[0]["model"] == "stub"
        check_receipt(asked, b"one two")
        await talk.converse(call(), REQ)
        assert stub.connections == 1, "kept alive"


async def test_stream_in_the_order_of_aws(tmp_path):
    async with StubEngine(GOOD_STREAM) as stub, stub_room(tmp_path, stub) as talk:
        asked = call()
        answer = await talk.converse_stream(asked, REQ)
        events = [event async for event in answer["stream"]]
        assert events[:-1] == [
            {"messageStart": {"role": "assistant"}},
            {"contentBlockDelta": {"delta": {"text": "one "}, "contentBlockIndex": 0}},
            {"contentBlockDelta": {"delta": {"text": "two"}, "contentBlockIndex": 0}},
            {"contentBlockStop": {"contentBlockIndex": 0}},
            {"messageStop": {"stopReason": "end_turn"}},
        ]
        assert events[-1]["metadata"]["usage"]["totalTokens"] == 8
        assert asked.notes.audit["output_tokens"] == "3"
        check_receipt(asked, b"one two")
        assert stub.seen[0]["stream_options"] == {"include_usage": True}


@pytest.mark.parametrize(
    ("finish", "more", "config", "reason"),
    [
        ("stop", {}, {}, "end_turn"),
        ("stop", {"stop_reason": "END"}, {"stopSequences": ["END"]}, "stop_sequence"),
        ("stop", {"stop_reason": 128009}, {}, "end_turn"),
        ("length", {}, {"maxTokens": 3}, "max_tokens"),
        ("content_filter", {}, {}, "content_filtered"),
    ],
)
async def test_stop_reasons(tmp_path, finish, more, config, reason):
    parts = [completion(finish=finish, **more)]
    async with StubEngine(parts) as stub, stub_room(tmp_path, stub) as talk:
        req = {
            **REQ, "inferenceConfig": config,
            "additionalModelResponseFieldPaths": ["/stop_sequence"],
        }  # fmt: skip
        answer = await talk.converse(call(), req)
        assert answer["stopReason"] == reason
        named = "END" if reason == "stop_sequence" else None
        assert answer["additionalModelResponseFields"] == {"stop_sequence": named}


async def test_an_empty_answer(tmp_path):
    parts = [chunk(""), chunk(finish="stop"), b'data: {"choices":[],"usage":%s}\n\n' % (
        json.dumps(USAGE).encode()
    ), DONE]  # fmt: skip
    async with StubEngine(parts) as stub, stub_room(tmp_path, stub) as talk:
        names = [next(iter(event)) for event in await events_of(talk)]
        assert names == ["messageStart", "messageStop", "metadata"]


TOO_LONG = b'{"error":{"code":400,"type":"exceed_context_size_error","message":"secret prompt"}}'
VLLM_LONG = b'{"error":{"message":"This model\'s maximum context length is 10 tokens","code":400}}'


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("status", "body", "code", "text"),
    [
        (400, TOO_LONG, "ValidationException", "Input is too long for requested model."),
        (400, VLLM_LONG, "ValidationException", "Input is too long for requested model."),
        (400, b'{"error":{"message":"secret"}}', "ValidationException", "cannot process"),
        (422, b"\xff\xfe", "ValidationException", "cannot process"),
        (401, b"", "ServiceUnavailableException", "unavailable"),
        (404, b"{}", "ServiceUnavailableException", "unavailable"),
        (302, b"", "ModelErrorException", "failed"),
        (429, b"", "ThrottlingException", "Too many"),
        (500, b"x" * 100_000, "ModelErrorException", "failed"),
        (503, b"Loading model", "ModelNotReadyException", "not ready"),
    ],
)
async def test_errors_before_the_first_byte(tmp_path, status, body, code, text, streamed):
    async with StubEngine([body or b" "], status) as stub, stub_room(tmp_path, stub) as talk:
        with pytest.raises(ServiceError, match=text) as caught:
            await (talk.converse_stream if streamed else talk.converse)(call(), REQ)
        assert caught.value.code == code
        assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("parts", "cut"),
    [
        (GOOD_STREAM[:1], True),
        (GOOD_STREAM[:2], False),  # ends without saying how
        ([GOOD_STREAM[0], chunk(finish="stop"), DONE], False),  # no usage
        ([GOOD_STREAM[0], chunk(finish="tool_calls", usage=USAGE), DONE], False),
        ([GOOD_STREAM[0], b"data: {not json\n\n"], False),
        ([GOOD_STREAM[0], b'data: {"choices": 5}\n\n'], False),
        ([GOOD_STREAM[0], b'data: {"error": {"message": "secret"}}\n\n'], False),
        ([GOOD_STREAM[0], b"data: " + b"x" * (5 << 20)], False),
    ],
)
async def test_errors_after_the_first_byte(tmp_path, parts, cut):
    async with StubEngine(parts, cut=cut) as stub, stub_room(tmp_path, stub) as talk:
        answer = await talk.converse_stream(call(), REQ)
        seen = []

        async def read():
            async for event in answer["stream"]:
                seen.append(next(iter(event)))

        with pytest.raises(ServiceError) as caught:
            await read()
        assert caught.value.code == "ModelStreamErrorException"
        assert "secret" not in str(caught.value)
        assert seen[:2] == ["messageStart", "contentBlockDelta"]


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"choices":[]}', b'{"choices":[],"usage":{}}'])
async def test_answers_that_are_none(tmp_path, raw):
    async with StubEngine([raw or b" "]) as stub, stub_room(tmp_path, stub) as talk:
        with pytest.raises(ServiceError) as caught:
            await talk.converse(call(), REQ)
        assert caught.value.code == "ModelErrorException"


async def test_an_end_that_text_cannot_have(tmp_path):
    async with (
        StubEngine([completion(finish="tool_calls")]) as stub,
        stub_room(tmp_path, stub) as talk,
    ):
        with pytest.raises(ServiceError) as caught:
            await talk.converse(call(), REQ)
        assert caught.value.code == "ModelErrorException"


async def test_nobody_listens(tmp_path):
    async with StubEngine() as stub:
        pass
    async with stub_room(tmp_path, stub) as talk:
        with pytest.raises(ServiceError) as caught:
            await talk.converse(call(), REQ)
        assert caught.value.code == "ServiceUnavailableException"


async def test_it_takes_too_long(tmp_path):
    async with (
        StubEngine(silent=True) as stub,
        stub_room(tmp_path, stub, answer_timeout_s=0.1, token_timeout_s=0.1) as talk,
    ):
        for ask in (talk.converse, talk.converse_stream):
            with pytest.raises(ServiceError) as caught:
                await ask(call(), REQ)
            assert caught.value.code == "ModelTimeoutException"


async def test_silence_between_tokens(tmp_path):
    async with (
        StubEngine(GOOD_STREAM, held=True) as stub,
        stub_room(tmp_path, stub, token_timeout_s=0.2) as talk,
    ):
        with pytest.raises(ServiceError) as caught:
            await events_of(talk)
        assert caught.value.code == "ModelStreamErrorException"


async def test_a_kept_connection_that_ended_is_no_failure(tmp_path):
    async with StubEngine(requests_per_connection=1) as stub, stub_room(tmp_path, stub) as talk:
        for _ in range(5):
            assert (await talk.converse(call(), REQ))["stopReason"] == "end_turn"


@pytest.mark.parametrize("asked_for", [0, 2])
async def test_who_goes_away_ends_the_generation(tmp_path, asked_for):
    """Also one who went before asking for the first event."""
    async with StubEngine(GOOD_STREAM, held=True) as stub, stub_room(tmp_path, stub) as talk:
        answer = (await talk.converse_stream(call(), REQ))["stream"]
        for _ in range(asked_for):
            await anext(answer)
        await answer.aclose()
        await asyncio.wait_for(stub.gone.wait(), 5)
        stub.gone.clear()


async def test_a_cancelled_converse_ends_the_generation(tmp_path):
    async with StubEngine(silent=True) as stub, stub_room(tmp_path, stub) as talk:
        task = asyncio.create_task(talk.converse(call(), REQ))
        await until(lambda: bool(stub.seen))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.wait_for(stub.gone.wait(), 5)


async def test_a_server_that_the_sites_own_authority_vouches_for(tmp_path):
    made = tls.ensure(tmp_path / "tls", ["localhost", "127.0.0.1"], GOV, SystemClock())
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    served.load_cert_chain(made.certificate, made.key)
    async with StubEngine(GOOD_STREAM, tls=served) as stub:
        async with stub_room(tmp_path, stub, ca_file=str(made.ca)) as talk:
            assert len(await events_of(talk)) == 6
        stub.seen.clear()
        async with stub_room(tmp_path, stub) as talk:
            with pytest.raises(ServiceError) as caught:
                await events_of(talk)
            assert caught.value.code == "ServiceUnavailableException"
        assert not stub.seen, "the key and the prompt were not sent"


async def test_characters_cut_by_the_network(tmp_path):
    whole = b"".join([chunk("ä🎉"), chunk("日本"), chunk(finish="stop", usage=USAGE), DONE])
    whole = whole.replace(b"\\u00e4\\ud83c\\udf89", "ä🎉".encode())
    assert "🎉".encode() in whole
    parts = [bytes([byte]) for byte in whole]
    async with StubEngine(parts) as stub, stub_room(tmp_path, stub) as talk:
        deltas = [e["contentBlockDelta"] for e in await events_of(talk) if "contentBlockDelta" in e]
        assert [delta["delta"]["text"] for delta in deltas] == ["ä🎉", "日本"]


async def test_count_tokens_of_a_remote_engine(tmp_path):
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        req = {"modelId": STUB, "input": {"converse": {"messages": [turn()]}}}
        assert await talk.count_tokens(call(), req) == {"inputTokens": 5}
        assert stub.seen[0]["max_tokens"] == 1


@pytest.mark.parametrize("status", [500, 503])
async def test_count_tokens_fails_by_a_name_of_its_own(tmp_path, status):
    req = {"modelId": STUB, "input": {"converse": {"messages": [turn()]}}}
    async with StubEngine([b""], status=status) as stub, stub_room(tmp_path, stub) as talk:
        with pytest.raises(ServiceError) as caught:
            await talk.count_tokens(call(), req)
    assert caught.value.code == "ServiceUnavailableException"


async def test_unknown_model(tmp_path):
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        with pytest.raises(ServiceError, match="The provided model identifier is invalid"):
            await talk.converse(call(), {**REQ, "modelId": "no.such-v1:0"})
        assert not stub.seen


BYTES_MAX = 64 << 20  # more than the buffers of sockets hold
TIMED = {"timings": {"cache_n": 2, "prompt_n": 7, "predicted_n": 4}}


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


async def test_two_servers_of_one_model_share_its_requests(tmp_path):
    async with (
        StubEngine(GOOD_STREAM, held=True) as first,
        StubEngine(GOOD_STREAM, held=True) as second,
        stub_room(tmp_path, first, further=(second.url,)) as talk,
    ):
        asking = [asyncio.create_task(events_of(talk)) for _ in range(6)]
        await until(lambda: len(first.seen) + len(second.seen) == 6)
        assert len(first.seen) == len(second.seen) == 3
        first.go.set()
        second.go.set()
        assert all(await asyncio.gather(*asking))


async def test_a_server_that_is_down_is_left_alone_while_another_is_up(tmp_path):
    async with StubEngine() as up:
        async with StubEngine() as gone:
            down = gone.url
        async with stub_room(tmp_path, up, further=(down,)) as talk:
            talk.engines.remote[STUB] = replace(
                talk.engines.remote[STUB], url=down, further_urls=(up.url,)
            )
            codes = []
            for _ in range(8):
                with suppress(ServiceError):
                    await talk.converse(call(), REQ)
                    codes.append("answered")
            assert 6 <= len(codes) < 8, "it fails once, and once more to see"
            assert len(up.seen) == len(codes)


async def test_requests_wait_until_their_tokens_fit_into_the_server(tmp_path):
    req = {**REQ, "inferenceConfig": {"maxTokens": 60}}
    async with (
        StubEngine(GOOD_STREAM, held=True) as stub,
        stub_room(tmp_path, stub, tokens=130) as talk,
    ):
        asking = [asyncio.create_task(events_of(talk, req)) for _ in range(3)]
        await until(lambda: len(stub.seen) == 2)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(stub.seen) == 2
        stub.go.set()
        assert all(await asyncio.gather(*asking))


async def test_an_answer_is_continued_by_our_own_engines_alone(tmp_path):
    """Another's may well begin a turn of its own, and say nothing of it."""
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        req = {**REQ, "messages": [turn(), turn("Well,", "assistant")]}
        for ask in (talk.converse, talk.converse_stream):
            with pytest.raises(ServiceError, match="role=assistant at the end") as caught:
                await ask(call(), req)
            assert caught.value.code == "UnsupportedOperation"
        assert not stub.seen
        assert (await talk.converse(call(), REQ))["stopReason"] == "end_turn"
