"""What Converse takes, as AWS validates it, and what the engine is asked."""

import pytest
from tests.inference_kit import turn

from bastide.inference.model import Endpoint
from bastide.inference.prompts import STOP_LETTERS_MAX, STOPS_MAX, messages_of, prompt_of
from bastide.inference.voice import body_of
from bastide.kernel.errors import ServiceError

OP = "bedrock-runtime.Converse"
HELLO = [turn()]


TOOL = {"toolSpec": {"name": "f", "inputSchema": {"json": {"type": "object"}}}}
FORM = {"type": "json_schema", "structure": {"jsonSchema": {"schema": '{"type": "object"}'}}}


def refused(code, match, **req):
    with pytest.raises(ServiceError, match=match) as caught:
        prompt_of(OP, {"messages": HELLO, **req}, 8192)
    assert caught.value.code == code


def test_turns_and_system():
    req = {
        "system": [{"text": "Be brief."}, {"text": "Be kind."}],
        "messages": [
            turn("a"), turn("b", "assistant"),
            {"role": "user", "content": [{"text": "c"}, {"text": "d"}]},
        ],
    }  # fmt: skip
    assert messages_of(OP, req) == [
        {"role": "system", "content": "Be brief.\nBe kind."},
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b"},
        {"role": "user", "content": "c\nd"},
    ]


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([], "must start with a user message"),
        ([turn("x", "assistant")], "must start with a user message"),
        ([turn(), turn()], "must alternate between user and assistant"),
        ([turn(), turn("x", "assistant"), turn("s", "system")], "must end with a user message"),
        ([turn("  \n")], "ContentBlock object at messages.0.content.0 is blank"),
        ([{"role": "user", "content": []}], "Message object at messages.0 is empty"),
    ],
)
def test_conversations_refused(messages, why):
    refused("ValidationException", why, messages=messages)


def test_what_is_not_there_yet_is_refused_by_name():
    image = {"role": "user", "content": [{"image": {"format": "png"}}]}
    refused("UnsupportedOperation", "image in", messages=[image])
    refused("UnsupportedOperation", "image in", system=[{"image": {"format": "png"}}])
    refused("UnsupportedOperation", "latency=optimized", performanceConfig={"latency": "optimized"})
    refused("UnsupportedOperation", "type=flex", serviceTier={"type": "flex"})
    refused("UnsupportedOperation", "Fields.thinking", additionalModelRequestFields={"thinking": 1})


@pytest.mark.parametrize("fields", ["x", [1], {"top_k": "a"}, {"top_k": True}, {"top_k": -1}])
def test_extra_fields_of_the_wrong_kind(fields):
    refused("ValidationException", "must be", additionalModelRequestFields=fields)


def test_novas_own_place_for_top_k():
    def asked(config):
        fields = {"inferenceConfig": config, "seed": 1}
        return {"messages": HELLO, "additionalModelRequestFields": fields}

    assert prompt_of(OP, asked({"topK": 20}), 0).options == {"top_k": 20, "seed": 1}
    refused("UnsupportedOperation", "Fields.inferenceConfig.topJ", **asked({"topJ": 2}))
    refused("ValidationException", "must be an object", **asked("x"))
    refused("ValidationException", "top_k must be a number", **asked({"topK": "x"}))


def test_limits():
    refused(
        "ValidationException",
        "exceeds the model limit of 8192",
        inferenceConfig={"maxTokens": 8193},
    )
    refused("ValidationException", "empty", inferenceConfig={"stopSequences": [""]})
    assert (
        prompt_of(OP, {"messages": HELLO, "inferenceConfig": {"maxTokens": 9}}, 0).tokens_max == 9
    )


@pytest.mark.parametrize(
    "stops", [["x"] * (STOPS_MAX + 1), ["x" * STOP_LETTERS_MAX, "y"], ["ab"] * STOPS_MAX * 10]
)
def test_what_an_engine_looks_for_at_every_token_is_bounded(stops):
    """Bodies of InvokeModel come here without the bounds of Converse's own model."""
    refused("ValidationException", "stop sequences", inferenceConfig={"stopSequences": stops})


def test_the_engine_is_asked():
    req = {
        "messages": HELLO,
        "inferenceConfig": {
            "maxTokens": 7, "temperature": 0.0, "topP": 0.5, "stopSequences": ["x"],
        },
        "additionalModelRequestFields": {"top_k": 5, "seed": 1},
        "performanceConfig": {"latency": "standard"},
        "serviceTier": {"type": "default"},
    }  # fmt: skip
    prompt = prompt_of(OP, req, 8192)
    remote = body_of(Endpoint(url="u", key="", model="m"), prompt.messages, prompt.options)
    assert remote == {
        "model": "m", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 7,
        "temperature": 0.0, "top_p": 0.5, "stop": ["x"], "top_k": 5, "seed": 1,
    }  # fmt: skip
    own = Endpoint(url="u", key="k", model="m", socket="/s", slot=2, warm=False)
    body = body_of(own, prompt.messages, prompt.options)
    assert (body["id_slot"], body["cache_prompt"], body["verbose"]) == (2, False, True)


def test_the_assistants_turn_at_the_end_is_the_beginning_of_the_answer():
    turns = [turn(), turn("Well", "assistant")]
    prompt = prompt_of(OP, {"messages": turns}, 8192)
    assert prompt.begun == "Well"
    assert prompt.messages[-1] == {"role": "assistant", "content": "Well"}
    assert prompt_of(OP, {"messages": HELLO}, 8192).begun == ""
    refused("ValidationException", "trailing white", messages=[turn(), turn("Well ", "assistant")])
    for name, value in {
        "toolConfig": {"tools": [TOOL]},
        "outputConfig": {"textFormat": FORM},
        "guardrailConfig": {"guardrailIdentifier": "g", "guardrailVersion": "1"},
    }.items():
        why = f"at the end with {name}"
        refused("UnsupportedOperation", why, messages=turns, **{name: value})


CALLED = [
    turn(),
    {"role": "assistant", "content": [{"toolUse": {"toolUseId": "1", "name": "f", "input": {}}}]},
    {"role": "user", "content": [{"toolResult": {"toolUseId": "1", "content": [{"text": "7"}]}}]},
]


def test_calls_of_before_need_tools_in_converse_alone():
    refused("ValidationException", "toolConfig field must be defined", messages=CALLED)
    for operation in ("bedrock-runtime.InvokeModel", "bedrock-mantle.CreateChatCompletion"):
        prompt = prompt_of(operation, {"messages": CALLED}, 8192)
        assert prompt.toolbox is None
        assert "<tool_response>\n7" in prompt.messages[-1]["content"]
        with pytest.raises(ServiceError, match="must end with a user"):
            prompt_of(operation, {"messages": CALLED[:2]}, 8192)


@pytest.mark.parametrize(
    ("own", "choice", "code", "why"),
    [
        ([], None, "ValidationException", "must be an object"),
        ({"disable_parallel_tool_use": 1}, None, "ValidationException", "a boolean"),
        ({"disable_parallel_tool_use": True}, None, "ValidationException", "type: Field required"),
        ({"type": "auto"}, {"auto": {}}, "ValidationException", "conflicts with"),
        ({"type": "any"}, None, "UnsupportedOperation", "tool_choice.type=any"),
        ({"type": "auto", "name": "f"}, None, "UnsupportedOperation", "tool_choice.name"),
    ],
)
def test_claudes_own_choice(own, choice, code, why):
    config = {"tools": [TOOL], **({"toolChoice": choice} if choice else {})}
    fields = {"tool_choice": own}
    refused(code, why, toolConfig=config, additionalModelRequestFields=fields)
    fields = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
    refused("ValidationException", "while providing tools", additionalModelRequestFields=fields)
