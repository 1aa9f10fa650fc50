"""InvokeInlineAgent of supervisors: collaborators that are said with the call, and agents that are
there."""

import pytest
from tests.agents_kit import MODEL, Desk, answer, caller, text, use
from tests.contract.agents.test_agents_routing import parts
from tests.contract.agents.test_agents_turns import inline, supervised

from bastide.agents.spans import Spans
from bastide.kernel.errors import ServiceError

pytestmark = pytest.mark.asyncio

TOLD = "You are an expert of orders who answers in one short sentence."


@pytest.fixture
def desk(database):
    return Desk(database)


def expert(**more):
    return {"agentName": "expert", "foundationModel": MODEL, "instruction": TOLD, **more}


def configured(name="expert", **more):
    return {"collaboratorName": name, "collaboratorInstruction": "For orders.", **more}


def chief(*collaborators, configurations=None, kind="SUPERVISOR"):
    return {
        "agentCollaboration": kind, "collaborators": list(collaborators),
        "collaboratorConfigurations": [configured()] if configurations is None else configurations,
    }  # fmt: skip


ASKED = [use("ask_expert", message="Where is it?")]


async def test_a_collaborator_that_is_said_with_the_call(desk):
    desk.model.script = [ASKED, [text("In Bonn.")], [text("It is in Bonn.")]]
    events = await inline(desk, "Order 7?", enableTrace=True, **chief(expert()))
    assert answer(events) == "It is in Bonn."
    _, inner, last = desk.model.seen
    assert TOLD in inner["system"][0]["text"]
    assert inner["messages"] == [{"role": "user", "content": [{"text": "Where is it?"}]}]
    assert "In Bonn." in str(last["messages"][-1])
    assert {one.principal.arn for one in desk.model.by} == {caller().principal.arn}
    own = [one["trace"] for one in events if one.get("trace", {}).get("collaboratorName")]
    assert {one["collaboratorName"] for one in own} == {"expert"}
    (asked,) = (
        one["invocationInput"]["agentCollaboratorInvocationInput"]
        for one in parts(events, "orchestrationTrace")
        if "invocationInput" in one
    )
    assert asked == {
        "agentCollaboratorName": "expert", "input": {"type": "TEXT", "text": "Where is it?"},
    }  # fmt: skip
    spans = Spans(trace_id="1" * 32)
    spans.begin("INLINE", "", "m", caller().time)
    for event in events:
        spans.take(event)
    assert [(one.depth, one.name.split()[0]) for one in spans.spans] == [
        (0, "invoke_agent"), (0, "chat"), (0, "invoke_agent"), (1, "chat"), (0, "chat"),
    ]  # fmt: skip


async def test_it_has_a_conversation_of_its_own(desk):
    for said in ("One", "Two"):
        desk.model.script = [ASKED, [text(f"{said}.")], [text("Done")]]
        await inline(desk, said, **chief(expert()))
    assert "One." in str(desk.model.seen[-2]["messages"])
    assert "Done" not in str(desk.model.seen[-2]["messages"])


async def test_a_router_may_choose_it(desk):
    desk.model.script = [[use("route", to="ask_expert")], [text("In Bonn.")]]
    said = await inline(desk, "Order 7?", **chief(expert(), kind="SUPERVISOR_ROUTER"))
    assert answer(said) == "In Bonn."


async def test_an_agent_that_is_there(desk):
    _, _, arn = supervised(desk)
    desk.model.script = [ASKED, [text("In Bonn.")], [text("It is in Bonn.")]]
    more = chief(configurations=[configured(agentAliasArn=arn)])
    assert answer(await inline(desk, "Order 7?", **more)) == "It is in Bonn."


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (chief(expert(), kind="DISABLED"), "SUPERVISOR"),
        (chief(expert(), configurations=[]), "agentName of its own"),
        (chief(expert(), expert()), "agentName of its own"),
        (chief({**expert(), "agentName": "other"}), "agentName of its own"),
        (chief(), "either an agentAliasArn"),
        (
            chief(expert(actionGroups=[{
                "actionGroupName": "g", "actionGroupExecutor": {"customControl": "RETURN_CONTROL"},
                "functionSchema": {"functions": [{"name": "send", "description": "Sends."}]},
            }])),
            "control returns",
        ),
    ],
)  # fmt: skip
async def test_what_nobody_could_ask_is_refused(desk, more, why):
    with pytest.raises(ServiceError, match=why):
        await inline(desk, "Order 7?", **more)
