"""Agents from their making to their turns, on both databases; isolation of agencies and labels."""

import json

import pytest
from tests.agents_kit import (
    INSTRUCTION,
    MODEL,
    Desk,
    answer,
    caller,
    function,
    given,
    returned,
    text,
    use,
)
from tests.sagefakes import ONE, OTHER, ROLE

from bastide.kernel.errors import ServiceError

ORDER = function("get_order", "order_id")


@pytest.fixture
def desk(database):
    return Desk(database)


def asked(**more):
    return {"agentName": "clerk", "foundationModel": MODEL, "instruction": INSTRUCTION,
            "agentResourceRoleArn": ROLE, **more}  # fmt: skip


def test_an_agent_is_made_changed_listed_and_deleted(desk):
    made = desk.do("create_agent", **asked())["agent"]
    assert made["agentStatus"] == "NOT_PREPARED"
    agent_id = made["agentId"]
    changed = desk.do("update_agent", agentId=agent_id, **asked(description="new"))["agent"]
    assert changed == desk.do("get_agent", agentId=agent_id)["agent"]
    assert changed["description"] == "new"
    (row,) = desk.do("list_agents")["agentSummaries"]
    assert row["agentId"] == agent_id
    desk.do("delete_agent", agentId=agent_id)
    with pytest.raises(ServiceError, match="ResourceNotFoundException"):
        desk.do("get_agent", agentId=agent_id)


def test_an_agent_begins_with_a_name_and_preparing_says_what_is_missing(desk):
    made = desk.do("create_agent", agentName="clerk")["agent"]
    assert made["agentStatus"] == "NOT_PREPARED"
    assert made["agentResourceRoleArn"] == ""
    agent_id = made["agentId"]
    assert desk.do("prepare_agent", agentId=agent_id)["agentStatus"] == "FAILED"
    found = desk.do("get_agent", agentId=agent_id)["agent"]
    assert found["failureReasons"] == [
        "instruction must be specified.", "foundationModel must be specified.",
        "agentResourceRoleArn must be specified.",
    ]  # fmt: skip
    with pytest.raises(ServiceError, match="not prepared"):
        desk.do("create_agent_alias", agentId=agent_id, agentAliasName="live")
    desk.do("update_agent", agentId=agent_id, **asked())
    assert desk.do("prepare_agent", agentId=agent_id)["agentStatus"] == "PREPARED"


def test_a_call_that_comes_again_makes_nothing_again(desk):
    """What makes something is told apart by its clientToken: a client whose answer was lost sends
    the same again."""
    once, other = ({"clientToken": letter * 36} for letter in "ab")
    made = desk.do("create_agent", **asked(), **once)
    assert desk.do("create_agent", **asked(), **once) == made
    assert made["agent"]["clientToken"] == "a" * 36
    agent_id = made["agent"]["agentId"]
    desk.do("prepare_agent", agentId=agent_id)
    named = {"agentId": agent_id, "agentAliasName": "live"}
    alias = desk.do("create_agent_alias", **named, **once)
    assert desk.do("create_agent_alias", **named, **once) == alias
    assert alias["agentAlias"]["routingConfiguration"] == [{"agentVersion": "1"}]
    place = {"agentId": agent_id, "agentVersion": "DRAFT"}
    group = {**place, "actionGroupName": "orders", "functionSchema": {"functions": [ORDER]},
             "actionGroupExecutor": {"customControl": "RETURN_CONTROL"}}  # fmt: skip
    arn = alias["agentAlias"]["agentAliasArn"]
    helper = {**place, "collaboratorName": "x", "agentDescriptor": {"aliasArn": arn},
              "collaborationInstruction": "For all."}  # fmt: skip
    for name, req in (
        ("create_agent_action_group", group),
        ("associate_agent_collaborator", helper),
    ):
        assert desk.do(name, **req, **once) == desk.do(name, **req, **once)
    for name, req in (
        ("create_agent", asked()),
        ("create_agent_alias", named),
        ("create_agent_action_group", group),
        ("associate_agent_collaborator", helper),
    ):
        with pytest.raises(ServiceError, match="ConflictException"):
            desk.do(name, **req, **other)
    assert len(desk.do("list_agents")["agentSummaries"]) == 1
    (row,) = desk.do("list_agent_collaborators", **place)["agentCollaboratorSummaries"]
    assert "clientToken" not in row
    desk.do("create_agent", caller(marking="S"), **asked(), **once)


def test_the_draft_is_one_of_the_versions(desk):
    guardrail = {"guardrailConfiguration": {"guardrailIdentifier": "abc", "guardrailVersion": "1"}}
    agent_id = desk.agent(**guardrail)
    for name in ("one", "two"):
        desk.do("create_agent_alias", agentId=agent_id, agentAliasName=name)
    rows = desk.do("list_agent_versions", agentId=agent_id)["agentVersionSummaries"]
    assert [row["agentVersion"] for row in rows] == ["DRAFT", "2", "1"]
    assert {row["agentStatus"] for row in rows} == {"PREPARED"}
    assert all(row["guardrailConfiguration"] == guardrail["guardrailConfiguration"] for row in rows)
    first = desk.do("list_agent_versions", agentId=agent_id, maxResults=1)
    rest = desk.do("list_agent_versions", agentId=agent_id, nextToken=first["nextToken"])
    assert [*first["agentVersionSummaries"], *rest["agentVersionSummaries"]] == rows
    (summary,) = desk.do("list_agents")["agentSummaries"]
    assert "guardrailConfiguration" in summary
    desk.do("update_agent", agentId=agent_id, **asked())
    rows = desk.do("list_agent_versions", agentId=agent_id)["agentVersionSummaries"]
    assert rows[0]["agentStatus"] == "NOT_PREPARED"
    kept = desk.do("get_agent_version", agentId=agent_id, agentVersion="2")["agentVersion"]
    assert "clientToken" not in kept


def test_a_name_is_taken_once_at_each_label(desk):
    desk.do("create_agent", **asked())
    with pytest.raises(ServiceError, match="ConflictException"):
        desk.do("create_agent", **asked())
    desk.do("create_agent", caller(marking="S"), **asked())
    desk.do("create_agent", caller(account=OTHER), **asked())


def test_what_is_above_or_anothers_is_not_there(desk):
    secret = desk.do("create_agent", caller(marking="S"), **asked())["agent"]["agentId"]
    for who in (caller(), caller(account=OTHER, marking="S")):
        assert desk.do("list_agents", who)["agentSummaries"] == []
        for name in ("get_agent", "prepare_agent", "delete_agent", "list_agent_aliases"):
            with pytest.raises(ServiceError, match="ResourceNotFoundException"):
                desk.do(name, who, agentId=secret)
    open_ = desk.do("create_agent", **asked())["agent"]["agentId"]
    assert desk.do("get_agent", caller(marking="S"), agentId=open_)["agent"]["agentId"] == open_
    with pytest.raises(ServiceError, match="AccessDenied"):
        desk.do("delete_agent", caller(marking="S"), agentId=open_)


def test_a_role_that_may_not_be_passed_makes_no_agent(desk):
    desk.roles.refused.add(ROLE)
    with pytest.raises(ServiceError, match="PassRole"):
        desk.do("create_agent", **asked())
    assert desk.do("list_agents")["agentSummaries"] == []


def test_action_groups(desk):
    """After create_agent_action_group: read, changed, deleted."""
    agent_id = desk.agent()
    group = desk.group(agent_id, ORDER)
    assert desk.do("get_agent", agentId=agent_id)["agent"]["agentStatus"] == "NOT_PREPARED"
    place = {"agentId": agent_id, "agentVersion": "DRAFT"}
    (row,) = desk.do("list_agent_action_groups", **place)["actionGroupSummaries"]
    assert row["actionGroupId"] == group
    found = desk.do("get_agent_action_group", **place, actionGroupId=group)["agentActionGroup"]
    assert found["functionSchema"]["functions"] == [ORDER]
    with pytest.raises(ServiceError, match="ConflictException"):
        desk.group(agent_id, ORDER)
    with pytest.raises(ServiceError, match="ENABLED"):
        desk.do("delete_agent_action_group", **place, actionGroupId=group)
    desk.do(
        "update_agent_action_group", **place, actionGroupId=group, actionGroupName="orders",
        actionGroupState="DISABLED", functionSchema={"functions": [ORDER]},
        actionGroupExecutor={"customControl": "RETURN_CONTROL"},
    )  # fmt: skip
    desk.do("delete_agent_action_group", **place, actionGroupId=group)
    assert desk.do("list_agent_action_groups", **place)["actionGroupSummaries"] == []


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"actionGroupExecutor": {}}, "actionGroupExecutor"),
        ({"functionSchema": {}}, "Exactly one"),
        ({"apiSchema": {"payload": "{}"}}, "Exactly one"),
        ({"parentActionGroupSignature": "AMAZON.CodeInterpreter"}, "CodeInterpreter"),
        ({"parentActionGroupSignature": "AMAZON.UserInput"}, "takes no"),
    ],
)
def test_a_group_that_is_none(desk, more, why):
    agent_id = desk.agent()
    with pytest.raises(ServiceError, match=why):
        desk.group(agent_id, ORDER, **more)


def refusal(desk, agent_id):
    assert desk.do("prepare_agent", agentId=agent_id)["agentStatus"] == "FAILED"
    (reason,) = desk.do("get_agent", agentId=agent_id)["agent"]["failureReasons"]
    return reason


def test_preparing_finds_what_could_not_work(desk):
    agent_id = desk.do("create_agent", **asked(foundationModel="no.such"))["agent"]["agentId"]
    assert "model identifier" in refusal(desk, agent_id)
    desk.do("update_agent", agentId=agent_id, **asked())
    arn = f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{MODEL}"
    desk.permits.refused.add(("bedrock:InvokeModel", arn))
    assert "InvokeModel" in refusal(desk, agent_id)
    desk.permits.refused.clear()
    desk.group(agent_id, apiSchema={"payload": "{}"}, functionSchema=None)
    assert "OpenAPI" in refusal(desk, agent_id)
    with pytest.raises(ServiceError, match="not prepared"):
        desk.do("create_agent_alias", agentId=agent_id, agentAliasName="live")


@pytest.mark.asyncio
async def test_a_version_stays_as_it_was_prepared(desk):
    schema = {"openapi": "3.0.0", "paths": {
        "/orders/{id}": {"get": {
            "description": "An order", "operationId": "order",
            "parameters": [{"name": "id", "in": "path", "required": True,
                            "schema": {"type": "string"}}],
        }}}}  # fmt: skip
    desk.objects.held["schemas", "a.json"] = json.dumps(schema).encode()
    agent_id = desk.agent()
    desk.group(
        agent_id, functionSchema=None,
        apiSchema={"s3": {"s3BucketName": "schemas", "s3ObjectKey": "a.json"}},
    )  # fmt: skip
    desk.do("prepare_agent", agentId=agent_id)
    alias = desk.do("create_agent_alias", agentId=agent_id, agentAliasName="live")["agentAlias"]
    assert alias["routingConfiguration"] == [{"agentVersion": "1"}]
    desk.objects.held.clear()
    desk.do("update_agent", agentId=agent_id, **asked(instruction="x" * 40))
    found = desk.do("get_agent_version", agentId=agent_id, agentVersion="1")["agentVersion"]
    assert found["instruction"] == INSTRUCTION
    desk.model.script = [[use("order", id="7/x")]]
    events = await desk.ask(agent_id, "Where is 7/x?", agentAliasId=alias["agentAliasId"])
    (call,) = returned(events)["invocationInputs"]
    assert call["apiInvocationInput"] == {
        "actionGroup": "orders", "agentId": agent_id, "actionInvocationType": "RESULT",
        "apiPath": "/orders/{id}", "httpMethod": "GET",
        "parameters": [{"name": "id", "type": "string", "value": "7/x"}],
    }  # fmt: skip
    with pytest.raises(ServiceError, match="in use"):
        desk.do("delete_agent_version", agentId=agent_id, agentVersion="1")
    desk.do("delete_agent_alias", agentId=agent_id, agentAliasId=alias["agentAliasId"])
    desk.do("delete_agent_version", agentId=agent_id, agentVersion="1")
    (draft,) = desk.do("list_agent_versions", agentId=agent_id)["agentVersionSummaries"]
    assert draft["agentVersion"] == "DRAFT"


def test_an_alias_is_routed_anew(desk):
    agent_id = desk.agent()
    alias = desk.do("create_agent_alias", agentId=agent_id, agentAliasName="live")["agentAlias"]
    place = {"agentId": agent_id, "agentAliasId": alias["agentAliasId"]}
    changed = desk.do("update_agent_alias", **place, agentAliasName="live")["agentAlias"]
    assert changed["routingConfiguration"] == [{"agentVersion": "2"}]
    back = [{"agentVersion": "1"}]
    desk.do("update_agent_alias", **place, agentAliasName="live", routingConfiguration=back)
    found = desk.do("get_agent_alias", **place)["agentAlias"]
    routed = [one["routingConfiguration"] for one in found["agentAliasHistoryEvents"]]
    assert routed == [back, [{"agentVersion": "2"}], back]
    with pytest.raises(ServiceError, match="TSTALIASID"):
        desk.do("delete_agent_alias", agentId=agent_id, agentAliasId="TSTALIASID")


@pytest.mark.asyncio
async def test_control_goes_to_the_caller_and_comes_back(desk):
    agent_id = desk.agent(ORDER)
    desk.model.script = [[text("I look."), use("get_order", order_id="7")], [text("Shipped.")]]
    control = returned(await desk.ask(agent_id, "Where is order 7?"))
    (call,) = control["invocationInputs"]
    assert call["functionInvocationInput"] == {
        "actionGroup": "orders", "function": "get_order", "agentId": agent_id,
        "actionInvocationType": "RESULT",
        "parameters": [{"name": "order_id", "type": "string", "value": "7"}],
    }  # fmt: skip
    for wrong, why in (
        (given({**control, "invocationId": "other"}, "x"), "invocationId"),
        ({**given(control, "x"), "returnControlInvocationResults": [
            {"functionResult": {"actionGroup": "orders", "function": "other"}}]}, "no function"),
    ):  # fmt: skip
        with pytest.raises(ServiceError, match=why):
            await desk.ask(agent_id, sessionState=wrong)
    events = await desk.ask(agent_id, sessionState=given(control, "It was shipped."))
    assert answer(events) == "Shipped."
    said = json.dumps(desk.model.seen[-1]["messages"])
    assert "It was shipped." in said
    with pytest.raises(ServiceError, match="invocationId"):
        await desk.ask(agent_id, sessionState=given(control, "again"))


@pytest.mark.asyncio
async def test_a_conversation_goes_on_until_it_is_idle_or_ended(desk):
    agent_id = desk.agent()
    for _ in range(2):
        desk.model.script = [[text("One.")], [text("Two.")], [text("Three.")]]
        await desk.ask(agent_id, "first")
        await desk.ask(agent_id, "second")
        assert len(desk.model.seen[-1]["messages"]) == 3
        desk.clock.advance(601)
        await desk.ask(agent_id, "third")
        assert len(desk.model.seen[-1]["messages"]) == 1
        ended = await desk.ask(agent_id, endSession=True)
        assert answer(ended).startswith("Session is terminated")


@pytest.mark.parametrize("other", [{"account": OTHER}, {"marking": "S"}])
@pytest.mark.asyncio
async def test_nobody_else_goes_on_with_a_conversation(desk, other):
    agent_id = desk.agent(ORDER)
    desk.model.script = [[use("get_order", order_id="7")], [text("Hello.")]]
    control = returned(await desk.ask(agent_id, "Where is order 7?"))
    who = caller(**other)
    with pytest.raises(ServiceError, match=r"invocationId|ResourceNotFound"):
        await desk.ask(agent_id, who=who, sessionState=given(control, "x"))
    if "marking" in other:
        await desk.ask(agent_id, "hello", who=who)
        assert len(desk.model.seen[-1]["messages"]) == 1


@pytest.mark.asyncio
async def test_the_model_is_asked_as_the_agents_role_at_the_callers_label(desk):
    agent_id = desk.agent()
    desk.model.script = [[text("Hello.")]]
    who = caller(marking="S")
    await desk.ask(agent_id, "hello", who=who)
    (by,) = desk.model.by
    assert (by.principal.issuer_arn, by.principal.session.text) == (ROLE, "S")
    assert who.notes.audit == {"model": MODEL, "input_tokens": "7", "output_tokens": "3"}
    assert who.notes.label == "S"
    desk.roles.low.add(ROLE)
    with pytest.raises(ServiceError, match="not cleared"):
        await desk.ask(agent_id, "hello", who=who)


@pytest.mark.asyncio
async def test_a_turn_that_fails_never_was(desk):
    agent_id = desk.agent()
    desk.model.script = [[text("One.")], ServiceError("ModelErrorException", "It broke."),
                         [text("Two.")]]  # fmt: skip
    await desk.ask(agent_id, "first")
    with pytest.raises(ServiceError, match="DependencyFailedException"):
        await desk.ask(agent_id, "second")
    await desk.ask(agent_id, "third")
    words = [message["content"][0]["text"] for message in desk.model.seen[-1]["messages"]]
    assert words == ["first", "One.", "third"]


@pytest.mark.asyncio
async def test_a_session_takes_one_turn_at_a_time(desk):
    agent_id = desk.agent()
    desk.model.script = [[text("One.")], [text("Two.")]]
    req = {"agentId": agent_id, "agentAliasId": "TSTALIASID", "sessionId": "s1", "inputText": "a"}
    first = await desk.invocations.invoke_agent(caller(), req)
    with pytest.raises(ServiceError, match="ConflictException"):
        await desk.invocations.invoke_agent(caller(), req)
    await first["completion"].aclose()  # its caller went away before the first event
    assert answer(await desk.ask(agent_id, "b")) == "One."


@pytest.mark.asyncio
async def test_what_is_traced(desk):
    agent_id = desk.agent(ORDER)
    desk.model.script = [[text("I look."), use("get_order", order_id="7")]]
    events = await desk.ask(agent_id, "Where is order 7?", enableTrace=True)
    parts = [event["trace"] for event in events if "trace" in event]
    kinds = [next(iter(part["trace"]["orchestrationTrace"])) for part in parts]
    assert kinds == [
        "modelInvocationInput", "modelInvocationOutput", "rationale", "invocationInput",
    ]  # fmt: skip
    output = parts[1]["trace"]["orchestrationTrace"]["modelInvocationOutput"]
    assert output["metadata"]["usage"] == {"inputTokens": 7, "outputTokens": 3}
    assert {part["agentVersion"] for part in parts} == {"DRAFT"}
    call = parts[3]["trace"]["orchestrationTrace"]["invocationInput"]["actionGroupInvocationInput"]
    assert call["invocationId"] == returned(events)["invocationId"]


@pytest.mark.asyncio
async def test_a_session_cannot_be_opened_by_another_key(desk):
    """What is kept of it is sealed to whom it is of."""
    agent_id = desk.agent()
    desk.model.script = [[text("One.")], [text("Two.")]]
    await desk.ask(agent_id, "a secret")
    with desk.database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT sealed FROM bedrock_agent_sessions").all()
    assert all(b"secret" not in bytes(row[0]) for row in rows)
    with desk.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE bedrock_agent_sessions SET id = 's2'")
    with pytest.raises(ValueError, match="tampered"):
        await desk.ask(agent_id, "b", sessionId="s2")


@pytest.mark.asyncio
async def test_an_agents_conversations_go_with_it(desk):
    agent_id = desk.agent()
    desk.model.script = [[text("One.")]]
    await desk.ask(agent_id, "hello")
    desk.do("delete_agent", agentId=agent_id)
    with desk.database.engine.connect() as connection:
        rows = connection.exec_driver_sql("SELECT id FROM bedrock_agent_sessions").all()
    assert rows == []


@pytest.mark.parametrize(("version", "end"), [("DRAFT", ""), ("3", ":3")])
def test_policies_are_told_which_guardrail_a_model_is_asked_under(desk, version, end):
    arn = "arn:aws-us-gov:bedrock:us-gov-west-1:" + ONE + ":guardrail/guarded"
    guardrail = {"guardrailIdentifier": "guarded", "guardrailVersion": version}
    desk.agent(guardrailConfiguration=guardrail)
    asked = dict(zip(desk.permits.asked, desk.permits.said, strict=True))
    (said,) = (one for (action, _), one in asked.items() if action == "bedrock:InvokeModel")
    assert said == {"bedrock:GuardrailIdentifier": arn + end}
    assert asked["bedrock:ApplyGuardrail", arn] == {}
