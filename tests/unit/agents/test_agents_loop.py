"""The loop whatever a model says: it ends within its bounds, and each call gets one result."""

import itertools
from dataclasses import replace

from hypothesis import given as with_
from hypothesis import strategies as st
from tests.agents_kit import function, text, use

from bastide.agents.asking import flat
from bastide.agents.loop import (
    Answered,
    Ask,
    Bounds,
    Fail,
    Given,
    Phase,
    Refuse,
    Resumed,
    Return,
    Said,
    Say,
    Turn,
    step,
)
from bastide.agents.tools import Does, tools_of

FUNCTIONS = [
    function("get_order", "order_id"),
    function("send_money", "to", amount="number"),
    function("cancel_order", "order_id", confirm=True),
]


def tools(*functions, user_input=False):
    asked = {"actionGroupState": "ENABLED", "functionSchema": {"functions": list(functions)}}
    parts = [{"kind": "action-group", "name": "orders", "asked": asked}]
    if user_input:
        ask = {"actionGroupState": "ENABLED", "parentActionGroupSignature": "AMAZON.UserInput"}
        parts.append({"kind": "action-group", "name": "user", "asked": ask})
    return tools_of({"agent": {}, "parts": parts})


def new(**more):
    return Turn(tools=tools(*FUNCTIONS, user_input=True), fence="FENCE", **more)


def answered(*content, tokens=10, seconds=0.5):
    return Answered(content, tokens, seconds)


BLOCKS = st.one_of(
    st.builds(text, st.sampled_from(["", "  ", "Done.", "I look."])),
    st.builds(
        use,
        st.sampled_from(["get_order", "send_money", "cancel_order", "ask_user", "nothing"]),
        use_id=st.sampled_from(["a", "b", "c", "d", "e", "f", "g"]),
        order_id=st.one_of(st.none(), st.integers(0, 2).map(str)),
        question=st.sampled_from(["Which?", 1]),
    ),
)
ANSWERS = st.lists(st.lists(BLOCKS, max_size=7), min_size=1, max_size=40)


def results_of(messages):
    """Which calls got which results, in order: the message after a call's has them all."""
    for before, after in itertools.pairwise(messages):
        uses = [one["toolUse"]["toolUseId"] for one in before["content"] if "toolUse" in one]
        got = [one["toolResult"]["toolUseId"] for one in after["content"] if "toolResult" in one]
        yield uses, got


@with_(ANSWERS, st.data())
def test_it_ends_within_its_bounds_and_every_call_gets_its_result(answers, data):
    bounds = Bounds(steps=5, calls=6, tokens=200, seconds=60.0)
    turn, effects = step(new(bounds=bounds), Said("Where is order 1?"))
    asked = 0
    while turn.phase is Phase.ASKING or turn.phase is Phase.RETURNED:
        if turn.phase is Phase.RETURNED:
            (control,) = [one for one in effects if isinstance(one, Return)]
            assert 1 <= len(control.calls) <= 5
            given = {
                use.id: Given("a result", confirmed=data.draw(st.sampled_from([None, True, False])))
                for use, _, _ in control.calls
                if data.draw(st.booleans())
            }
            turn, effects = step(turn, Resumed(given))
            continue
        assert isinstance(effects[-1], Ask)
        asked += 1
        content = answers[asked % len(answers)]
        turn, effects = step(turn, answered(*content, tokens=data.draw(st.integers(0, 90))))
    assert asked <= bounds.steps
    assert turn.phase in (Phase.DONE, Phase.ASKED)
    assert isinstance(effects[-1], Say | Fail)
    if turn.phase is Phase.ASKED:
        turn, _ = step(turn, Said("The first."))
    roles = [message["role"] for message in turn.messages]
    assert all(one != other for one, other in itertools.pairwise(roles))
    if not isinstance(effects[-1], Fail):
        for uses, got in results_of(turn.messages):
            assert uses == got


@with_(st.lists(st.sampled_from(["1", "2"]), min_size=12, max_size=12))
def test_a_model_that_never_stops_calling_is_stopped(ids):
    turn, effects = step(new(bounds=Bounds(steps=4)), Said("Where is order 1?"))
    asked = 0
    while turn.phase is not Phase.DONE:
        if turn.phase is Phase.RETURNED:
            turn, effects = step(turn, Resumed({}))
        else:
            asked += 1
            turn, effects = step(turn, answered(use("get_order", f"u{asked}", order_id=ids[asked])))
    assert asked <= 4
    assert isinstance(effects[-1], Fail)


def test_the_last_step_is_asked_without_functions():
    turn, effects = step(new(bounds=Bounds(steps=1)), Said("Hello"))
    assert effects == [Ask(final=True)]
    turn, effects = step(turn, answered(text("Hello.")))
    assert effects == [Say("Hello.")]


def test_when_the_model_only_repeats_itself_it_must_answer():
    turn, _ = step(new(), Said("Where is order 1?"))
    twice = [use("get_order", one, order_id="1") for one in "ab"]
    turn, effects = step(turn, answered(*twice))
    ((asked, _, _),) = effects[-1].calls
    assert asked.id == "a"
    turn, effects = step(turn, Resumed({"a": Given("Shipped.")}))
    before = turn.messages
    turn, effects = step(turn, answered(use("get_order", "c", order_id="1")))
    assert [type(one) for one in effects] == [Refuse, Ask]
    assert effects[-1].final
    assert turn.messages == before  # the repeated call is not said on


def test_without_functions_the_conversation_is_told_in_words():
    turn, _ = step(new(), Said("Where is order 1?"))
    turn, _ = step(turn, answered(text("I look."), use("get_order", "a", order_id="1")))
    turn, _ = step(turn, Resumed({"a": Given("Shipped.")}))
    (said,) = flat(turn.messages)
    assert said["role"] == "user"
    told = said["content"][0]["text"]
    assert told.startswith('Where is order 1?\n\nget_order({"order_id": "1"}) returned:')
    assert "¦ Shipped." in told
    assert flat([{"role": "user", "content": [text("a")]}]) == [
        {"role": "user", "content": [text("a")]}
    ]


def test_a_wrong_call_is_told_once():
    turn, _ = step(new(), Said("Where is order 1?"))
    for last in (False, True):
        turn, effects = step(turn, answered(use("get_order", f"u{last}", number=1)))
        assert "order_id" in effects[0].why
        assert effects[-1] == Ask(final=last)
    assert all("toolResult" in one for one in turn.messages[-1]["content"])


def test_what_the_user_is_asked_is_answered_by_the_next_text():
    turn, _ = step(new(), Said("Cancel my order"))
    turn, effects = step(turn, answered(use("ask_user", "q", question="Which one?")))
    assert effects == [Say("Which one?", asks=True)]
    turn, effects = step(turn, Said("Order 7"))
    (result,) = turn.messages[-1]["content"]
    assert result["toolResult"]["content"] == [{"text": "Order 7"}]
    assert turn.words == "Cancel my order\nOrder 7"
    assert not turn.tainted


def test_tokens_and_time_are_bounded():
    for bounds in (Bounds(tokens=10), Bounds(seconds=0.5)):
        turn, _ = step(new(bounds=bounds), Said("Hello"))
        turn, effects = step(turn, answered(use("nothing")))
        assert isinstance(effects[-1], Fail)


def test_functions_without_a_group_of_their_name_keep_their_own():
    assert tools(*FUNCTIONS).keys() == {"get_order", "send_money", "cancel_order"}
    assert tools(user_input=True)["ask_user"].does is Does.ASK_USER


def test_a_pattern_of_the_makers_is_matched_in_linear_time():
    """By backtracking this one takes longer than a life, and nobody else is served meanwhile."""
    slow = {"type": "string", "pattern": "^(?:(?:a|a)*c|a*)$"}
    schema = {"type": "object", "properties": {"order_id": slow}}
    tool = replace(tools(*FUNCTIONS)["get_order"], schema=schema)
    turn = Turn(tools={"get_order": tool}, fence="FENCE")
    turn, _ = step(turn, Said("Find it"))
    turn, (effect,) = step(turn, answered(use("get_order", order_id="a" * 60)))
    assert isinstance(effect, Return)
    turn, _ = step(turn, Said("Again"))
    _, effects = step(turn, answered(use("get_order", order_id="a" * 60 + "b")))
    assert isinstance(effects[0], Refuse)
    assert "order_id" in effects[0].why
