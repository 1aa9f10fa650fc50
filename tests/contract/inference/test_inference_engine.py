"""The real engine with a real model: loading, sharing, dying, making room, and what it answers."""

import asyncio
import hashlib
import json
import os
import signal
import subprocess
import sys
import tempfile
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from tests.inference_kit import ACCOUNT, OTHER, call, conversations, engines, turn
from tests.labels_kit import US
from tests.waiting import until

from bastide.inference.prompts import prompt_of
from bastide.inference.voice import Voice
from bastide.inference.walls import ENVIRONMENT
from bastide.kernel.errors import ServiceError

pytestmark = pytest.mark.asyncio
SMOL = "bastide.smollm2-135m-instruct-v1:0"
COUNT = {"modelId": SMOL, "messages": [turn("Count from 1 to 10, with commas.")]}
STORY = {"modelId": SMOL, "messages": [turn("Tell a very long story.")]}


@asynccontextmanager
async def room(smol, **task):
    with tempfile.TemporaryDirectory() as folder:
        pool = engines(Path(folder), **task)
        talk = conversations(smol, pool)
        try:
            yield talk
        finally:
            await talk.client.close()
            await pool.close()
            assert pool.rows() == []
            assert os.listdir(folder) == ["seccomp.bpf"]


def config(**inference):
    return {"inferenceConfig": {"maxTokens": 16, "temperature": 0.0, **inference}}


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def told_to(pid):
    """What other users of the machine could see of a process."""
    return b"".join(Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ"))


async def rest_of(stream):
    return [event async for event in stream]


def streamed(events):
    deltas = [event["contentBlockDelta"] for event in events if "contentBlockDelta" in event]
    return "".join(delta["delta"]["text"] for delta in deltas)


def text_of(answer):
    return answer["output"]["message"]["content"][0]["text"]


async def test_first_use_loads_once_for_all(smol):
    async with room(smol) as talk:
        asked = call()
        answers = await asyncio.gather(
            *(talk.converse(asked, {**COUNT, **config()}) for _ in range(3))
        )
        assert {text_of(answer) for answer in answers} == {"1, 2, 3, 4, 5, 6"}
        assert {answer["stopReason"] for answer in answers} == {"max_tokens"}
        assert asked.notes.audit["model_sha256"].startswith("b179c952")
        (row,) = talk.engines.rows()
        assert row["state"] == "ready"
        assert row["requests"] == 0


async def test_streamed_and_whole_answers_are_the_same(smol):
    async with room(smol) as talk:
        req = {**COUNT, **config(stopSequences=["5"])}
        req["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
        whole = await talk.converse(call(), req)
        assert text_of(whole) == "1, 2, 3, 4, "
        assert whole["stopReason"] == "stop_sequence"
        assert whole["additionalModelResponseFields"] == {"stop_sequence": "5"}
        stream = (await talk.converse_stream(call(), req))["stream"]
        events = await rest_of(stream)
        assert streamed(events) == "1, 2, 3, 4, "
        assert events[-2]["messageStop"] == {
            "stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": "5"},
        }  # fmt: skip
        assert events[-1]["metadata"]["usage"] == whole["usage"]


async def test_turns_system_and_counted_tokens(smol):
    async with room(smol) as talk:
        turns = [turn("My name is Ada."), turn("Hello Ada.", "assistant"), turn("Who am I?")]
        content = {"messages": turns, "system": [{"text": "You answer in one word."}]}
        answer = await talk.converse(call(), {"modelId": SMOL, **content, **config()})
        counted = await talk.count_tokens(
            call(), {"modelId": f"us-gov.{SMOL}", "input": {"converse": content}}
        )
        assert counted == {"inputTokens": answer["usage"]["inputTokens"]}
        assert text_of(answer)


async def test_end_of_turn_and_full_context(smol):
    async with room(smol, slots=1, context_tokens=256) as talk:
        req = {"modelId": SMOL, "messages": [turn("Say only: yes")]}
        answer = await talk.converse(call(), {**req, **config(maxTokens=100)})
        assert answer["stopReason"] == "end_turn"
        full = await talk.converse(
            call(), {**STORY, "additionalModelRequestFields": {"seed": 1, "top_k": 1}}
        )
        assert full["stopReason"] == "model_context_window_exceeded"
        with pytest.raises(ServiceError, match="Input is too long for requested model"):
            await talk.converse(call(), {**req, "messages": [turn("word " * 500)]})


class Spelling:
    """Makes the model say `text` and nothing else, token by token."""

    def __init__(self, talk, text):
        self._grammar = f'root ::= "{text}"'
        self._complete, self._stream = talk.client.complete, talk.client.stream
        talk.client.complete, talk.client.stream = self.complete, self.stream

    async def complete(self, endpoint, body):
        return await self._complete(endpoint, {**body, "grammar": self._grammar})

    async def stream(self, endpoint, body):
        return await self._stream(endpoint, {**body, "grammar": self._grammar})


async def test_no_character_is_broken(smol):
    """Characters of several tokens: none is shown in part, streamed or cut off by the limit."""
    text = "🎉日本👩‍👧 ü"
    async with room(smol) as talk:
        Spelling(talk, text)
        for limit in (1, 2, 3, 4, 5, 7, 100):
            req = {**COUNT, **config(maxTokens=limit)}
            found = await talk.converse(call(), req)
            whole = "".join(block["text"] for block in found["output"]["message"]["content"])
            events = await rest_of((await talk.converse_stream(call(), req))["stream"])
            assert whole == streamed(events)
            assert text.startswith(whole)
        assert whole == text


async def test_killed_in_the_middle_then_restarted(smol):
    async with room(smol) as talk:
        stream = (await talk.converse_stream(call(), STORY))["stream"]
        for _ in range(4):
            await anext(stream)
        (row,) = talk.engines.rows()
        os.kill(row["pid"], signal.SIGKILL)
        with pytest.raises(ServiceError) as caught:
            await rest_of(stream)
        assert caught.value.code == "ModelStreamErrorException"
        await until(lambda: talk.engines.rows() == [])
        assert text_of(await talk.converse(call(), {**COUNT, **config()}))
        assert talk.engines.rows()[0]["pid"] != row["pid"]


async def test_one_that_hangs_is_killed(smol):
    async with room(smol, hung_after_s=1.0) as talk:
        stream = (await talk.converse_stream(call(), STORY))["stream"]
        await anext(stream)
        (row,) = talk.engines.rows()
        os.kill(row["pid"], signal.SIGSTOP)
        with pytest.raises(ServiceError) as caught:
            await rest_of(stream)
        assert caught.value.code == "ModelStreamErrorException"
        await until(lambda: talk.engines.rows() == [])
        assert not alive(row["pid"])
        assert text_of(await talk.converse(call(), {**COUNT, **config()}))


async def test_one_that_keeps_dying_is_left_alone_for_a_while(smol):
    async with room(smol) as talk:
        for _ in range(2):
            await talk.converse(call(), {**COUNT, **config(maxTokens=1)})
            os.kill(talk.engines.rows()[0]["pid"], signal.SIGKILL)
            await until(lambda: talk.engines.rows() == [])
        with pytest.raises(ServiceError) as caught:
            await talk.converse(call(), COUNT)
        assert caught.value.code == "ModelNotReadyException"


async def test_who_goes_away_frees_the_place(smol):
    async with room(smol, slots=1) as talk:
        stream = (await talk.converse_stream(call(), STORY))["stream"]
        await anext(stream)
        await anext(stream)
        await stream.aclose()
        answer = await asyncio.wait_for(talk.converse(call(), {**COUNT, **config()}), 20)
        assert text_of(answer) == "1, 2, 3, 4, 5, 6"


@pytest.mark.parametrize("begun", ["1, 2, 3,", "```json\n[1, 2,", "  <tool_call> 1,"])
async def test_an_answer_that_was_begun_is_continued(smol, begun):
    """Whole or streamed it is the same, and what was there is not said again."""
    turns = [*COUNT["messages"], turn(begun, "assistant")]
    asked = {"modelId": SMOL, "messages": turns, **config()}
    async with room(smol, slots=1, context_tokens=2048) as talk:
        whole = await talk.converse(call(), asked)
        events = await rest_of((await talk.converse_stream(call(), asked))["stream"])
        assert text_of(whole) == streamed(events) != ""
        assert not text_of(whole).startswith(begun)
        told = {"modelId": SMOL, "input": {"converse": {"messages": turns}}}
        counted = await talk.count_tokens(call("bedrock-runtime.CountTokens"), told)
        assert counted["inputTokens"] == whole["usage"]["inputTokens"]
        if begun.startswith("1"):
            assert text_of(whole).startswith(" 4, 5, 6")
            cut = await talk.converse(call(), {**asked, **config(stopSequences=["3", "6"])})
            assert (text_of(cut), cut["stopReason"]) == (" 4, 5, ", "stop_sequence")


async def test_who_waits_too_long_for_a_place_is_throttled(smol):
    async with room(smol, slots=1, queue_timeout_s=0.05) as talk:
        await talk.converse(call(), {**COUNT, **config(maxTokens=1)})
        stream = (await talk.converse_stream(call(), STORY))["stream"]
        with pytest.raises(ServiceError) as caught:
            await talk.converse(call(), COUNT)
        assert caught.value.code == "ThrottlingException"
        await stream.aclose()
        assert text_of(await talk.converse(call(), {**COUNT, **config()}))


async def test_nothing_of_a_prompt_is_remembered_for_another_agency(smol):
    """As the engine itself counts it; how long an answer took would tell it, too."""

    async def cached(account, label="U"):
        asked = prompt_of("bedrock-runtime.Converse", {**COUNT, **config(maxTokens=1)}, 2048)
        card = smol.resolve(SMOL, US.lowest)
        async with await talk.engines.acquire(card, account, label) as lease:
            voice = Voice(talk.client, lease.endpoint, streams=False)
            await voice.short(asked.messages, asked.options)
            lease.confirm()
        return voice.spent.cached

    async with room(smol, slots=2, context_tokens=2048) as talk:
        assert await cached(ACCOUNT) == 0
        assert await cached(ACCOUNT) > 20
        assert await cached(ACCOUNT, "S") == 0
        assert await cached(ACCOUNT) > 20
        assert await cached(OTHER) == 0
        assert await cached("333333333333") == 0
        assert await cached(OTHER) > 20
        assert await cached(ACCOUNT) == 0


class Watched:
    """A client that remembers what the engine was asked."""

    def __init__(self, talk):
        self.bodies = []
        self._complete = talk.client.complete
        talk.client.complete = self

    async def __call__(self, endpoint, body):
        self.bodies.append(body)
        return await self._complete(endpoint, body)


async def test_a_prompt_is_never_warm_for_another_agency(smol):
    async with room(smol, slots=1, context_tokens=2048) as talk:
        watched = Watched(talk)
        req = {**COUNT, **config(maxTokens=1)}
        for account in (ACCOUNT, ACCOUNT, OTHER, ACCOUNT):
            await talk.converse(call(account=account), req)
        assert [body["cache_prompt"] for body in watched.bodies] == [False, True, False, False]


class Two:
    """The same weights under two names."""

    def __init__(self, smol):
        self.first = smol.resolve(SMOL, US.lowest)
        self.second = msgspec.structs.replace(
            self.first, name="second", model_id="test.second-v1:0"
        )

    def called(self, asked, model_id):
        return self.first if model_id == SMOL else self.second


async def test_the_least_recently_used_makes_room(smol):
    async with room(Two(smol), memory_budget_mib=500) as talk:
        first, second = {**COUNT, **config()}, {**COUNT, **config(), "modelId": "test.second-v1:0"}
        await talk.converse(call(), first)
        (row,) = talk.engines.rows()
        await talk.converse(call(), second)
        (other,) = talk.engines.rows()
        assert other["model"] == "second"
        assert not alive(row["pid"])
        stream = await talk.converse_stream(call(), {**STORY, "modelId": "test.second-v1:0"})
        await anext(stream["stream"])
        waiting = asyncio.create_task(talk.converse(call(), first))
        await until(lambda: len(talk.engines.rows()) == 2)
        assert alive(other["pid"]), "in use: it is not ended"
        await stream["stream"].aclose()
        assert text_of(await waiting)
        assert not alive(other["pid"])


async def test_who_waits_too_long_for_room(smol):
    async with room(Two(smol), memory_budget_mib=500) as talk:
        stream = (await talk.converse_stream(call(), STORY))["stream"]
        talk.engines.task = replace(talk.engines.task, load_timeout_s=0.05)
        with pytest.raises(ServiceError) as caught:
            await talk.converse(call(), {**COUNT, "modelId": "test.second-v1:0"})
        assert caught.value.code == "ModelNotReadyException"
        assert [row["model"] for row in talk.engines.rows()] == ["smollm2-135m"]
        assert await anext(stream)
        await stream.aclose()


async def test_a_model_that_never_fits(smol):
    async with room(smol, memory_budget_mib=100) as talk:
        with pytest.raises(ServiceError) as caught:
            await talk.converse(call(), COUNT)
        assert caught.value.code == "ServiceUnavailableException"


async def test_weights_that_were_changed_are_not_run(smol, tmp_path):
    card = smol.resolve(SMOL, US.lowest)
    changed = bytearray(card.path.read_bytes())
    changed[-1] ^= 1
    path = tmp_path / "model.gguf"
    path.write_bytes(changed)

    class Tampered:
        def called(self, asked, model_id):
            return msgspec.structs.replace(card, path=path)

    async with room(Tampered()) as talk:
        with pytest.raises(ServiceError) as caught:
            await talk.converse(call(), COUNT)
        assert caught.value.code == "ModelNotReadyException"
        assert talk.engines.rows() == []


async def test_garbage_does_not_load(tmp_path, smol, caplog):
    """Should it ever pass admission, the engine says why and the call fails."""
    data = b"GGUF" + bytes(2000)
    path = tmp_path / "model.gguf"
    path.write_bytes(data)

    class Garbage:
        def called(self, asked, model_id):
            digest = hashlib.sha256(data).hexdigest()
            card = smol.resolve(SMOL, US.lowest)
            return msgspec.structs.replace(card, path=path, sha256=digest, size=len(data))

    async with room(Garbage()) as talk:
        with pytest.raises(ServiceError) as caught:
            await talk.converse(call(), COUNT)
        assert caught.value.code == "ModelNotReadyException"
        assert "did not start" in caplog.text


@pytest.mark.parametrize("early", [True, False])
async def test_it_ends_with_its_standard_input(smol, tmp_path, early):
    engine = subprocess.Popen(  # noqa: ASYNC220 - nothing else runs on this loop
        [sys.executable, "-I", "-m", "bastide.inference.engine_main"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=ENVIRONMENT,
    )  # fmt: skip
    task = {
        "model": str(smol.resolve(SMOL, US.lowest).path), "api_key": "k", "threads": 1, "slots": 1,
        "context_tokens": 512, "memory_mib": 2048, "uid": None, "place": str(tmp_path),
    }  # fmt: skip
    engine.stdin.write(json.dumps(task).encode() + b"\n")
    engine.stdin.flush()
    if not early:
        assert json.loads(engine.stdout.readline())
        assert (tmp_path / "engine.sock").is_socket()
    engine.stdin.close()
    assert engine.wait(20) == 0
    engine.stdout.close()


def mounts_of(pid):
    return Path(f"/proc/{pid}/mountinfo").read_text().splitlines()


def said_of(pid):
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {name: value.split() for name, _, value in (line.partition(":") for line in lines)}


@pytest.mark.parametrize("as_root", [True, False])
async def test_the_walls_around_an_engine(smol, as_root):
    async with room(smol) as talk:
        if not as_root:
            talk.engines.walls = replace(talk.engines.walls, uid=None)
        await talk.converse(call(), {**COUNT, **config(maxTokens=1)})
        pid = talk.engines.rows()[0]["pid"]
        said = said_of(pid)
        assert said["NoNewPrivs"] == ["1"]
        assert said["Seccomp"] == ["2"]
        for kind in ("CapPrm", "CapEff", "CapAmb"):
            assert int(said[kind][0], 16) == 0, kind
        uid = talk.engines.walls.uid or os.getuid()
        assert set(said["Uid"]) == {str(uid)}
        for space in ("net", "pid", "mnt", "ipc", "uts"):
            theirs = os.readlink(f"/proc/{pid}/ns/{space}")
            assert theirs != os.readlink(f"/proc/self/ns/{space}"), space
        root = Path(f"/proc/{pid}/root")
        assert not os.access(root / str(smol.resolve(SMOL, US.lowest).path).lstrip("/"), os.F_OK)
        assert not (root / "etc/passwd").exists()
        (weights,) = [line for line in mounts_of(pid) if " /run/model.gguf " in line]
        assert " ro," in weights


async def test_a_killed_wall_takes_its_engine_along(smol):
    async with room(smol) as talk:
        await talk.converse(call(), {**COUNT, **config(maxTokens=1)})
        pid = talk.engines.rows()[0]["pid"]
        (group,) = talk.engines._groups.values()
        (one,) = group.replicas
        os.kill(one.process.process.pid, signal.SIGKILL)
        await until(lambda: not alive(pid))
        await until(lambda: talk.engines.rows() == [])


async def test_strangers_are_refused(smol):
    async with room(smol) as talk:
        await talk.converse(call(), {**COUNT, **config(maxTokens=1)})
        lease = await talk.engines.visit(smol.resolve(SMOL, US.lowest), ACCOUNT, "U")
        pid = talk.engines.rows()[0]["pid"]
        assert lease.endpoint.key.encode() not in told_to(pid)
        stranger = replace(lease.endpoint, key="guess")
        with pytest.raises(ServiceError) as caught:
            await talk.client.complete(stranger, {"messages": []})
        assert caught.value.code == "ServiceUnavailableException"
        lease.release()
