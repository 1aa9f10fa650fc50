"""Anthropic's Messages: what a body asks of Converse, and how answer and events are said."""

import pytest

from bastide.inference.dialects import anthropic_messages
from bastide.inference.dialects.dialect import About
from bastide.kernel.errors import ServiceError

ABOUT = About(
    operation="bedrock-runtime.InvokeModel",
    named="anthropic.claude-3-haiku-20240307-v1:0",
    request_id="0a1b2c3d-0000-0000-0000-000000000001",
    at_s=0,
)
USER = {"role": "user", "content": "hi"}
LEAST = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": [USER]}
WEATHER = {
    "name": "weather", "description": "of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}  # fmt: skip
USAGE = {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}


def read(**more):
    return anthropic_messages.read({**LEAST, **more}, ABOUT)


def refused(**more):
    with pytest.raises(ServiceError) as caught:
        read(**more)
    return caught.value


def blocks(*content, role="user"):
    return [USER, {"role": "assistant", "content": "yes?"}, {"role": role, "content": [*content]}]


def test_the_least_that_can_be_asked():
    assert read().request == {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "inferenceConfig": {"maxTokens": 9},
    }


def test_all_that_can_be_asked():
    asked = read(
        system=[{"type": "text", "text": "brief", "cache_control": {"type": "ephemeral"}}],
        temperature=0.5, top_p=1, top_k=4, stop_sequences=["X"],
        tools=[WEATHER], tool_choice={"type": "tool", "name": "weather"},
        metadata={"user_id": "u"}, anthropic_beta=["some-beta"], thinking={"type": "disabled"},
        output_config={"format": {"type": "json_schema", "schema": {"type": "object"}}},
    )  # fmt: skip
    assert asked.request == {
        "messages": [{"role": "user", "content": [{"text": "hi"}]}],
        "system": [{"text": "brief"}, {"cachePoint": {"type": "default"}}],
        "inferenceConfig": {
            "maxTokens": 9, "temperature": 0.5, "topP": 1, "stopSequences": ["X"],
        },
        "additionalModelRequestFields": {"top_k": 4},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
        "toolConfig": {
            "tools": [{"toolSpec": {
                "name": "weather", "description": "of a city",
                "inputSchema": {"json": WEATHER["input_schema"]},
            }}],
            "toolChoice": {"tool": {"name": "weather"}},
        },
        "outputConfig": {"textFormat": {
            "type": "json_schema",
            "structure": {"jsonSchema": {"name": "answer", "schema": '{"type": "object"}'}},
        }},
    }  # fmt: skip


def test_turns_of_tools_and_their_results():
    use = {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": "sunny"}
    failed = {"type": "tool_result", "tool_use_id": "t2", "is_error": True,
              "content": [{"type": "text", "text": "no"}]}  # fmt: skip
    messages = [
        USER, {"role": "assistant", "content": [use]}, {"role": "user", "content": [result]},
        {"role": "user", "content": [failed, {"type": "text", "text": "go on"}]},
    ]  # fmt: skip
    turns = read(messages=messages, tools=[WEATHER]).request["messages"]
    called = {"toolUseId": "t1", "name": "weather", "input": {"city": "Rome"}}
    assert turns[1] == {"role": "assistant", "content": [{"toolUse": called}]}
    assert turns[2] == {
        "role": "user",
        "content": [
            {"toolResult": {"toolUseId": "t1", "content": [{"text": "sunny"}]}},
            {"toolResult": {"toolUseId": "t2", "content": [{"text": "no"}], "status": "error"}},
            {"text": "go on"},
        ],
    }


def test_cache_points():
    hour = {"type": "ephemeral", "ttl": "1h"}
    text = {"type": "text", "text": "hi", "cache_control": hour}
    found = read(messages=[{"role": "user", "content": [text]}],
                 tools=[{**WEATHER, "cache_control": {"type": "ephemeral"}}]).request  # fmt: skip
    assert found["messages"][0]["content"] == [
        {"text": "hi"}, {"cachePoint": {"type": "default", "ttl": "1h"}},
    ]  # fmt: skip
    assert found["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}


def test_a_choice_of_no_tool_offers_none():
    assert "toolConfig" not in read(tools=[WEATHER], tool_choice={"type": "none"}).request
    choice = read(tools=[WEATHER], tool_choice={"type": "any"}).request["toolConfig"]["toolChoice"]
    assert choice == {"any": {}}


IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"max_tokens": None}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": True}, "max_tokens: Input should be a valid integer"),
        ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
        ({"temperature": 1.5}, "temperature: Input should be less than or equal to 1"),
        ({"inferenceConfig": {}}, "inferenceConfig: Extra inputs are not permitted"),
        ({"stream": True}, "stream: Extra inputs are not permitted"),
        ({"model": "m"}, "model: Extra inputs are not permitted"),
        ({"anthropic_version": "x"}, "anthropic_version: Input should be 'bedrock-2023-05-31'"),
        ({"messages": []}, "messages: at least one message is required"),
        ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
        ({"messages": [USER, {"role": "robot", "content": "x"}]},
         "messages.1.role: Input should be one of the documented values"),
        ({"messages": [{"role": "user", "content": " \n"}]}, "non-whitespace"),
        ({"messages": [{"role": "user", "content": ""}]}, "non-empty"),
        ({"messages": [{"role": "user", "content": []}]}, "at least one content block"),
        ({"messages": blocks(IMAGE)}, "doesn't support the image field"),
        ({"messages": blocks({"type": "text"})}, "messages.2.content.0.text: Field required"),
        ({"thinking": {"type": "enabled", "budget_tokens": 2000}}, "support the thinking field"),
        ({"tool_choice": {"type": "auto"}}, "may only be specified while providing tools"),
        ({"tools": [WEATHER], "tool_choice": {"type": "tool"}}, "tool_choice.tool.name: Field"),
        ({"tools": [{"name": "a b", "input_schema": {}}]}, "tools.0.name: "),
        ({"stop_sequences": [" "]}, "non-whitespace"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_anthropics_words(more, said):
    error = refused(**more)
    assert error.code == "ValidationException"
    assert said in error.message


@pytest.mark.parametrize("missing", ["max_tokens", "messages", "anthropic_version"])
def test_what_is_missing_is_named(missing):
    with pytest.raises(ServiceError, match=f"{missing}: Field required"):
        anthropic_messages.read({k: v for k, v in LEAST.items() if k != missing}, ABOUT)


@pytest.mark.parametrize(
    ("more", "name"),
    [
        ({"container": "c"}, "container"),
        ({"mcp_servers": [{"url": "u"}]}, "mcp_servers"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(more, name):
    error = refused(**more)
    assert error.code == "UnsupportedOperation"
    assert name in error.message


def said(*content, stop="end_turn", **more):
    message = {"role": "assistant", "content": [*content]}
    return {"output": {"message": message}, "stopReason": stop, "usage": USAGE, **more}


def test_an_answer():
    use = {"toolUseId": "t1", "name": "weather", "input": {"city": "Rome"}}
    assert read().answer(said({"text": "well"}, {"toolUse": use}, stop="tool_use")) == {
        "id": "msg_bdrk_0a1b2c3d0000000000000000", "type": "message", "role": "assistant",
        "model": "claude-3-haiku-20240307",
        "content": [
            {"type": "text", "text": "well"},
            {"type": "tool_use", "id": "t1", "name": "weather", "input": {"city": "Rome"}},
        ],
        "stop_reason": "tool_use", "stop_sequence": None,
        "usage": {
            "input_tokens": 5, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
            "output_tokens": 3,
        },
    }  # fmt: skip
    stopped = said({"text": "1"}, stop="stop_sequence",
                   additionalModelResponseFields={"stop_sequence": "2"})  # fmt: skip
    assert read().answer(stopped)["stop_sequence"] == "2"


def test_a_stream_of_text_and_of_a_tool():
    exchange = read()
    exchange.prompt_tokens = 5
    start = {"toolUse": {"toolUseId": "t1", "name": "weather"}}
    events = [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "we"}}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "ll"}}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"contentBlockStart": {"contentBlockIndex": 1, "start": start}},
        {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a":1}'}}}},
        {"contentBlockStop": {"contentBlockIndex": 1}},
        {"messageStop": {"stopReason": "tool_use"}},
        {"metadata": {"usage": USAGE, "metrics": {"latencyMs": 1}}},
    ]
    chunks = [chunk for event in events for chunk in exchange.chunks(event)]
    assert [chunk["type"] for chunk in chunks] == [
        "message_start",
        "content_block_start", "content_block_delta", "content_block_delta", "content_block_stop",
        "content_block_start", "content_block_delta", "content_block_stop",
        "message_delta", "message_stop",
    ]  # fmt: skip
    assert chunks[0]["message"]["content"] == []
    assert chunks[0]["message"]["usage"] == {"input_tokens": 5, "output_tokens": 0}
    assert chunks[1]["content_block"] == {"type": "text", "text": ""}
    assert chunks[5]["content_block"] == {
        "type": "tool_use", "id": "t1", "name": "weather", "input": {},
    }  # fmt: skip
    assert chunks[6]["delta"] == {"type": "input_json_delta", "partial_json": '{"a":1}'}
    assert chunks[8]["delta"] == {"stop_reason": "tool_use", "stop_sequence": None}
    assert chunks[8]["usage"]["output_tokens"] == 3


def test_anthropics_own_endpoint_has_the_model_in_the_body():
    plain = {"model": "claude-x", "max_tokens": 3, "messages": [USER], "stream": True}
    assert anthropic_messages.read_direct(plain, ABOUT).request["inferenceConfig"] == {
        "maxTokens": 3
    }
    with pytest.raises(ServiceError, match="model: Field required"):
        anthropic_messages.read_direct({"max_tokens": 3, "messages": [USER]}, ABOUT)


def test_what_is_counted():
    counted = {"model": "m", "messages": [USER], "system": "brief", "tools": [WEATHER]}
    assert sorted(anthropic_messages.counted(counted, ABOUT)) == [
        "messages", "system", "toolConfig",
    ]  # fmt: skip
    with pytest.raises(ServiceError, match="max_tokens: Extra inputs are not permitted"):
        anthropic_messages.counted({**counted, "max_tokens": 3}, ABOUT)


@pytest.mark.parametrize("kind", ["auto", "any", "tool"])
def test_one_call_at_most(kind):
    choice = {"type": kind, **({"name": "weather"} if kind == "tool" else {})}
    alone = read(tools=[WEATHER], tool_choice={**choice, "disable_parallel_tool_use": True})
    assert list(alone.request["toolConfig"]["toolChoice"]) == [kind]
    fields = alone.request["additionalModelRequestFields"]
    assert fields == {"tool_choice": {"disable_parallel_tool_use": True}}
    many = read(tools=[WEATHER], tool_choice={**choice, "disable_parallel_tool_use": False})
    assert "additionalModelRequestFields" not in many.request


def test_the_assistants_turn_at_the_end_is_the_beginning_of_the_answer():
    asked = read(messages=[USER, {"role": "assistant", "content": "Well,"}])
    assert asked.request["messages"][-1] == {"role": "assistant", "content": [{"text": "Well,"}]}
