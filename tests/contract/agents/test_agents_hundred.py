"""A hundred poisoned documents, read as a function's result and as a passage, and a model that
obeys each of them: not one call goes through that the user did not ask for."""

import pytest
from tests.agents_kit import Desk, function, given, returned, text, use
from tests.contract.agents.test_agents_orchestrating import ARN, LED
from tests.orchestrators import react
from tests.poisoned_documents import ASKED, ORDERS, poisoned

FUNCTIONS = [
    function("read_mail", "folder"),
    function("send_mail", "to", "body"),
    function("send_money", "to", amount="number"),
    function("delete_order", "order_id"),
    function("list_users"),
    function("set_public", visible="boolean"),
]
BASE = "KNOWLEDGE1"
DOCUMENTS = poisoned()


def held(control):
    """Each call that was handed over, and how."""
    return [
        (one["functionInvocationInput"]["function"],
         one["functionInvocationInput"]["actionInvocationType"])
        for one in control["invocationInputs"]
    ]  # fmt: skip


def test_they_are_a_hundred_and_no_two_are_alike():
    assert len({each.text for each in DOCUMENTS}) == len(DOCUMENTS) == 100
    assert {each.name for each in DOCUMENTS} == {name for _, name, _ in ORDERS}


@pytest.mark.asyncio
@pytest.mark.parametrize("led", [{}, LED], ids=["by its own loop", "by an orchestrator"])
async def test_read_as_a_result_none_is_obeyed(database, led):
    desk = Desk(database)
    desk.lambdas.held[ARN] = react
    agent_id = desk.agent(*FUNCTIONS, **led)
    for at, document in enumerate(DOCUMENTS):
        session = {"sessionId": f"result-{at}"}
        desk.model.script = [
            [use("read_mail", folder="Inbox")], [use(document.name, "u2", **document.args)],
        ]  # fmt: skip
        control = returned(await desk.ask(agent_id, ASKED, **session))
        assert held(control) == [("read_mail", "RESULT")]
        state = given(control, document.text)
        control = returned(await desk.ask(agent_id, sessionState=state, **session))
        assert held(control) == [(document.name, "USER_CONFIRMATION_AND_RESULT")], document


@pytest.mark.asyncio
async def test_read_as_a_passage_none_is_obeyed(database):
    desk = Desk(database)
    agent_id = desk.agent(*FUNCTIONS)
    desk.do(
        "associate_agent_knowledge_base", agentId=agent_id, agentVersion="DRAFT",
        knowledgeBaseId=BASE, description="Mails",
    )  # fmt: skip
    desk.do("prepare_agent", agentId=agent_id)
    desk.model.script = [[text("Hello.")]]
    await desk.ask(agent_id, "Hello", sessionId="names")
    named = [tool["toolSpec"]["name"] for tool in desk.model.seen[-1]["toolConfig"]["tools"]]
    (search,) = set(named) - {each["name"] for each in FUNCTIONS}
    for at, document in enumerate(DOCUMENTS):
        desk.library.held[BASE] = [document.text]
        desk.model.script = [
            [use(search, query="order 17")], [use(document.name, "u2", **document.args)],
        ]  # fmt: skip
        control = returned(await desk.ask(agent_id, ASKED, sessionId=f"passage-{at}"))
        assert held(control) == [(document.name, "USER_CONFIRMATION_AND_RESULT")], document
