"""What an orchestrator may say, and what is kept of what it said."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.orchestrators import says

from bastide.agents.executing import BadResponse
from bastide.agents.loop import Turn
from bastide.agents.orchestrator import TEXT_MAX, check, executor_of, heard_in, use_in
from bastide.agents.spotlight import LINE_MARK, plain, spotlit
from bastide.agents.story import SIZE_MAX, Story, told_of
from bastide.kernel.errors import ServiceError

ARN = "arn:aws-us-gov:lambda:us-gov-west-1:111122223333:function:leader"
LED = {
    "orchestrationType": "CUSTOM_ORCHESTRATION",
    "customOrchestration": {"executor": {"lambda": ARN}},
}
FINE = says("FINISH", "Done.", {"sessionAttributes": {"a": "b"}, "promptSessionAttributes": {}})


def heard(value):
    return heard_in(value if isinstance(value, bytes) else json.dumps(value).encode())


def test_an_answer_is_read_whole():
    found = heard(FINE)
    assert (found.event, found.text, found.trace) == ("FINISH", "Done.", "now FINISH")
    assert (found.session, found.prompt) == ({"a": "b"}, {})
    assert heard(json.dumps(FINE)) == found, "a function may say its JSON as text"
    bare = heard({"version": "1.0", "actionEvent": "PLAN_MADE", "output": {"text": ""}})
    assert (bare.event, bare.trace, bare.session, bare.prompt) == ("PLAN_MADE", "", None, None)
    nulls = {**FINE, "context": {"sessionAttributes": {"a": None}}}
    assert heard(nulls).session == {}


def test_half_a_character_is_replaced():
    text = heard(
        b'{"version": "1.0", "actionEvent": "FINISH", "output": {"text": "a\\ud800"}}'
    ).text
    assert text == "a\ufffd"


HOSTILE = [
    b"", b"no json", b"[" * 100_000, [], None, 7, "text", json.dumps("text"), {}, b"x" * 1_048_577,
    {**FINE, "version": "2.0"}, {**FINE, "version": None},
    *({**FINE, "actionEvent": one} for one in (
        None, 7, "", "START", "MODEL_INVOKED", "TOOL_INVOKED", "APPLY_GUARDRAIL_INVOKED", "9",
        "A B", "FINISH\n", "x" * 65, ["FINISH"],
    )),
    *({**FINE, "output": one} for one in (
        None, [], "text", {}, {"text": None}, {"text": {}}, {"text": "x" * (TEXT_MAX + 1)},
        {"text": "a", "trace": []}, {"text": "a", "trace": {"event": "a"}},
        {"text": "a", "trace": {"event": {"text": 7}}},
    )),
    *({**FINE, "context": one} for one in (
        [], 7, {"sessionAttributes": []}, {"sessionAttributes": {"a": 1}},
        {"promptSessionAttributes": {"a": {}}}, {"sessionAttributes": {"a": "x" * 65_537}},
    )),
]  # fmt: skip


@pytest.mark.parametrize(
    "value", ["1e999", "-1e999", "[" * 99 + "]" * 99, '{"a":' * 200 + "1" + "}" * 200]
)
def test_arguments_are_finite_and_as_deep_as_a_body_may_be(value):
    with pytest.raises(BadResponse):
        use_in(f'{{"toolUse": {{"name": "a", "toolUseId": "b", "input": {{"n": {value}}}}}}}')


@pytest.mark.parametrize("said", HOSTILE, ids=lambda said: str(said)[:50])
def test_what_is_no_answer_is_refused(said):
    with pytest.raises(BadResponse):
        heard(said)


@given(st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["version", "actionEvent", "output", "text", "trace", "event", "context"]),
        inner, max_size=4,
    ),
    max_leaves=12,
))  # fmt: skip
def test_whatever_it_says_is_heard_or_refused(said):
    try:
        heard(said)
    except BadResponse:
        return


def test_a_call_is_one_tool_use():
    asked = {"toolUse": {"toolUseId": "u1", "name": "f", "input": {"a": 1}}}
    use = use_in(json.dumps(asked))
    assert (use.id, use.name, use.args) == ("u1", "f", {"a": 1})
    assert use_in('{"toolUse": {"toolUseId": "u", "name": "f"}}').args == {}


@pytest.mark.parametrize("use", [
    None, [], {}, {"name": "f"}, {"toolUseId": "u", "name": ""}, {"toolUseId": "u", "name": 7},
    {"toolUseId": "u", "name": "x" * 257}, {"toolUseId": "x" * 65, "name": "f"},
    {"toolUseId": "a b", "name": "f"}, {"toolUseId": "u", "name": "f", "input": []},
    {"toolUseId": "u", "name": "f", "input": "{}"},
])  # fmt: skip
def test_what_is_no_call_is_refused(use):
    for text in (json.dumps({"toolUse": use}), json.dumps([{"toolUse": use}]), "no json"):
        with pytest.raises(BadResponse):
            use_in(text)


def test_numbers_that_are_none_are_refused():
    for number in ("NaN", "Infinity", "-Infinity"):
        with pytest.raises(BadResponse):
            use_in(f'{{"toolUse": {{"toolUseId": "u", "name": "f", "input": {{"a": {number}}}}}}}')


@pytest.mark.parametrize(("asked", "why"), [
    ({"orchestrationType": "CUSTOM_ORCHESTRATION"}, "needs a function"),
    ({"orchestrationType": "CUSTOM_ORCHESTRATION", "customOrchestration": {"executor": {}}},
     "needs a function"),
    ({"customOrchestration": LED["customOrchestration"]}, "needs the orchestrationType"),
    ({**LED, "orchestrationType": "DEFAULT"}, "needs the orchestrationType"),
    ({**LED, "agentCollaboration": "SUPERVISOR_ROUTER"}, "SUPERVISOR_ROUTER"),
    ({**LED, "promptOverrideConfiguration": {"promptConfigurations": [
        {"promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN"}]}}, "ORCHESTRATION"),
    ({**LED, "promptOverrideConfiguration": {"promptConfigurations": [
        {"promptType": "KNOWLEDGE_BASE_RESPONSE_GENERATION", "promptState": "ENABLED"}]}},
     "KNOWLEDGE_BASE_RESPONSE_GENERATION"),
])  # fmt: skip
def test_what_would_have_no_effect_is_refused(asked, why):
    with pytest.raises(ServiceError, match=why):
        check("bedrock-agent.CreateAgent", asked)


def test_what_may_be_asked_for():
    prompts = [
        {"promptType": "PRE_PROCESSING", "promptState": "ENABLED"},
        {"promptType": "ORCHESTRATION", "promptCreationMode": "DEFAULT"},
        {"promptType": "KNOWLEDGE_BASE_RESPONSE_GENERATION", "promptState": "DISABLED"},
    ]
    check("x", {**LED, "promptOverrideConfiguration": {"promptConfigurations": prompts}})
    check("x", {})
    assert executor_of(LED) == ARN
    assert executor_of({**LED, "orchestrationType": "DEFAULT"}) == ""


@given(st.text(st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp")), max_size=80))
def test_code_reads_what_was_fenced_for_a_model(text):
    fence = "xk3v9q2a"
    assert plain(spotlit(text, fence), fence) == text.replace(fence, LINE_MARK)
    assert plain(text, fence) == text


def told(story, length=10):
    story.begin("words", ())
    story.went("START", '{"text": "words"}', heard(says("INVOKE_MODEL", "x" * length)))
    story.end("answer")


def test_the_oldest_turns_are_left_out_and_a_turn_has_an_end():
    story = Story()
    for _ in range(4):
        told(story, SIZE_MAX // 2 - 100)
    assert len(story.turns) == 4
    assert len(story.kept()) == 2
    assert story.spent == ""
    told(story, SIZE_MAX // 2)
    story.went("TOOL_INVOKED", "x" * SIZE_MAX, heard(says("FINISH", "x")))
    assert "longer" in story.spent
    assert len(story.kept()) == 1
    rounds = Story()
    rounds.begin("words", ())
    for _ in range(50):
        rounds.went("OWN", "x", heard(says("OWN", "x")))
    assert "50 times" in rounds.spent


def test_what_was_said_before_is_told_in_steps():
    messages = [
        {"role": "user", "content": [{"text": "Where?"}]},
        {"role": "assistant", "content": [{"text": "In Bonn."}]},
        {"role": "user", "content": [{"text": "And when?"}]},
    ]
    (turn,) = told_of(messages)
    assert (turn["agentInput"], turn["agentOutput"]) == ("Where?", "In Bonn.")
    states = [one["orchestrationInput"]["state"] for one in turn["intermediarySteps"]]
    assert states == ["START", "MODEL_INVOKED"]
    story = Story()
    story.begin("And when?", messages[:-1])
    assert [one["agentInput"] for one in story.turns] == ["Where?", "And when?"]
    assert Turn(tools={}, fence="").messages == ()
