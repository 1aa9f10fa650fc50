"""The receipt of an agent's turn: it opens on what its caller said and read."""

import base64

import pytest
from tests.agents_kit import Desk, answer, caller, function, given, returned, text, use

from bastide.agents.receipting import plain
from bastide.kernel.errors import ServiceError
from bastide.kernel.receipts import SALT_HEADER, commitment

pytestmark = pytest.mark.asyncio


@pytest.fixture
def desk(database):
    return Desk(database)


def opens(call, prompt, said):
    salt = base64.b64decode(call.notes.headers[SALT_HEADER])
    found = call.notes.inference
    return (found.prompt, found.answer) == (commitment(salt, prompt), commitment(salt, said))


async def test_a_receipt_of_words(desk):
    agent_id, who = desk.agent(), caller("invoke_agent")
    desk.model.script = [[text("Hello, Ada.")]]
    said = answer(await desk.ask(agent_id, "I am Ada.", who))
    assert opens(who, b"I am Ada.", said.encode())
    found = who.notes.inference
    assert (found.input_tokens, found.output_tokens) == (7, 3)
    assert found.model_digest == "sha256:" + "5a" * 32


async def test_of_an_answer_in_pieces(desk):
    agent_id, who = desk.agent(), caller("invoke_agent")
    desk.model.script = [[text("Hello, Ada.")]]
    streams = {"streamFinalResponse": True}
    assert len(await desk.ask(agent_id, "Hi", who, streamingConfigurations=streams)) > 1
    assert opens(who, b"Hi", b"Hello, Ada.")


async def test_of_a_control_that_returns_and_of_what_is_given_back(desk):
    agent_id, who, after = desk.agent(function("find", "it")), caller(), caller()
    desk.model.script = [[use("find", it="7")], [text("Found.")]]
    control = returned(await desk.ask(agent_id, "find 7", who))
    assert opens(who, b"find 7", plain(control))
    state = given(control, "here")
    await desk.ask(agent_id, "", after, sessionState=state)
    assert opens(after, plain(state["returnControlInvocationResults"]), b"Found.")


async def test_none_where_no_model_answered(desk):
    agent_id, who = desk.agent(), caller("invoke_agent")
    with pytest.raises(ServiceError):
        await desk.ask(agent_id, " ", who)
    assert SALT_HEADER not in who.notes.headers
    desk.model.script = [ServiceError("ThrottlingException", "no")]
    with pytest.raises(ServiceError):
        await desk.ask(agent_id, "Hi", who)
    ended = caller("invoke_agent")
    await desk.ask(agent_id, "", ended, endSession=True)
    assert (who.notes.inference, ended.notes.inference) == (None, None)
    assert SALT_HEADER not in ended.notes.headers


async def test_an_answer_that_its_caller_breaks_off_is_in_it_as_far_as_it_came(desk):
    agent_id, who = desk.agent(), caller("invoke_agent")
    desk.model.script = [[text("Hello.")]]
    req = {"agentId": agent_id, "agentAliasId": "TSTALIASID", "sessionId": "s1",
           "inputText": "Hi", "enableTrace": True}  # fmt: skip
    stream = (await desk.invocations.invoke_agent(who, req))["completion"]
    for _ in range(2):
        assert "trace" in await anext(stream)
    await stream.aclose()
    assert opens(who, b"Hi", b"")
