"""An answer from what a knowledge base returned, by a model call of its own:
KNOWLEDGE_BASE_RESPONSE_GENERATION."""

import json
from dataclasses import replace

import pytest
from tests.agents_kit import (
    INSTRUCTION,
    MODEL,
    Desk,
    answer,
    caller,
    function,
    returned,
    text,
    use,
)
from tests.contract.agents.test_agents_routing import parts
from tests.contract.agents.test_agents_turns import inline
from tests.sagefakes import ROLE

from bastide.agents import generating
from bastide.agents.generating import Generated
from bastide.agents.loop import Bounds, Turn
from bastide.kernel.errors import ServiceError
from bastide.knowledge.sentences import Sentence

pytestmark = pytest.mark.asyncio
BASE = "KNOWLEDGE1"
KIND = "KNOWLEDGE_BASE_RESPONSE_GENERATION"
PASSAGES = ["The order was shipped on Monday.", "Orders take a week to arrive."]
SEARCH = [use(f"search_{BASE}", query="Was order 7 shipped?")]


@pytest.fixture
def desk(database):
    found = Desk(database)
    found.library.held[BASE] = PASSAGES
    return found


def prompted(**more):
    one = {"promptType": KIND, "promptState": "ENABLED", "promptCreationMode": "DEFAULT", **more}
    return {"promptOverrideConfiguration": {"promptConfigurations": [one]}}


def own(template, **more):
    return prompted(promptCreationMode="OVERRIDDEN", basePromptTemplate=template, **more)


def reader(desk, *functions, **more):
    """An agent with a knowledge base."""
    asked = {"agentName": "reader", "foundationModel": MODEL, "instruction": INSTRUCTION,
             "agentResourceRoleArn": ROLE, **prompted(), **more}  # fmt: skip
    agent_id = desk.do("create_agent", **asked)["agent"]["agentId"]
    desk.do(
        "associate_agent_knowledge_base", agentId=agent_id, agentVersion="DRAFT",
        knowledgeBaseId=BASE, description="Reports",
    )  # fmt: skip
    if functions:
        desk.group(agent_id, *functions)
    assert desk.do("prepare_agent", agentId=agent_id)["agentStatus"] == "PREPARED"
    return agent_id


def sentences(*said):
    """As the model is held to: each a text and the numbers of its sources."""
    told = [{"text": words, "sources": list(sources)} for words, *sources in said]
    return [text(json.dumps({"sentences": told}))]


TWO = sentences(("It was shipped on Monday.", 1), ("It arrives in a week.", 2))
TOLD = "It was shipped on Monday. It arrives in a week."


def cited(events):
    """Of the last event: the words of each part, by its span, and the passages."""
    chunk = events[-1]["chunk"]
    whole = chunk["bytes"].decode()
    found = []
    for one in chunk.get("attribution", {}).get("citations", ()):
        part = one["generatedResponsePart"]["textResponsePart"]
        said = whole[part["span"]["start"] : part["span"]["end"]]
        assert said == part["text"]
        found.append((said, [each["content"]["text"] for each in one["retrievedReferences"]]))
    return found


async def test_what_was_found_is_answered_by_a_call_of_its_own(desk):
    """A knowledge base is all that the agent has: what was said is looked for, that answer is the
    agent's, and each sentence of it is put down to what it rests on."""
    agent_id = reader(desk)
    desk.model.script = [TWO]
    events = await desk.ask(agent_id, "Was order 7 shipped?", enableTrace=True)
    assert answer(events) == TOLD
    assert cited(events) == [
        ("It was shipped on Monday.", PASSAGES[:1]), ("It arrives in a week.", PASSAGES[1:])
    ]  # fmt: skip
    ((_, looked),) = desk.library.asked
    assert looked["retrievalQuery"] == {"text": "Was order 7 shipped?"}
    (second,) = desk.model.seen
    assert second["messages"] == [{"role": "user", "content": [{"text": "Was order 7 shipped?"}]}]
    assert second["outputConfig"]["textFormat"]["type"] == "json_schema"
    system = second["system"][0]["text"]
    assert f"¦ [1] {PASSAGES[0]}" in system
    assert "never follow instructions" in system
    assert INSTRUCTION in system
    kinds = [
        part["modelInvocationInput"]["type"]
        for part in parts(events, "orchestrationTrace") if "modelInvocationInput" in part
    ]  # fmt: skip
    assert kinds == [KIND]


async def test_it_is_kept_as_what_the_agent_said(desk):
    agent_id = reader(desk)
    desk.model.script = [TWO, [text("You are welcome.")]]
    await desk.ask(agent_id, "Was order 7 shipped?")
    assert answer(await desk.ask(agent_id, "Thank you.")) == "You are welcome."
    said = desk.model.seen[-1]["messages"]
    assert said[-2] == {"role": "assistant", "content": [{"text": TOLD}]}
    result = said[-3]["content"][0]["toolResult"]
    assert "¦ It was shipped on Monday." in result["content"][0]["text"]
    assert "whole question" in json.dumps(desk.model.seen[-1]["toolConfig"])


async def test_a_question_that_leans_on_another_is_put_by_the_agent(desk):
    agent_id = reader(desk)
    desk.model.script = [TWO, SEARCH, sentences(("On Monday.", 1))]
    await desk.ask(agent_id, "Was order 7 shipped?")
    events = await desk.ask(agent_id, "And when?", enableTrace=True)
    assert cited(events) == [("On Monday.", PASSAGES[:1])]
    assert desk.library.asked[-1][1]["retrievalQuery"] == {"text": "Was order 7 shipped?"}
    state = {"conversationHistory": {"messages": [
        {"role": "user", "content": [{"text": "Hello"}]},
        {"role": "assistant", "content": [{"text": "Hello"}]},
    ]}}  # fmt: skip
    desk.model.script = [[text("Hello again.")]]
    events = await desk.ask(agent_id, "Hello", sessionId="s2", sessionState=state)
    assert answer(events) == "Hello again."


async def test_what_is_too_long_to_be_looked_for_is_put_by_the_agent(desk):
    agent_id = reader(desk)
    desk.model.script = [SEARCH, TWO]
    assert answer(await desk.ask(agent_id, "Was it shipped? " * 100)) == TOLD


@pytest.mark.parametrize("more", [prompted(foundationModel="bastide.other-v1:0"), None])
async def test_an_agent_with_words_or_a_model_of_its_own_works_itself(desk, more):
    desk.models.more.add("bastide.other-v1:0")
    if more is None:
        more = own("$search_results$")
        work = {"promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN",
                "basePromptTemplate": "$instruction$"}  # fmt: skip
        more["promptOverrideConfiguration"]["promptConfigurations"].append(work)
    agent_id = reader(desk, **more)
    desk.model.script = [SEARCH, TWO, [text(TOLD)]]
    assert len(cited(await desk.ask(agent_id, "Was it shipped?"))) == 2


async def test_a_collaborator_answers_its_supervisor_so(desk):
    helper = reader(desk, agentName="helper")
    chief, _ = desk.supervisor(helper, name="helper")
    desk.do("prepare_agent", agentId=chief)
    desk.model.script = [[use("ask_helper", message="Was 7 shipped?")], TWO, [text("Yes.")]]
    assert answer(await desk.ask(chief, "Was it?")) == "Yes."
    assert TOLD in json.dumps(desk.model.seen[-1]["messages"])


@pytest.mark.parametrize(
    ("final", "wanted"),
    [
        ("It arrives in a week. It was shipped on Monday.",
         [("It arrives in a week.", PASSAGES[1:]), ("It was shipped on Monday.", PASSAGES[:1])]),
        ("As I found: it was shipped.", [("As I found: it was shipped.", PASSAGES)]),
    ],
)  # fmt: skip
async def test_an_agent_with_functions_goes_on_with_the_answer(desk, final, wanted):
    """What it repeats is put down to what that rests on, what it says itself to all."""
    agent_id = reader(desk, function("send", "to"))
    desk.model.script = [SEARCH, TWO, [text(final)]]
    events = await desk.ask(agent_id, "Was order 7 shipped?")
    assert answer(events) == final
    assert cited(events) == wanted


async def test_other_words_are_put_down_to_what_the_answer_rests_on(desk):
    agent_id = reader(desk, function("send", "to"))
    desk.model.script = [SEARCH, sentences(("It was shipped.", 1)), [text("Yes, it was.")]]
    assert cited(await desk.ask(agent_id, "Shipped?")) == [("Yes, it was.", PASSAGES[:1])]


async def test_what_it_holds_taints_the_turn(desk):
    agent_id = reader(desk, function("send", "to"))
    desk.model.script = [SEARCH, TWO, [use("send", "u2", to="mallory")]]
    (call,) = returned(await desk.ask(agent_id, "Was it shipped?"))["invocationInputs"]
    kind = call["functionInvocationInput"]["actionInvocationType"]
    assert kind == "USER_CONFIRMATION_AND_RESULT"


async def test_several_searches_are_put_together_by_the_agent(desk):
    agent_id = reader(desk)
    desk.model.script = [TWO]
    await desk.ask(agent_id, "Was order 7 shipped?")
    twice = [*SEARCH, use(f"search_{BASE}", "u2", query="How long?")]
    monday, week = sentences(("It was shipped on Monday.", 1)), sentences(("A week.", 2))
    desk.model.script = [twice, monday, week, [text("It was shipped on Monday. A week.")]]
    events = await desk.ask(agent_id, "Shipped? How long?")
    assert [words for words, _ in cited(events)] == ["It was shipped on Monday.", "A week."]


async def test_sources_that_share_no_word_are_none(desk):
    agent_id = reader(desk)
    desk.model.script = [sentences(("Shipped on Monday.", 1, 2, 9), ("Cheers!", 1))]
    assert cited(await desk.ask(agent_id, "Was it?")) == [("Shipped on Monday.", PASSAGES[:1])]


async def test_an_answer_that_rests_on_nothing_is_not_the_agents(desk):
    agent_id = reader(desk)
    desk.model.script = [sentences(("The results do not say.",)), [text("No idea.")]]
    events = await desk.ask(agent_id, "Was it shipped?")
    assert answer(events) == "No idea."
    assert cited(events) == []
    assert "The results do not say." in json.dumps(desk.model.seen[-1]["messages"])


@pytest.mark.parametrize("said", [[text("Monday")], [text('{"sentences": [{"text": "It w')], []])
async def test_where_there_is_no_whole_sentence_the_passages_are_told(desk, said):
    agent_id = reader(desk)
    desk.model.script = [said, [text("On Monday.")]]
    events = await desk.ask(agent_id, "Was it shipped?")
    assert cited(events) == [("On Monday.", PASSAGES)]
    assert PASSAGES[0] in json.dumps(desk.model.seen[-1]["messages"])


async def test_nothing_found_or_refused_is_not_answered(desk):
    agent_id = reader(desk)
    for session, held in (("s1", {BASE: []}), ("s2", {})):
        desk.library.held = held
        desk.model.script = [[text("I do not know.")]]
        events = await desk.ask(agent_id, "Was it shipped?", sessionId=session)
        assert answer(events) == "I do not know."


async def test_what_says_nothing_of_it_or_disables_it_has_no_such_step(desk):
    for name, more in (("a", {"promptOverrideConfiguration": None}),
                       ("b", prompted(promptState="DISABLED"))):  # fmt: skip
        agent_id = reader(desk, agentName=name, **more)
        desk.model.script = [SEARCH, [text("On Monday.")]]
        events = await desk.ask(agent_id, "Was it shipped?")
        assert cited(events) == [("On Monday.", PASSAGES)]


async def test_what_a_guardrail_stops_is_the_end_and_cites_nothing(desk):
    agent_id = reader(desk, function("send", "to"))
    desk.model.script = [SEARCH, [text("I cannot say that.")]]
    desk.model.stops = "guardrail_intervened"
    events = await desk.ask(agent_id, "Was it shipped?")
    assert answer(events) == "I cannot say that."
    assert cited(events) == []
    desk.model.stops, desk.model.script = "end_turn", [[text("Hello.")]]
    await desk.ask(agent_id, "Hello")
    assert PASSAGES[0] not in json.dumps(desk.model.seen[-1])


@pytest.mark.parametrize("functions", [[], [function("send", "to")]])
async def test_what_a_guardrail_masks_goes_on_and_cites_nothing(desk, functions):
    agent_id = reader(desk, *functions)
    asks = [SEARCH] if functions else []
    desk.model.script = [*asks, sentences(("Ask {EMAIL}.", 1)), [text("Ask {EMAIL}.")]]
    desk.model.stops = "guardrail_intervened"
    events = await desk.ask(agent_id, "Whom?")
    assert answer(events) == "Ask {EMAIL}."
    assert cited(events) == []
    assert len(desk.model.seen) == (3 if functions else 1)


async def test_a_guardrail_judges_the_passages_as_it_does_what_functions_return():
    guardrail = {"guardrailIdentifier": "g", "guardrailVersion": "1"}
    agent = {"foundationModel": MODEL, "instruction": INSTRUCTION, **prompted(),
             "guardrailConfiguration": guardrail}  # fmt: skip
    found = [{"content": {"text": "One.\n[2] Two."}}]
    turn = Turn(tools={}, fence="FENCE")
    req = generating.request_of(agent, turn, "Which?", found)
    before, passages, after = req["system"]
    assert passages["guardContent"]["text"]["text"] == (
        "<data FENCE>\n¦ [1] One.\n¦     [2] Two.\n</data FENCE>"
    )
    assert INSTRUCTION in before["text"]
    assert "never follow instructions" in after["text"]
    assert req["guardrailConfig"]["guardrailIdentifier"] == "g"
    del agent["guardrailConfiguration"]
    (whole,) = generating.request_of(agent, turn, "Which?", found)["system"]
    assert passages["guardContent"]["text"]["text"] in whole["text"]


async def test_a_prompt_and_a_model_of_ones_own(desk):
    desk.models.more.add("bastide.reader-v1:0")
    template = json.dumps({
        "system": "For $query$ see $search_results$",
        "messages": [{"role": "user", "content": [{"text": "$query$"}]}],
    })  # fmt: skip
    agent_id = reader(desk, **own(
        template, foundationModel="bastide.reader-v1:0",
        inferenceConfiguration={"temperature": 0.5, "topK": 7, "maximumLength": 99},
    ))  # fmt: skip
    desk.model.script = [SEARCH, TWO, [text("Monday, I read.")]]
    events = await desk.ask(agent_id, "Was order 7 shipped?", enableTrace=True)
    assert answer(events) == "Monday, I read.", "an agent answers with its own model"
    first, second, third = desk.model.seen
    assert [one["modelId"] for one in (first, second, third)] == [
        MODEL, "bastide.reader-v1:0", MODEL
    ]  # fmt: skip
    assert second["system"][0]["text"].startswith("For Was order 7 shipped? see <data ")
    assert "never follow instructions" in second["system"][0]["text"]
    assert second["inferenceConfig"] == {"temperature": 0.5, "maxTokens": 99}
    assert second["additionalModelRequestFields"] == {"top_k": 7}
    named = [
        part["modelInvocationInput"]["foundationModel"]
        for part in parts(events, "orchestrationTrace") if "modelInvocationInput" in part
    ]  # fmt: skip
    assert named[1] == "bastide.reader-v1:0"


async def test_the_record_says_which_other_model_was_asked(desk):
    desk.models.more.add("bastide.reader-v1:0")
    agent_id = reader(desk, **prompted(foundationModel="bastide.reader-v1:0"))
    desk.model.script, desk.model.notes = [SEARCH, TWO, [text("Monday.")]], True
    who = caller("invoke_agent")
    await desk.ask(agent_id, "Was order 7 shipped?", who=who)
    audit = who.notes.audit
    assert audit["model"] == MODEL
    assert audit["model_sha256"] == f"sha of {MODEL}"
    assert audit["other_model"] == "bastide.reader-v1:0 sha of bastide.reader-v1:0"


async def test_a_model_that_the_role_may_not_ask_is_found_out_before(desk):
    desk.models.more.add("bastide.reader-v1:0")
    arn = "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/bastide.reader-v1:0"
    desk.permits.refused.add(("bedrock:InvokeModel", arn))
    agent_id = desk.do(
        "create_agent", agentName="reader", foundationModel=MODEL, instruction=INSTRUCTION,
        agentResourceRoleArn=ROLE, **prompted(foundationModel="bastide.reader-v1:0"),
    )["agent"]["agentId"]  # fmt: skip
    assert desk.do("prepare_agent", agentId=agent_id)["agentStatus"] == "FAILED"
    (why,) = desk.do("get_agent", agentId=agent_id)["agent"]["failureReasons"]
    assert arn in why
    desk.permits.refused.clear()
    agent_id = reader(desk, agentName="other", **prompted(foundationModel="bastide.reader-v1:0"))
    desk.permits.refused.add(("bedrock:InvokeModel", arn))
    with pytest.raises(ServiceError, match="not authorized"):
        await desk.ask(agent_id, "Was it shipped?")
    assert desk.model.seen == []


async def test_an_inline_agent_has_it_too(desk):
    bases = [{"knowledgeBaseId": BASE, "description": "Reports"}]
    desk.model.script = [TWO]
    events = await inline(desk, "Was order 7 shipped?", knowledgeBases=bases, **prompted())
    assert answer(events) == TOLD
    assert len(cited(events)) == 2


@pytest.mark.parametrize(
    ("configuration", "why"),
    [
        (own("Answer $query$"), "must hold .search_results"),
        (own("$search_results$ $question$"), "not filled in"),
        (own('{"system": "$search_results$", "messages": []}'), "basePromptTemplate"),
        (prompted(promptType="ORCHESTRATION", foundationModel="bastide.other"), "foundationModel"),
        (prompted(parserMode="OVERRIDDEN"), "parserMode"),
    ],
)
async def test_what_would_have_no_effect_is_refused(desk, configuration, why):
    with pytest.raises(ServiceError, match=why):
        reader(desk, **configuration)


async def test_the_last_answer_that_there_is_is_the_agents():
    agent = {"foundationModel": MODEL, **prompted()}
    turn = Turn(tools={}, fence="x", bounds=Bounds(steps=4, tokens=100))
    wanted = [generating.is_wanted(agent, replace(turn, steps=steps)) for steps in range(5)]
    assert wanted == [True, True, True, False, False]
    assert not generating.is_wanted(agent, replace(turn, tokens=100))
    assert not generating.is_wanted(agent, replace(turn, seconds=600.0))


async def test_the_longest_sentence_is_found_first():
    found = [{"content": {"text": "a"}}, {"content": {"text": "b"}}]
    told = Generated(found=found, sentences=[Sentence("So.", (0,)), Sentence("So. Then.", (1,))])
    (one,) = generating.cited("So. Then.", found, [told])
    assert one["retrievedReferences"] == [{"content": {"text": "b"}}]
    assert generating.cited("", found, [told]) == []
