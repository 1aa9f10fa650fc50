"""Conversations under a guardrail, on a scripted engine: the same in every mode and chunking."""

import asyncio
import itertools
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.guardrails_kit import FakeDetectors, both, rules
from tests.inference_kit import (
    DONE,
    OTHER,
    STUB,
    USAGE,
    StubEngine,
    call,
    chunk,
    completion,
    stub_room,
    turn,
)

from bastide.guardrails.inline import Guard
from bastide.guardrails.judging import Matchers
from bastide.guardrails.model import Action, Grounding, Pii
from bastide.guardrails.shelf import Applied
from bastide.kernel.clock import SystemClock
from bastide.kernel.errors import Unavailable
from bastide.wire.pool import Pool

CONFIG = {"guardrailIdentifier": "g", "guardrailVersion": "1"}
SAID = rules(
    words=["secret"],
    regexes=[(r"\d{3}-\d{4}", "ANONYMIZE")],
    pii=(Pii("NAME", both("ANONYMIZE")),),
)
STOPS = rules(words=["secret"])
POINT = {"cachePoint": {"type": "default"}}
TOOLS = {"tools": [{"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}]}


class Guards:
    """One guardrail for all."""

    def __init__(self, said, detectors=None):
        self._matchers, self.detectors = Matchers.of(said), detectors or FakeDetectors()

    def guard(self, call, config):
        applied = Applied(id="g", arn="arn", version="1", matchers=self._matchers)
        return Guard(call, applied, self.detectors, SystemClock())


def asked(*messages, **config):
    messages = list(messages) or [turn()]
    return {"modelId": STUB, "messages": messages, "guardrailConfig": {**CONFIG, **config}}


def guarded(text):
    return {"guardContent": {"text": {"text": text}}}


def answering(*content):
    """A request whose last turn is what a tool has answered."""
    use = {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}
    told = {"toolResult": {"toolUseId": "t", "content": list(content)}}
    turns = [{"role": "assistant", "content": [use]}, {"role": "user", "content": [told]}]
    return {**asked(turn(), *turns), "toolConfig": TOOLS}


def streamed(parts):
    return [*map(chunk, parts), chunk(finish="stop", usage=USAGE), DONE]


def told(events):
    deltas = [each["contentBlockDelta"]["delta"] for each in events if "contentBlockDelta" in each]
    return "".join(delta["text"] for delta in deltas)


def reason(events):
    return next(each["messageStop"]["stopReason"] for each in events if "messageStop" in each)


async def both_ways(folder, said, text, parts, *, mode="sync"):
    """(stop reason, text) of the whole answer and of the streamed one."""
    stub = StubEngine(parts=[completion(text)])
    async with stub, stub_room(folder, stub, guards=Guards(said)) as talk:
        whole = await talk.converse(call(), asked())
        stub.parts = streamed(parts)
        made = call("bedrock-runtime.ConverseStream")
        answer = await talk.converse_stream(made, asked(streamProcessingMode=mode))
        events = [event async for event in answer["stream"]]
    content = whole["output"]["message"]["content"]
    return (whole["stopReason"], "".join(each["text"] for each in content)), events, made


def cut(text, cuts):
    ends = [0, *sorted(each % (len(text) + 1) for each in cuts), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(ends) if a < b]


@settings(max_examples=12, deadline=None)
@given(
    st.lists(
        st.sampled_from(["Ada Lovelace", "555-1234", "words", "secret", "more " * 120, "\n"]),
        min_size=1, max_size=8,
    ).map(" ".join),
    st.lists(st.integers(0, 10_000), max_size=8),
    st.sampled_from(["sync", "async"]),
)  # fmt: skip
def test_one_verdict_in_every_mode(tmp_path_factory, text, cuts, mode):
    folder = tmp_path_factory.mktemp("talk")
    (why, whole), events, made = asyncio.run(
        both_ways(folder, SAID, text, cut(text, cuts), mode=mode)
    )
    assert reason(events) == why
    if "secret" in text:
        assert why == "guardrail_intervened"
        assert whole == "No answer."
        assert told(events).endswith("No answer.")
        assert "secret" not in told(events)
        assert made.notes.audit["guardrail_action"] == "Guardrail blocked."
    else:
        assert told(events) == whole
        assert "Ada" not in whole


@pytest.mark.asyncio
class TestGuarded:
    async def test_what_shows_first_stops_then(self, tmp_path):
        """Without anything to hide, async shows what comes, and stops the engine."""
        text = "a secret thing"
        (why, whole), events, _ = await both_ways(
            tmp_path, STOPS, text, ["a ", "secret", " thing"], mode="async"
        )
        assert (why, whole) == ("guardrail_intervened", "No answer.")
        assert told(events).startswith("a ")
        assert told(events).endswith("No answer.")
        assert reason(events) == why

    async def test_a_blocked_question_reaches_no_engine(self, tmp_path):
        async with StubEngine() as stub, stub_room(tmp_path, stub, guards=Guards(STOPS)) as talk:
            made = call()
            answer = await talk.converse(made, asked(turn("my secret"), trace="enabled"))
            assert stub.seen == []
        assert answer["stopReason"] == "guardrail_intervened"
        assert answer["output"]["message"]["content"] == [{"text": "No question."}]
        assert answer["usage"]["totalTokens"] == 0
        assert "inputAssessment" in answer["trace"]["guardrail"]
        assert made.notes.audit["guardrail"] == "g:1"
        assert made.notes.inference is None

    async def test_what_is_hidden_the_model_does_not_read(self, tmp_path):
        blocks = [{"text": "Ada"}, {"text": "Lovelace is in."}]  # across the border of two
        async with StubEngine() as stub, stub_room(tmp_path, stub, guards=Guards(SAID)) as talk:
            await talk.converse(call(), asked({"role": "user", "content": blocks}))
            assert stub.seen[0]["messages"][-1]["content"] == "{NAME} is in."

    @pytest.mark.parametrize(
        "req",
        [
            asked({"role": "user", "content": [{"text": "Ada"}, POINT, {"text": "Lovelace"}]}),
            asked({"role": "user", "content": [guarded("Ada"), POINT, guarded("Lovelace")]}),
            answering({"text": "Ada"}, {"text": "Lovelace"}),
        ],
    )
    async def test_no_border_of_blocks_hides_what_stands_across_it(self, tmp_path, req):
        said = rules(pii=(Pii("NAME", both()),))
        async with StubEngine() as stub, stub_room(tmp_path, stub, guards=Guards(said)) as talk:
            assert (await talk.converse(call(), req))["stopReason"] == "guardrail_intervened"
            assert stub.seen == []

    async def test_what_is_not_marked_is_not_taken_for_marked(self, tmp_path):
        content = [guarded("x"), {"text": "the secret"}, guarded("y")]
        async with StubEngine() as stub, stub_room(tmp_path, stub, guards=Guards(STOPS)) as talk:
            await talk.converse(call(), asked({"role": "user", "content": content}))
            assert stub.seen[0]["messages"][-1]["content"] == "x\nthe secret\ny"

    @pytest.mark.parametrize("before", ["line\n", "\t", "\x01", "\\", '"'])
    async def test_no_escape_of_json_hides_a_word(self, tmp_path, before):
        req = answering({"json": {"a": f"{before}secret"}})
        async with StubEngine() as stub, stub_room(tmp_path, stub, guards=Guards(STOPS)) as talk:
            assert (await talk.converse(call(), req))["stopReason"] == "guardrail_intervened"
            assert stub.seen == []

    async def test_one_agency_leaves_threads_to_the_others(self, tmp_path):
        class Slow(FakeDetectors):
            def find_pii(self, text, kinds):
                assert text != "slow" or go.wait(60)
                return super().find_pii(text, kinds)

        go, guards, threads = threading.Event(), Guards(SAID, Slow()), Pool(4, "judging")
        async with (
            StubEngine() as stub,
            stub_room(tmp_path, stub, guards=guards, threads=threads) as talk,
        ):
            slow = [
                asyncio.create_task(talk.converse(call(), asked(turn("slow")))) for _ in "x" * 64
            ]
            other = asyncio.create_task(talk.converse(call(account=OTHER), asked(turn("quick"))))
            answer = await asyncio.wait_for(other, 30)
            assert answer["stopReason"] == "end_turn"
            go.set()
            await asyncio.gather(*slow, return_exceptions=True)
        threads.close()

    async def test_every_turn_and_result_is_judged(self, tmp_path):
        use = {"toolUse": {"toolUseId": "t", "name": "f", "input": {}}}
        schema = {"json": {"type": "object"}}
        tools = {"tools": [{"toolSpec": {"name": "f", "inputSchema": schema}}]}
        for content in ([{"json": {"a": "the secret"}}], [{"text": "the secret"}]):
            result = {"toolResult": {"toolUseId": "t", "content": content}}
            messages = [
                turn(), {"role": "assistant", "content": [use]},
                {"role": "user", "content": [result]},
            ]  # fmt: skip
            async with (
                StubEngine() as stub,
                stub_room(tmp_path, stub, guards=Guards(STOPS)) as talk,
            ):
                answer = await talk.converse(call(), asked(*messages) | {"toolConfig": tools})
                assert stub.seen == []
            assert answer["stopReason"] == "guardrail_intervened"

    async def test_only_what_is_marked_is_judged(self, tmp_path):
        marked = {"guardContent": {"text": {"text": "fine"}}}
        content = [{"text": "the secret"}, marked]
        req = asked({"role": "user", "content": content}) | {"system": [{"text": "secret"}]}
        async with StubEngine() as stub, stub_room(tmp_path, stub, guards=Guards(STOPS)) as talk:
            assert (await talk.converse(call(), req))["stopReason"] == "end_turn"
            req["system"].append({"guardContent": {"text": {"text": "secret"}}})
            assert (await talk.converse(call(), req))["stopReason"] == "guardrail_intervened"

    async def test_an_answer_is_held_against_what_it_should_say(self, tmp_path):
        said = rules(grounding=(Grounding("GROUNDING", 0.7, Action.BLOCK),))
        source = {"text": "The sky is blue.", "qualifiers": ["grounding_source"]}
        query = {"text": "colour?", "qualifiers": ["query"]}
        blocks = [{"guardContent": {"text": each}} for each in (source, query)]
        req = asked({"role": "user", "content": blocks}, trace="enabled")
        for text, why in (
            ("The sky is blue.", "end_turn"),
            ("It is green", "guardrail_intervened"),
        ):
            stub = StubEngine(parts=[completion(text)])
            async with stub, stub_room(tmp_path, stub, guards=Guards(said)) as talk:
                answer = await talk.converse(call(), req)
                assert answer["stopReason"] == why
                stub.parts = streamed(cut(text, [2, 5]))
                made = call("bedrock-runtime.ConverseStream")
                stream = (await talk.converse_stream(made, req))["stream"]
                events = [event async for event in stream]
            assert reason(events) == why
            content = answer["output"]["message"]["content"]
            assert told(events) == content[0]["text"]  # nothing shows before it is whole

    async def test_a_detector_that_is_down_lets_nothing_pass(self, tmp_path):
        guards = Guards(SAID, FakeDetectors(down={"pii"}))
        async with StubEngine() as stub, stub_room(tmp_path, stub, guards=guards) as talk:
            with pytest.raises(Unavailable):
                await talk.converse(call(), asked())
            assert stub.seen == []
            guards.detectors.down.clear()
            stub.parts = streamed(["one ", "two"])
            answer = await talk.converse_stream(call("bedrock-runtime.ConverseStream"), asked())
            guards.detectors.down.add("pii")
            stream = aiter(answer["stream"])
            assert "messageStart" in await anext(stream)
            with pytest.raises(Unavailable):
                await anext(stream)
