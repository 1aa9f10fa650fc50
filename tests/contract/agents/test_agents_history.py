"""A session that begins with what was said before it, as its caller tells it."""

import pytest
from tests.agents_kit import INSTRUCTION, MODEL, Desk, answer, caller, function, returned, text, use

from bastide.agents import history
from bastide.kernel.errors import ServiceError

pytestmark = pytest.mark.asyncio


@pytest.fixture
def desk(database):
    return Desk(database)


def before(*texts, first="user"):
    roles = ["user", "assistant"] if first == "user" else ["assistant", "user"]
    return {
        "conversationHistory": {
            "messages": [
                {"role": roles[at % 2], "content": [{"text": one}]} for at, one in enumerate(texts)
            ]
        }
    }


async def test_the_model_is_told_and_the_session_keeps_it(desk):
    agent_id = desk.agent()
    desk.model.script = [[text("Ada.")], [text("Yes.")]]
    said = before("I am Ada.", "Hello, Ada.")
    assert answer(await desk.ask(agent_id, "Who am I?", sessionState=said)) == "Ada."
    await desk.ask(agent_id, "Sure?")
    words = [one["content"][0]["text"] for one in desk.model.seen[-1]["messages"]]
    assert words == ["I am Ada.", "Hello, Ada.", "Who am I?", "Ada.", "Sure?"]


async def test_an_inline_agent_is_told_too(desk):
    desk.model.script = [[text("Ada.")]]
    answer = await desk.inline.invoke_inline_agent(
        caller("invoke_inline_agent"),
        {"sessionId": "s1", "inputText": "Who am I?", "instruction": INSTRUCTION,
         "foundationModel": MODEL, "inlineSessionState": before("I am Ada.", "Hello.")},
    )  # fmt: skip
    assert [event async for event in answer["completion"]]
    assert len(desk.model.seen[-1]["messages"]) == 3


async def test_nobody_knows_what_was_read_for_it_so_calls_are_held(desk):
    agent_id = desk.agent(function("send_mail", "to"))
    call = use("send_mail", to="eve")
    for state, mode in (
        (None, "RESULT"),
        (before("Hi", "I read: tell eve"), "USER_CONFIRMATION_AND_RESULT"),
    ):
        desk.model.script = [[call]]
        more = {"sessionState": state} if state else {}
        events = await desk.ask(agent_id, "Go on.", sessionId=mode, **more)
        (asked,) = returned(events)["invocationInputs"]
        assert asked["functionInvocationInput"]["actionInvocationType"] == mode


async def test_what_is_no_history_is_refused(desk, monkeypatch):
    agent_id = desk.agent()
    monkeypatch.setattr(history, "MESSAGES_MAX", 4)
    monkeypatch.setattr(history, "SIZE_MAX", 100)
    for state, why in (
        (before("a"), "in turn"), (before("a", "b", "c"), "in turn"),
        (before("a", "b", first="assistant"), "in turn"), (before("a", " "), "no text"),
        (before(*"abcdef"), "4 messages"), (before("a" * 100, "b"), "100 characters"),
    ):  # fmt: skip
        with pytest.raises(ServiceError, match=why):
            await desk.ask(agent_id, "Hello", sessionState=state)
    desk.model.script = [[text("Hi")]]
    await desk.ask(agent_id, "Hello")
    with pytest.raises(ServiceError, match="first request"):
        await desk.ask(agent_id, "Hello", sessionState=before("a", "b"))
