"""Converse on a scripted engine: every way in which an engine can answer, fail and vanish."""

import asyncio
import base64
import json
import ssl
from contextlib import suppress
from dataclasses import replace

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
