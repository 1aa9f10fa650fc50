"""What an orchestrator may not say, and the guardrail around it."""

import json

import pytest
from tests.agents_kit import Desk, ScriptedModel, answer, text, use
from tests.contract.agents.test_agents_orchestrating import ARN, ORDER, heard, led
from tests.contract.agents.test_agents_routing import parts
from tests.orchestrators import calls, converse, react, says, script

from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.operation import operation

pytestmark = pytest.mark.asyncio
GUARDRAIL = {"guardrailIdentifier": "gr0000000001", "guardrailVersion": "1"}


class GuardedModel(ScriptedModel):
    """One that takes a guardrail."""

    @operation(
        "modelId", "messages", "system", "inferenceConfig", "toolConfig", "guardrailConfig",
    )  # fmt: skip
    async def converse(self, call, req):
        return await super().converse(call, req)


@pytest.fixture
def desk(database):
    return Desk(database)


@pytest.fixture
def guarded(database):
    return Desk(database, GuardedModel())


OTHER = {"guardrailIdentifier": "gr0000000002", "guardrailVersion": "1"}
MARKED = {"role": "user", "content": [{"guardContent": {"text": {"text": "Hello"}}}]}
RESULT = {"toolResult": {"toolUseId": "u1", "content": [{"document": {
    "name": "a", "format": "txt", "source": {"text": "do it"}}}]}}  # fmt: skip
WRONG = [
    converse(modelId="bastide.other-v1:0"),
    converse(modelId=7),
    converse(messages="Hello"),
    converse(messages=[{"role": "king", "content": [{"text": "x"}]}]),
    converse(messages=[{"role": "user", "content": [{"image": {}}]}]),
    converse(messages=[MARKED]),
    converse(system=MARKED["content"]),
    converse(messages=[{"role": "user", "content": [RESULT]}]),
    converse(guardrailConfig=OTHER),
    converse(promptVariables={"a": {"text": "b"}}),
    converse(toolConfig={"tools": [{"toolSpec": {"name": "a b", "inputSchema": {"json": {}}}}]}),
    converse(inferenceConfig={"maxTokens": 0}),
    says("INVOKE_MODEL", "no json"),
    says("INVOKE_MODEL", "[]"),
    says("INVOKE_TOOL", "{}"),
    says("INVOKE_TOOL", '{"toolUse": {"name": "get_order"}}'),
    says("APPLY_GUARDRAIL", json.dumps({"source": "INPUT", "content": [{"text": {"text": "x"}}]})),
    says("FINISH", " "),
    says("TOOL_INVOKED", "x"),
    {"version": "1.0"},
    b"no json",
    b'{"version": "1.0", "actionEvent": "INVOKE_MODEL", "output": {"text": "'
    + b'{\\"messages\\":' * 300 + b"1" + b"}" * 300 + b'"}}',
    ValueError('{"errorType": "ValueError"}'),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: str(wrong)[:90])
async def test_what_it_may_not_say_fails_the_turn(desk, wrong):
    agent_id = led(desk, lambda event: wrong, ORDER)
    with pytest.raises(ServiceError) as caught:
        await desk.ask(agent_id, "Hello", enableTrace=True)
    assert caught.value.code == "DependencyFailedException"
    assert desk.model.seen == []
    assert [event for _, event in desk.lambdas.heard if "function" in event] == []
    desk.lambdas.held[ARN] = script(says("FINISH", "Hello."))
    assert answer(await desk.ask(agent_id, "Hello")) == "Hello."
    assert len(heard(desk)[-1]["context"]["session"]) == 1, "that turn never was"


async def test_a_tool_that_the_agent_does_not_have_is_not_called(desk):
    agent_id = led(desk, script(calls("other"), calls("get_order", wrong=7),
                                says("FINISH", "No.")), ORDER)  # fmt: skip
    assert answer(await desk.ask(agent_id, "Hello")) == "No."
    told = [json.loads(one["input"]["text"])["toolResult"]["content"][0]["text"]
            for one in heard(desk)[1:]]  # fmt: skip
    assert told[0] == "There is no function other."
    assert "arguments of get_order are wrong" in told[1]
    assert [event for _, event in desk.lambdas.heard if "function" in event] == []


async def test_a_guardrail_judges_what_no_model_has_read_or_said(guarded):
    guarded.censor.blocked, guarded.censor.hidden = "secret", "Smith"
    agent_id = led(guarded, script(says("FINISH", "Hello.")), guardrailConfiguration=GUARDRAIL)
    events = await guarded.ask(agent_id, "Tell the secret", enableTrace=True)
    assert answer(events) == "Stopped."
    (told,) = parts(events, "guardrailTrace")
    assert told["action"] == "INTERVENED"
    assert heard(guarded) == [], "nobody is asked"
    assert answer(await guarded.ask(agent_id, "I am Smith")) == "Hello."
    (event,) = heard(guarded)
    assert json.loads(event["input"]["text"]) == {"text": "I am {NAME}"}
    assert event["context"]["session"] == [{"agentInput": "I am {NAME}", "intermediarySteps": []}]
    assert event["context"]["agentConfiguration"]["guardrails"] == {
        "identifier": "gr0000000001", "version": "1"
    }  # fmt: skip
    for spoken, shown in (("The secret is 7", "Stopped."), ("It is Smith", "It is {NAME}")):
        guarded.lambdas.held[ARN] = script(says("FINISH", spoken))
        assert answer(await guarded.ask(agent_id, "Tell")) == shown
    assert [one["source"] for one in guarded.censor.seen][-2:] == ["INPUT", "OUTPUT"]


async def test_a_model_is_asked_under_the_agents_guardrail(guarded):
    leader = script(converse(guardrailConfig=GUARDRAIL), says("FINISH", "Hello."))
    agent_id = led(guarded, leader, guardrailConfiguration=GUARDRAIL)
    guarded.model.script = [[text("Hello.")]]
    assert answer(await guarded.ask(agent_id, "Hi")) == "Hello."
    assert guarded.model.seen[0]["guardrailConfig"] == {**GUARDRAIL, "trace": "enabled"}
    judged = [one["source"] for one in guarded.censor.seen]
    assert judged == ["INPUT"], "what its model said is judged already"
    # What the guardrail stops there is the end, whatever the orchestrator would do then.
    guarded.lambdas.held[ARN] = script(converse(), calls("get_order"), says("FINISH", "Ha."))
    guarded.model.script, guarded.model.stops = [[text("Stopped.")]], "guardrail_intervened"
    assert answer(await guarded.ask(agent_id, "Hi")) == "Stopped."
    guarded.lambdas.held[ARN], guarded.model.stops = react, "end_turn"
    guarded.model.script = [[text("Hello again.")]]
    assert answer(await guarded.ask(agent_id, "Hi")) == "Hello again."
    said = [one["content"][0]["text"] for one in guarded.model.seen[-1]["messages"]]
    assert said == ["Hi", "Hello.", "Hi", "Stopped.", "Hi"]
    guarded.lambdas.held[ARN] = script(converse(guardrailConfig=OTHER))
    with pytest.raises(ServiceError, match="guardrailConfig is not"):
        await guarded.ask(agent_id, "Hi")


async def test_a_question_is_judged_as_an_answer_is(guarded):
    guarded.censor.blocked = "secret"
    agent_id = led(guarded, script(calls("ask_user", question="Is the secret 7?")),
                   guardrailConfiguration=GUARDRAIL)  # fmt: skip
    guarded.asks_user(agent_id)
    assert answer(await guarded.ask(agent_id, "Tell")) == "Stopped."
    guarded.lambdas.held[ARN] = script(calls("ask_user", question="Which of Smith's?"))
    guarded.censor.hidden = "Smith"
    assert answer(await guarded.ask(agent_id, "Tell")) == "Which of {NAME}'s?"
    guarded.lambdas.held[ARN] = script(says("FINISH", "Hello."))
    assert answer(await guarded.ask(agent_id, "Of Smith's")) == "Hello."
    told = json.loads(heard(guarded)[-1]["input"]["text"])["toolResult"]
    assert told["content"] == [{"text": "Of {NAME}'s"}]


async def test_a_conversation_can_be_told_again_whatever_was_stopped(guarded):
    guarded.censor.blocked = "secret"
    agent_id = led(guarded, react, guardrailConfiguration=GUARDRAIL)
    guarded.asks_user(agent_id)
    guarded.model.script = [[use("ask_user", question="Which?")]]
    assert answer(await guarded.ask(agent_id, "Where?")) == "Which?"
    assert answer(await guarded.ask(agent_id, "The secret one")) == "Stopped."
    guarded.model.script = [[use("ask_user", question="The secret?")]]
    assert answer(await guarded.ask(agent_id, "Where then?")) == "Stopped."
    guarded.model.script = [[text("Nowhere.")]]
    assert answer(await guarded.ask(agent_id, "Where?")) == "Nowhere."
    messages = guarded.model.seen[-1]["messages"]
    assert [one["role"] for one in messages] == ["user", "assistant"] * 4 + ["user"]
    assert "secret one" not in str(messages)


async def test_it_applies_the_agents_guardrail_alone(guarded):
    guarded.censor.hidden = "Smith"
    content = [{"text": {"text": "Mr Smith", "qualifiers": ["guard_content"]}}]
    asked = {"source": "OUTPUT", "content": content}
    leader = script(
        says("APPLY_GUARDRAIL", json.dumps({**GUARDRAIL, **asked})),
        lambda event: says("FINISH", json.loads(event["input"]["text"])["outputs"][0]["text"]),
    )
    agent_id = led(guarded, leader, guardrailConfiguration=GUARDRAIL)
    assert answer(await guarded.ask(agent_id, "Who?")) == "Mr {NAME}"
    assert heard(guarded)[-1]["state"] == "APPLY_GUARDRAIL_INVOKED"
    for wrong in ({**OTHER, **asked}, {**asked, "source": "BOTH"}, {**asked, "content": []}):
        guarded.lambdas.held[ARN] = script(says("APPLY_GUARDRAIL", json.dumps(wrong)))
        with pytest.raises(ServiceError, match="Lambda response"):
            await guarded.ask(agent_id, "Who?")


def _found(_):
    """Finishes with what the agent's guardrail left of it."""
    return lambda event: says("FINISH", json.loads(event["input"]["text"])["outputs"][0]["text"])


JUDGED = json.dumps({"source": "OUTPUT", "content": [{"text": {"text": "Mr Smith in Bonn."}}]})


@pytest.mark.parametrize(
    "ends",
    [
        [says("FINISH", "Mr Smith in Bonn.")],
        [says("APPLY_GUARDRAIL", JUDGED), _found],
        [calls("ask_user", "u2", question="Smith of Bonn?")],
    ],
    ids=["finish", "applied", "question"],
)
async def test_the_source_of_what_a_guardrail_hid_is_not_told_beside_it(guarded, ends):
    guarded.censor.hidden = "Smith"
    guarded.library.held["KB00000001"] = ["Smith is in Bonn."]
    leader = script(
        calls("search_KB00000001", query="who"),
        *(one(None) if one is _found else one for one in ends),
    )
    agent_id = led(guarded, leader, guardrailConfiguration=GUARDRAIL)
    guarded.do(
        "associate_agent_knowledge_base", agentId=agent_id, agentVersion="DRAFT",
        knowledgeBaseId="KB00000001", description="People",
    )  # fmt: skip
    guarded.asks_user(agent_id)
    events = await guarded.ask(agent_id, "Who?")
    assert "{NAME}" in answer(events)
    assert "Smith" not in str(events)


def supervised(desk, expert, **more):
    """An agent that asks another."""
    chief, _ = desk.supervisor(expert, **more)
    assert desk.do("prepare_agent", agentId=chief)["agentStatus"] == "PREPARED"
    return chief


async def test_what_a_collaborator_took_that_fails_counts_for_who_asked_it(desk):
    """Else a supervisor could have it fail again and again, each time with bounds of its own."""
    expert = led(desk, script(*[converse()] * 8, ValueError("it ended")))
    chief = supervised(desk, expert)
    desk.model.script = [
        [use("ask_expert", message="Where?")], *[[text("Hm.")]] * 8, [text("Nobody knows.")],
    ]  # fmt: skip
    assert answer(await desk.ask(chief, "Where is it?")) == "Nobody knows."
    assert "toolConfig" not in desk.model.seen[-1], "nine steps are gone: the last has no functions"


async def test_the_calls_of_collaborators_count_for_who_asked_them(desk):
    def fifteen(event, state={"n": 0}):  # noqa: B006 - counts over its turns
        state["n"] += 1
        if state["n"] % 16 == 0:
            return says("FINISH", "In Bonn.")
        return calls("get_order", f"u{state['n']}", order_id="7")

    chief_arn = ARN.replace("leader", "chief")
    desk.lambdas.held[chief_arn] = script(
        *(calls("ask_expert", f"c{n}", message="get_order 7") for n in range(3)),
        says("FINISH", "Done."),
    )
    chief = supervised(
        desk, led(desk, fifteen, ORDER), orchestrationType="CUSTOM_ORCHESTRATION",
        customOrchestration={"executor": {"lambda": chief_arn}},
    )  # fmt: skip
    assert answer(await desk.ask(chief, "get_order 7")) == "Done."
    executed = [event for _, event in desk.lambdas.heard if "function" in event]
    assert 15 < len(executed) <= 20


async def test_how_busy_the_region_is_it_does_not_say(guarded):
    agent_id = led(guarded, script(says("FINISH", "Hello.")), guardrailConfiguration=GUARDRAIL)

    def busy(*_):
        raise Unavailable("this agency's share of the threads")

    for part, name in ((guarded.lambdas.held, ARN), (vars(guarded.censor), "apply_guardrail")):
        part[name] = busy
        with pytest.raises(ServiceError, match="not available now") as caught:
            await guarded.ask(agent_id, "Hi", enableTrace=True)
        assert "threads" not in caught.value.message
