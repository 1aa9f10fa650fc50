"""What is kept of how a turn went: spans by OpenTelemetry's names, at its label, and no word."""

import json

import pytest
from tests.agents_kit import Desk, caller, function, given, returned, text, use
from tests.contract.agents.test_agents_turns import prepared, supervised

from bastide.agents import spans as spans_
from bastide.agents.tracing import LINE_MAX, told, trace_id
from bastide.kernel.errors import ServiceError

pytestmark = pytest.mark.asyncio


@pytest.fixture
def desk(database):
    return Desk(database)


def plain(attributes):
    return {one["key"]: next(iter(one["value"].values())) for one in attributes}


def kept(desk):
    """The spans of the last turn, by name; checked to be one tree."""
    *where, events = desk.lines.put_[-1]
    found = {}
    for at_ms, line in events:
        assert at_ms > 0
        (held,) = json.loads(line)["resourceSpans"]
        (scoped,) = held["scopeSpans"]
        for one in scoped["spans"]:
            found[one["spanId"]] = {
                **one, "says": plain(one["attributes"]),
                "resource": plain(held["resource"]["attributes"]),
                "scope": plain(scoped["scope"]["attributes"]),
            }  # fmt: skip
    roots = [one for one in found.values() if "parentSpanId" not in one]
    assert len(roots) == 1
    assert {one.get("parentSpanId") for one in found.values()} <= {None, *found}
    assert len({one["traceId"] for one in found.values()}) == 1
    return where, list(found.values())


def tree(spans):
    """Names, each with its parent's."""
    names = {one["spanId"]: one["name"] for one in spans}
    return [(one["name"], names.get(one.get("parentSpanId"))) for one in spans]


SECRETS = ("sesame", "Ali Baba", "open the door")


async def test_a_turn_is_a_tree_without_words(desk):
    agent_id = desk.agent(function("open_door", "word"), who=caller(marking="S"))
    who = caller("invoke_agent", marking="S")
    desk.model.script = [
        [text("open the door"), use("open_door", word="sesame")],
        [text("Ali Baba")],
    ]
    control = returned(await desk.ask(agent_id, "sesame", who))
    where, spans = kept(desk)
    assert where[1:3] == ["S", f"/aws/bedrock/agents/{agent_id}"]
    assert tree(spans) == [
        (f"invoke_agent {agent_id}", None),
        ("chat bastide.scripted-v1:0", f"invoke_agent {agent_id}"),
        ("execute_tool orders/open_door", f"invoke_agent {agent_id}"),
    ]
    root, chat, tool = spans
    assert root["says"] == {
        "gen_ai.operation.name": "invoke_agent", "gen_ai.provider.name": "aws.bedrock",
        "gen_ai.agent.id": agent_id, "gen_ai.request.model": "bastide.scripted-v1:0",
        "bastide.agent.alias": "TSTALIASID", "gen_ai.usage.input_tokens": "7",
        "gen_ai.usage.output_tokens": "3", "bastide.agent.returned_control": True,
    }  # fmt: skip
    assert root["resource"]["bastide.label"] == "S"
    assert root["scope"] == {"gen_ai.conversation.id": "s1", "aws.request_id": who.request_id}
    assert (chat["kind"], chat["says"]["gen_ai.operation.name"]) == (3, "chat")
    assert tool["says"]["gen_ai.tool.type"] == "function"
    await desk.ask(agent_id, "", who, sessionState=given(control, "Ali Baba"))
    assert len(kept(desk)[1]) == 2
    assert not any(word in json.dumps(desk.lines.put_) for word in SECRETS)


async def test_a_collaborators_turn_hangs_on_the_call_of_it(desk):
    agent_id, *_ = supervised(desk)
    prepared(desk, agent_id)
    desk.model.script = [
        [use("ask_expert", message="sesame")], [text("Ali Baba")], [text("open the door")],
    ]  # fmt: skip
    await desk.ask(agent_id, "sesame")
    _, spans = kept(desk)
    asked = "invoke_agent expert"
    root = f"invoke_agent {agent_id}"
    assert tree(spans) == [
        (root, None), ("chat bastide.scripted-v1:0", root), (asked, root),
        ("chat bastide.scripted-v1:0", asked), ("chat bastide.scripted-v1:0", root),
    ]  # fmt: skip
    assert spans[0]["says"]["gen_ai.usage.input_tokens"] == "21"
    assert not any(word in json.dumps(desk.lines.put_) for word in SECRETS)


async def test_a_collaborator_that_broke_off_is_unfinished(desk):
    agent_id, *_ = supervised(desk)
    prepared(desk, agent_id)
    why = ServiceError("ModelErrorException", "sesame")
    desk.model.script = [[use("ask_expert", message="sesame")], why, [text("Ali Baba")]]
    await desk.ask(agent_id, "sesame")
    _, spans = kept(desk)
    assert [one["says"].get("error.type") for one in spans] == [
        None,
        None,
        None,
        "unfinished",
        None,
    ]
    assert "sesame" not in json.dumps(desk.lines.put_)


async def test_a_turn_that_fails_says_how_but_not_why(desk):
    agent_id = desk.agent()
    desk.model.script = [ServiceError("ThrottlingException", "sesame")]
    with pytest.raises(ServiceError):
        await desk.ask(agent_id, "Hello")
    _, spans = kept(desk)
    assert [one["status"] for one in spans] == [{"code": 2}] * 2
    assert spans[0]["says"]["error.type"] == "ThrottlingException"
    assert "sesame" not in json.dumps(desk.lines.put_)


async def test_a_turn_that_its_caller_breaks_off_never_was(desk):
    agent_id = desk.agent()
    desk.model.script = [[text("Hello.")]]
    req = {"agentId": agent_id, "agentAliasId": "TSTALIASID", "sessionId": "s1",
           "inputText": "Hi", "enableTrace": True}  # fmt: skip
    answer = await desk.invocations.invoke_agent(caller("invoke_agent"), req)
    assert "trace" in await anext(answer["completion"])
    await answer["completion"].aclose()
    assert desk.lines.put_ == []


async def test_a_trace_that_cannot_be_kept_is_not_the_turns_failure(desk):
    agent_id = desk.agent()
    desk.lines.broken = True
    desk.model.script = [[text("Hello.")]]
    assert await desk.ask(agent_id, "Hi")


async def test_many_spans_have_a_bound_and_several_lines(monkeypatch):
    monkeypatch.setattr(spans_, "SPANS_MAX", LINE_MAX + 5)
    at = caller().time
    held = spans_.Spans(trace_id=trace_id("x"))
    held.begin("A", "", "m", at)
    part = {"eventTime": at}
    for _ in range(LINE_MAX + 10):
        for said in (
            {"modelInvocationInput": {"foundationModel": "m"}},
            {"modelInvocationOutput": {"metadata": {"endTime": at, "usage": {"inputTokens": 1}}}},
        ):
            held.take({"trace": {**part, "trace": {"orchestrationTrace": said}}})
    held.end(at)
    lines = list(told(caller(), "U", "s1", held))
    counts = [len(json.loads(one)["resourceSpans"][0]["scopeSpans"][0]["spans"]) for one in lines]
    assert counts == [LINE_MAX, 5]
    assert max(map(len, lines)) < 65_000
    assert held.spans[0].says["bastide.agent.dropped_spans"] == 6
    assert held.spans[0].says["gen_ai.usage.input_tokens"] == LINE_MAX + 10
