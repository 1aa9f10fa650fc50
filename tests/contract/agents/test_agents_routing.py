"""Supervisors that route, and answers that are told as they are written."""

import pytest
from tests.agents_kit import INSTRUCTION, MODEL, Desk, answer, text, use
from tests.contract.agents.test_agents_turns import supervised
from tests.sagefakes import ROLE

from bastide.kernel.errors import ServiceError

pytestmark = pytest.mark.asyncio


@pytest.fixture
def desk(database):
    return Desk(database)


def parts(events, kind):
    return [
        one["trace"]["trace"][kind]
        for one in events
        if kind in one.get("trace", {}).get("trace", {})
    ]


async def test_a_router_hands_the_users_words_to_one_collaborator(desk):
    router, _, arn = supervised(desk, collaboration="SUPERVISOR_ROUTER")
    assert desk.do("prepare_agent", agentId=router)["agentStatus"] == "PREPARED"
    desk.model.script = [[use("route", to="ask_expert")], [text("It is in Bonn.")]]
    events = await desk.ask(router, "Find order 7", enableTrace=True)
    assert answer(events) == "It is in Bonn."
    first, second = desk.model.seen
    assert first["toolConfig"]["toolChoice"] == {"tool": {"name": "route"}}
    fence = desk.model.seen[0]["system"][0]["text"].partition("<data ")[2].partition(">")[0]
    assert fence, "what tools returned before is data to who chooses, too"
    assert second["messages"][-1]["content"] == [{"text": "Find order 7"}], "as they are"
    asked, said = parts(events, "routingClassifierTrace")[:2]
    assert asked["modelInvocationInput"]["type"] == "ROUTING_CLASSIFIER"
    assert asked["modelInvocationInput"]["foundationModel"] == MODEL
    assert "ask_expert" in said["modelInvocationOutput"]["rawResponse"]["content"]
    told = [
        one["invocationInput"]["agentCollaboratorInvocationInput"]["agentCollaboratorAliasArn"]
        for one in parts(events, "orchestrationTrace")
        if "invocationInput" in one
    ]
    assert told == [arn]
    assert desk.model.script == [], "the supervisor's own model adds nothing"


async def test_a_router_works_as_a_supervisor_where_none_fits(desk):
    router, _, _ = supervised(desk, collaboration="SUPERVISOR_ROUTER")
    desk.do("prepare_agent", agentId=router)
    for choice in ([use("route", to="none_of_them")], [use("route", to="another")], [text("?")]):
        desk.model.script = [choice, [text("Myself.")]]
        assert answer(await desk.ask(router, "Hello", sessionId=str(choice)[-9:-2])) == "Myself."
        assert "ask_expert" in str(desk.model.seen[-1]["toolConfig"])


async def test_a_collaborator_that_has_no_answer_leaves_it_to_the_router(desk):
    router, _, _ = supervised(desk, collaboration="SUPERVISOR_ROUTER")
    desk.do("prepare_agent", agentId=router)
    desk.model.script = [[use("route", to="ask_expert")], [text("")], [text("Myself.")]]
    assert answer(await desk.ask(router, "Find order 7")) == "Myself."


async def test_an_answer_is_told_as_it_is_written(desk):
    agent_id = desk.agent()
    desk.model.script = [[text("  One two three.")], [text("Four.")]]
    streaming = {"streamFinalResponse": True, "applyGuardrailInterval": 50}
    events = await desk.ask(agent_id, "Count", streamingConfigurations=streaming)
    pieces = [one["chunk"]["bytes"].decode() for one in events]
    assert len(pieces) > 3
    assert "".join(pieces) == "One two three."
    assert answer(await desk.ask(agent_id, "Go on")) == "Four."
    said = [one["content"][0]["text"] for one in desk.model.seen[-1]["messages"]]
    assert said == ["Count", "One two three.", "Go on"], "it is kept as if it were whole"


async def test_calls_are_found_in_a_stream_too(desk):
    router, _, _ = supervised(desk)
    desk.do("prepare_agent", agentId=router)
    desk.model.script = [
        [use("ask_expert", message="order 7?")], [text("Bonn")], [text("It is in Bonn.")],
    ]  # fmt: skip
    streaming = {"streamFinalResponse": True}
    events = await desk.ask(router, "Find order 7", streamingConfigurations=streaming)
    assert "".join(one["chunk"]["bytes"].decode() for one in events) == "It is in Bonn."


async def test_who_may_not_stream_does_not(desk):
    agent_id = desk.agent()
    model = f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{MODEL}"
    desk.permits.refused.add(("bedrock:InvokeModelWithResponseStream", model))
    with pytest.raises(ServiceError, match="InvokeModelWithResponseStream"):
        await desk.ask(agent_id, "Count", streamingConfigurations={"streamFinalResponse": True})
    desk.model.script = [[text("One.")]]
    assert answer(await desk.ask(agent_id, "Count")) == "One."


async def test_a_router_with_a_guardrail_hands_on_no_words_past_it(desk):
    """Its collaborator has none: it would be asked, and answer, unjudged."""
    router, _, _ = supervised(desk, collaboration="SUPERVISOR_ROUTER")
    guardrail = {"guardrailIdentifier": "gr0000000001", "guardrailVersion": "1"}
    desk.do(
        "update_agent", agentId=router, agentName="router", foundationModel=MODEL,
        instruction=INSTRUCTION, agentResourceRoleArn=ROLE,
        agentCollaboration="SUPERVISOR_ROUTER", guardrailConfiguration=guardrail,
    )  # fmt: skip
    desk.do("prepare_agent", agentId=router)
    desk.model.script = [[use("route", to="ask_expert")], [text("It is in Bonn.")]]
    with pytest.raises(ServiceError, match="guardrailConfig"):  # this model honours none
        await desk.ask(router, "Find order 7")
    assert desk.model.seen == []
