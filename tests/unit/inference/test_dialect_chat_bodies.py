"""Chat completions in InvokeModel: OpenAI's body for gpt-oss and Qwen, and Mistral's own."""

import pytest

from bastide.inference.dialects import chat_bodies
from bastide.inference.dialects.dialect import About
from bastide.kernel.errors import ServiceError

ABOUT = About(
    operation="bedrock-runtime.InvokeModel", named="openai.gpt-oss-20b-1:0", request_id="a-b",
    at_s=7,
)  # fmt: skip
HELLO = [{"role": "system", "content": "brief"}, {"role": "user", "content": "hi"}]
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}
USAGE = {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}
SPEC = {"toolSpec": {"name": "weather", "inputSchema": {"json": {"type": "object"}}}}
USE = {"toolUseId": "t1", "name": "weather", "input": {"a": 1}}
EVENTS = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "well"}}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"messageStop": {"stopReason": "max_tokens"}},
    {"metadata": {"usage": USAGE, "metrics": {"latencyMs": 1}}},
]


def said(*content, stop="end_turn"):
    message = {"role": "assistant", "content": [*content]}
    return {"output": {"message": message}, "stopReason": stop, "usage": USAGE}


def test_what_openais_body_asks():
    body = {
        "messages": HELLO, "model": "other", "stream": True, "n": 1, "max_completion_tokens": 9,
        "temperature": 1.5, "top_p": 0.5, "stop": "X", "seed": 4, "tools": [WEATHER],
        "tool_choice": "required", "user": None,
    }  # fmt: skip
    assert chat_bodies.read_openai(body, ABOUT).request == {
        "system": [{"text": "brief"}],
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {
            "maxTokens": 9, "temperature": 1.5, "topP": 0.5, "stopSequences": ["X"],
        },
        "additionalModelRequestFields": {"seed": 4},
        "toolConfig": {"tools": [SPEC], "toolChoice": {"any": {}}},
    }  # fmt: skip


def test_what_mistrals_body_asks():
    call = {"id": "t1", "function": {"name": "weather", "arguments": '{"a": 1}'}}
    messages = [
        *HELLO, {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": "sunny"},
    ]  # fmt: skip
    body = {"messages": messages, "tools": [WEATHER], "tool_choice": "any", "max_tokens": 9}
    found = chat_bodies.read_mistral(body, ABOUT).request
    assert found["messages"][1:] == [
        {"role": "assistant", "content": [{"toolUse": USE}]},
        {"role": "user",
         "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "sunny"}]}}]},
    ]  # fmt: skip
    assert found["toolConfig"]["toolChoice"] == {"any": {}}
    assert found["inferenceConfig"] == {"maxTokens": 9}


@pytest.mark.parametrize(
    ("reader", "more", "said"),
    [
        (chat_bodies.read_openai, {"messages": []}, "#/messages: expected length >= 1"),
        (chat_bodies.read_openai, {"temperature": 3}, "#/temperature: 3 is not less or equal to 2"),
        (chat_bodies.read_openai, {"n": 2}, "#/n: the value is not"),
        (chat_bodies.read_openai, {"logprobs": True}, "extraneous key [logprobs]"),
        (
            chat_bodies.read_mistral,
            {"temperature": 2},
            "#/temperature: 2 is not less or equal to 1",
        ),
        (chat_bodies.read_mistral, {"tool_choice": "required"}, "#/tool_choice: the value is not"),
        (chat_bodies.read_mistral, {"stop": ["x"]}, "extraneous key [stop]"),
        (chat_bodies.read_mistral, {"max_tokens": None}, "#/max_tokens: expected type: Integer"),
    ],
)
def test_what_is_wrong_is_said_in_awss_words(reader, more, said):
    with pytest.raises(ServiceError) as caught:
        reader({"messages": HELLO, **more}, ABOUT)
    assert caught.value.code == "ValidationException"
    assert said in caught.value.message


def test_openais_answers():
    exchange = chat_bodies.read_openai({"messages": HELLO}, ABOUT)
    found = exchange.answer(said({"toolUse": USE}, stop="tool_use"))
    assert (found["id"], found["created"], found["model"]) == ("chatcmpl-ab", 7, ABOUT.named)
    assert found["choices"][0]["finish_reason"] == "tool_calls"
    chunks = [chunk for event in EVENTS for chunk in exchange.chunks(event)]
    assert [chunk["choices"][0]["delta"].get("content") for chunk in chunks] == ["", "well", None]
    assert chunks[-1]["choices"][0]["finish_reason"] == "length"
    assert chunks[-1]["usage"]["completion_tokens"] == 3


def test_mistrals_answers():
    exchange = chat_bodies.read_mistral({"messages": HELLO}, ABOUT)
    (choice,) = exchange.answer(said({"text": "well"}))["choices"]
    assert choice == {
        "index": 0, "message": {"role": "assistant", "content": "well"}, "stop_reason": "stop",
    }  # fmt: skip
    chunks = [chunk for event in EVENTS for chunk in exchange.chunks(event)]
    assert [chunk["choices"][0]["message"].get("content") for chunk in chunks] == ["", "well", None]
    assert [chunk["choices"][0]["stop_reason"] for chunk in chunks] == [None, None, "length"]
