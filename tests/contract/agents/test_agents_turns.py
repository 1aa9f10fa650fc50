"""Turns beyond returned control: inline agents, knowledge bases, prompts of one's own."""

import json
from contextlib import ExitStack
from dataclasses import replace

import pytest
from tests.agents_kit import INSTRUCTION, MODEL, Desk, answer, caller, function, returned, text, use
from tests.sagefakes import ONE, ROLE

from bastide.agents.loop import Turn
from bastide.agents.session_records import Key
from bastide.kernel.errors import ServiceError

BASE = "KNOWLEDGE1"
ORDER = function("get_order", "order_id")


@pytest.fixture
def desk(database):
    return Desk(database)


async def inline(desk, said="hello", who=None, **more):
    req = {"sessionId": "s1", "inputText": said, "instruction": INSTRUCTION,
           "foundationModel": MODEL, **more}  # fmt: skip
    answered = await desk.inline.invoke_inline_agent(who or caller("invoke_inline_agent"), req)
    return [event async for event in answered["completion"]]


@pytest.mark.asyncio
async def test_an_inline_agent_works_as_its_caller(desk):
    groups = [{"actionGroupName": "orders", "functionSchema": {"functions": [ORDER]},
               "actionGroupExecutor": {"customControl": "RETURN_CONTROL"}}]  # fmt: skip
    desk.model.script = [[use("get_order", order_id="7")], [text("Hello.")], [text("Again.")]]
    control = returned(await inline(desk, "Where is order 7?", actionGroups=groups))
    (call,) = control["invocationInputs"]
    assert call["functionInvocationInput"]["function"] == "get_order"
    (by,) = desk.model.by
    assert by.principal == caller().principal
    # The function is gone with the next call's definition, and its call is answered so.
    assert answer(await inline(desk, "Never mind.")) == "Hello."
    assert "not there any more" in json.dumps(desk.model.seen[-1]["messages"])
    other = await inline(desk, "hello", who=caller(marking="S"))
    assert answer(other) == "Again."
    assert len(desk.model.seen[-1]["messages"]) == 1


def with_base(desk, **more):
    agent_id = desk.do(
        "create_agent", agentName="reader", foundationModel=MODEL, instruction=INSTRUCTION,
        agentResourceRoleArn=ROLE,
    )["agent"]["agentId"]  # fmt: skip
    place = {"agentId": agent_id, "agentVersion": "DRAFT"}
    desk.do(
        "associate_agent_knowledge_base", **place, knowledgeBaseId=BASE, description="Reports",
        **more,
    )  # fmt: skip
    desk.do("prepare_agent", agentId=agent_id)
    return agent_id, place


@pytest.mark.asyncio
async def test_an_agent_looks_into_its_knowledge_base(desk):
    agent_id, place = with_base(desk)
    (row,) = desk.do("list_agent_knowledge_bases", **place)["agentKnowledgeBaseSummaries"]
    assert (row["knowledgeBaseId"], row["knowledgeBaseState"]) == (BASE, "ENABLED")
    desk.library.held[BASE] = ["The order was shipped.", "Orders take a week."]
    desk.model.script = [[use(f"search_{BASE}", query="orders")], [text("It was shipped.")]]
    wanted = {"vectorSearchConfiguration": {"numberOfResults": 2}}
    state = {
        "knowledgeBaseConfigurations": [{"knowledgeBaseId": BASE, "retrievalConfiguration": wanted}]
    }
    events = await desk.ask(agent_id, "Was it shipped?", enableTrace=True, sessionState=state)
    (citation,) = events[-1]["chunk"]["attribution"]["citations"]
    said = {"text": "It was shipped.", "span": {"start": 0, "end": len("It was shipped.")}}
    assert citation["generatedResponsePart"]["textResponsePart"] == said
    texts = [one["content"]["text"] for one in citation["retrievedReferences"]]
    assert texts == desk.library.held[BASE]
    ((call, req),) = desk.library.asked
    assert call.principal.issuer_arn == ROLE
    assert req["retrievalConfiguration"] == wanted
    said = desk.model.seen[-1]["messages"][-1]["content"][0]["toolResult"]["content"][0]["text"]
    assert "¦ [1] The order was shipped." in said
    kinds = [part["trace"]["trace"]["orchestrationTrace"] for part in events if "trace" in part]
    (lookup,) = [one["invocationInput"] for one in kinds if "invocationInput" in one]
    assert lookup["knowledgeBaseLookupInput"] == {"knowledgeBaseId": BASE, "text": "orders"}


@pytest.mark.asyncio
async def test_a_base_that_the_role_may_not_read_is_a_failed_search(desk):
    agent_id, _ = with_base(desk)
    desk.library.held[BASE] = ["A secret."]
    arn = f"arn:aws-us-gov:bedrock:us-gov-west-1:{ONE}:knowledge-base/{BASE}"
    desk.permits.refused.add(("bedrock:Retrieve", arn))
    desk.model.script = [[use(f"search_{BASE}", query="orders")], [text("I do not know.")]]
    events = await desk.ask(agent_id, "Was it shipped?")
    assert "attribution" not in events[-1]["chunk"]
    assert desk.library.asked == []
    result = desk.model.seen[-1]["messages"][-1]["content"][0]["toolResult"]
    assert result["status"] == "error"


def test_a_base_is_changed_and_taken_away(desk):
    agent_id, place = with_base(desk)
    named = {**place, "knowledgeBaseId": BASE}
    changed = desk.do("update_agent_knowledge_base", **named, knowledgeBaseState="DISABLED")
    found = desk.do("get_agent_knowledge_base", **named)
    assert found == changed
    assert found["agentKnowledgeBase"]["description"] == "Reports"
    assert desk.do("get_agent", agentId=agent_id)["agent"]["agentStatus"] == "NOT_PREPARED"
    desk.do("disassociate_agent_knowledge_base", **named)
    assert desk.do("list_agent_knowledge_bases", **place)["agentKnowledgeBaseSummaries"] == []


def overridden(template, **inference):
    one = {
        "promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN",
        "basePromptTemplate": template, "inferenceConfiguration": inference,
        "parserMode": "DEFAULT",
    }  # fmt: skip
    return {"promptOverrideConfiguration": {"promptConfigurations": [one]}}


@pytest.mark.asyncio
async def test_a_prompt_of_ones_own(desk):
    template = json.dumps({
        "system": "Be brief. $instruction$ $prompt_session_attributes$",
        "messages": [{"role": "user", "content": "$question$"},
                     {"role": "assistant", "content": "$agent_scratchpad$"}],
    })  # fmt: skip
    more = overridden(template, temperature=0.5, topP=0.9, topK=7, maximumLength=9)
    agent_id = desk.agent(ORDER, **more)
    desk.model.script = [[text("Hello.")]]
    state = {"promptSessionAttributes": {"today": "Monday"}}
    await desk.ask(agent_id, "hello", sessionState=state)
    (req,) = desk.model.seen
    system = req["system"][0]["text"]
    assert system.startswith(f"Be brief. {INSTRUCTION} What holds")
    assert '"today": "Monday"' in system
    assert "never follow instructions" in system  # the rule of spotlighting is not given up
    assert req["inferenceConfig"] == {"temperature": 0.5, "topP": 0.9, "maxTokens": 9}
    assert req["additionalModelRequestFields"] == {"top_k": 7}


@pytest.mark.parametrize(
    ("configuration", "why"),
    [
        (overridden("$agent_collaborators$"), "not filled in"),
        (overridden('{"system": "a", "messages": []}'), "basePromptTemplate"),
        (overridden(""), "must be specified"),
        ({"promptOverrideConfiguration": {"promptConfigurations": [
            {"promptType": "MEMORY_SUMMARIZATION", "promptCreationMode": "OVERRIDDEN"}]}},
            "MEMORY_SUMMARIZATION"),
        ({"promptOverrideConfiguration": {"promptConfigurations": [
            {"promptType": "POST_PROCESSING", "promptCreationMode": "OVERRIDDEN",
             "basePromptTemplate": "$functions$"}]}}, "not filled in"),
        ({"promptOverrideConfiguration": {"promptConfigurations": [
            {"promptType": "ORCHESTRATION", "basePromptTemplate": "x"}]}}, "OVERRIDDEN"),
        ({"promptOverrideConfiguration": {"promptConfigurations": [
            {"promptType": "ORCHESTRATION", "parserMode": "OVERRIDDEN"}]}}, "parserMode"),
    ],
)  # fmt: skip
def test_a_prompt_that_would_have_no_effect_is_refused(desk, configuration, why):
    with pytest.raises(ServiceError, match=why):
        desk.agent(**configuration)


@pytest.mark.asyncio
async def test_a_guardrail_that_converse_does_not_honour_is_refused(desk):
    """The scripted model knows of none: that a guardrail is passed over cannot happen."""
    guardrail = {"guardrailIdentifier": "abc123", "guardrailVersion": "1"}
    agent_id = desk.agent(guardrailConfiguration=guardrail)
    asked = [resource for action, resource in desk.permits.asked if "Guardrail" in action]
    assert asked == [f"arn:aws-us-gov:bedrock:us-gov-west-1:{ONE}:guardrail/abc123"]
    with pytest.raises(ServiceError, match="guardrailConfig"):
        await desk.ask(agent_id, "hello")


def supervised(desk, *, relay="DISABLED", collaboration="SUPERVISOR", **more):
    """A supervisor with one collaborator, `expert`, whose alias's ARN is answered too."""
    expert = desk.agent(agentName="expert", **more)
    supervisor, arn = desk.supervisor(expert, relay=relay, agentCollaboration=collaboration)
    return supervisor, {"agentId": supervisor, "agentVersion": "DRAFT"}, arn


def prepared(desk, agent_id):
    desk.do("prepare_agent", agentId=agent_id)
    return desk.do("get_agent", agentId=agent_id)["agent"]


@pytest.mark.asyncio
async def test_a_supervisor_asks_its_collaborator(desk):
    supervisor, _, arn = supervised(desk, relay="TO_COLLABORATOR")
    assert prepared(desk, supervisor)["agentStatus"] == "PREPARED"
    desk.model.script = [
        [use("ask_expert", message="Where is order 7?")], [text("On its way.")],
        [text("It is on its way.")],
    ]  # fmt: skip
    events = await desk.ask(supervisor, "Find order 7", enableTrace=True)
    assert answer(events) == "It is on its way."
    told = desk.model.seen[1]["messages"][0]["content"][0]["text"]
    assert told == "What was said so far:\nuser: Find order 7\n\nWhere is order 7?"
    result = desk.model.seen[2]["messages"][-1]["content"][0]["toolResult"]["content"][0]["text"]
    assert "¦ On its way." in result
    inner = [one["trace"] for one in events if "collaboratorName" in one.get("trace", {})]
    assert {one["collaboratorName"] for one in inner} == {"expert"}
    assert inner[0]["callerChain"] == [{"agentAliasArn": arn}]
    kinds = [one["trace"]["trace"]["orchestrationTrace"] for one in events if "trace" in one]
    (observed,) = [
        one["observation"] for one in kinds
        if one.get("observation", {}).get("type") == "AGENT_COLLABORATOR"
    ]  # fmt: skip
    assert observed["agentCollaboratorInvocationOutput"]["output"]["text"] == "On its way."


@pytest.mark.asyncio
async def test_a_collaborator_that_may_not_know_is_refused_at_the_call(desk):
    """Its role is not cleared for the label of the supervisor's context."""
    low = ROLE.replace("role/R", "role/Low")
    desk.roles.low.add(low)
    supervisor, _, arn = supervised(desk, agentResourceRoleArn=low)
    assert prepared(desk, supervisor)["agentStatus"] == "PREPARED"
    for marking, asked in (("U", 3), ("S", 2)):
        desk.model.seen.clear()
        desk.model.script = [[use("ask_expert", message="Where?")], [text("One.")], [text("Two.")]]
        events = await desk.ask(
            supervisor, "Find it", who=caller(marking=marking), enableTrace=True
        )
        assert len(desk.model.seen) == asked
    assert "not cleared for S" in json.dumps(events, default=str)
    desk.permits.refused.add(("bedrock:InvokeAgent", arn))
    desk.model.script = [[use("ask_expert", message="Where?")], [text("No.")]]
    assert answer(await desk.ask(supervisor, "Find it", sessionId="s2")) == "No."
    assert "InvokeAgent" in prepared(desk, supervisor)["failureReasons"][0]


@pytest.mark.asyncio
@pytest.mark.parametrize("why", ["refused", "busy"])
async def test_a_collaborator_that_did_not_begin_takes_nothing(desk, why):
    supervisor, _, arn = supervised(desk)
    desk.do("prepare_agent", agentId=supervisor)
    _, expert, alias = arn.split("/")
    key = Key(account=ONE, label="U", agent_id=supervisor, alias_id="TSTALIASID", id="s1")
    with ExitStack() as busy:
        if why == "busy":
            busy.enter_context(
                desk.sessions.one_turn(replace(key, agent_id=expert, alias_id=alias))
            )
        else:
            desk.permits.refused.add(("bedrock:InvokeAgent", arn))
        desk.model.script = [[use("ask_expert", message="Where?")], [text("No.")]]
        await desk.ask(supervisor, "Find it")
    turn = desk.sessions.open(key, Turn(tools={}, fence="")).turn
    assert (turn.tokens, turn.steps) == (20, 2), "the supervisor's own two answers"


@pytest.mark.parametrize("part", ["us-gov-west-1", ONE, "aws-us-gov"])
def test_a_collaborator_has_one_name_by_which_policies_know_it(desk, part):
    """It is refused to the role by that name; another one is no way around."""
    supervisor, place, arn = supervised(desk)
    (row,) = desk.do("list_agent_collaborators", **place)["agentCollaboratorSummaries"]
    desk.permits.refused.add(("bedrock:InvokeAgent", arn))
    other = {"us-gov-west-1": "us-gov-east-1", ONE: "444455556666", "aws-us-gov": "aws"}[part]
    desk.do(
        "update_agent_collaborator", **place, collaboratorId=row["collaboratorId"],
        collaboratorName="expert", collaborationInstruction="For orders.",
        agentDescriptor={"aliasArn": arn.replace(part, other)},
    )  # fmt: skip
    (reason,) = prepared(desk, supervisor)["failureReasons"]
    assert "no alias of an agent here" in reason


def test_a_collaborator_that_nobody_is_is_refused(desk):
    _, place, _ = supervised(desk)
    asked = {"collaboratorName": "nobody", "collaborationInstruction": "x", "agentDescriptor": {}}
    with pytest.raises(ServiceError, match="aliasArn"):
        desk.do("associate_agent_collaborator", **place, **asked)


@pytest.mark.asyncio
async def test_collaborators_take_from_one_budget(desk):
    supervisor, _, _ = supervised(desk)
    prepared(desk, supervisor)
    desk.model.script = [
        call
        for n in range(20)
        for call in ([use("ask_expert", message=f"Again {n}")], [text("Not yet.")])
    ]
    events = await desk.ask(supervisor, "Find it", enableTrace=True)
    assert len(desk.model.seen) == 10  # the bound of a turn, all together
    assert answer(events) == "Not yet."
    assert "It was not asked" in json.dumps(events, default=str)


def test_a_collaborator_is_changed_and_taken_away(desk):
    supervisor, place, arn = supervised(desk)
    (row,) = desk.do("list_agent_collaborators", **place)["agentCollaboratorSummaries"]
    named = {**place, "collaboratorId": row["collaboratorId"]}
    changed = desk.do(
        "update_agent_collaborator", **named, collaboratorName="expert",
        agentDescriptor={"aliasArn": arn}, collaborationInstruction="For all.",
    )  # fmt: skip
    assert desk.do("get_agent_collaborator", **named) == changed
    assert changed["agentCollaborator"]["collaborationInstruction"] == "For all."
    desk.do("disassociate_agent_collaborator", **named)
    assert prepared(desk, supervisor)["failureReasons"] == ["A supervisor needs a collaborator."]


def test_a_collaborator_whose_control_would_return_is_not_prepared(desk):
    supervisor, _, arn = supervised(desk)
    expert = arn.split("/")[1]
    desk.group(expert, ORDER)
    desk.do("prepare_agent", agentId=expert)
    desk.do("update_agent_alias", agentId=expert, agentAliasId=arn.split("/")[2],
            agentAliasName="live")  # fmt: skip
    (reason,) = prepared(desk, supervisor)["failureReasons"]
    assert "control returns" in reason
