"""OpenAI's chat completions in Converse's words, and back."""

import json

import pytest

from bastide.inference.dialects import openai_chat as chat
from bastide.kernel.errors import ServiceError

OP = "bedrock-mantle.CreateChatCompletion"
NAMED = chat.Named(id="chatcmpl-1", created=7, model="m")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
FUNCTION = {"type": "function", "function": {"name": "f", "description": "d", "parameters": SCHEMA}}
USE = {"toolUseId": "c1", "name": "f", "input": {"a": "é"}}
CALL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": "é"}'}}
USAGE = {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}


def user(content="hi", **more):
    return {"role": "user", "content": content, **more}


def made(*messages, **more):
    return chat.request_of(OP, {"model": "m", "messages": list(messages or [user()]), **more})


def refusal(*messages, **more):
    with pytest.raises(ServiceError) as caught:
        made(*messages, **more)
    return caught.value


def test_a_request_becomes_converses():
    found = made(
        {"role": "system", "content": "one"},
        {"role": "developer", "content": [{"type": "text", "text": "two"}]},
        user("a"),
        user([{"type": "text", "text": "b"}, {"type": "text", "text": "c"}]),
        temperature=1.5, top_p=0.5, max_tokens=9, stop="x", seed=3, presence_penalty=1,
    )  # fmt: skip
    assert found == {
        "modelId": "m",
        "system": [{"text": "one"}, {"text": "two"}],
        "messages": [{"role": "user", "content": [{"text": "a"}, {"text": "b"}, {"text": "c"}]}],
        "inferenceConfig": {
            "temperature": 1.5, "topP": 0.5, "maxTokens": 9, "stopSequences": ["x"]
        },
        "additionalModelRequestFields": {"seed": 3, "presence_penalty": 1},
    }  # fmt: skip


def test_tool_calls_and_their_results_are_blocks():
    found = made(
        user(),
        {"role": "assistant", "content": "", "tool_calls": [CALL, {**CALL, "id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
        user("go on"),
    )["messages"]
    assert [turn["role"] for turn in found] == ["user", "assistant", "user"]
    assert found[1]["content"] == [{"toolUse": USE}, {"toolUse": {**USE, "toolUseId": "c2"}}]
    assert found[2]["content"] == [
        {"toolResult": {"toolUseId": "c1", "content": [{"text": "one"}]}},
        {"toolResult": {"toolUseId": "c2", "content": [{"text": "two"}]}},
        {"text": "go on"},
    ]


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "f"}}, {"tool": {"name": "f"}}),
    ],
)
def test_tools_become_a_tool_config(choice, wanted):
    spec = {"name": "f", "description": "d", "inputSchema": {"json": SCHEMA}}
    found = made(tools=[FUNCTION], tool_choice=choice)
    assert found["toolConfig"] == {"tools": [{"toolSpec": spec}], "toolChoice": wanted}
    assert "toolConfig" not in made(tools=[FUNCTION], tool_choice="none")


def test_a_form_of_answer_becomes_an_output_config():
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}}
    text_format = made(response_format=form)["outputConfig"]["textFormat"]
    assert text_format["type"] == "json_schema"
    definition = text_format["structure"]["jsonSchema"]
    assert (definition["name"], json.loads(definition["schema"])) == ("n", SCHEMA)
    any_object = made(response_format={"type": "json_object"})["outputConfig"]["textFormat"]
    assert json.loads(any_object["structure"]["jsonSchema"]["schema"]) == {"type": "object"}
    assert "outputConfig" not in made(response_format={"type": "text"})


@pytest.mark.parametrize(
    ("message", "named"),
    [
        (user(name="ann"), "messages[0].name"),
        (user([{"type": "image_url", "image_url": {"url": "x"}}]), "type=image_url"),
        ({"role": "function", "content": "x"}, "messages[0].role=function"),
        ({"role": "assistant", "content": "x", "audio": {"id": "a"}}, "messages[0].audio"),
        ({"role": "assistant", "refusal": "no"}, "messages[0].refusal"),
        ("text", "messages[0].role=None"),
    ],
)
def test_what_converse_has_no_words_for_is_refused_by_name(message, named):
    error = refusal(message)
    assert error.code == "UnsupportedOperation"
    assert named in error.message


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"tools": [{"type": "custom", "custom": {}}]}, "UnsupportedOperation"),
        ({"tools": [FUNCTION], "tool_choice": {"type": "allowed_tools"}}, "UnsupportedOperation"),
        ({"tool_choice": "required"}, "ValidationException"),
        ({"tools": [{"type": "function"}]}, "ValidationException"),
        ({"response_format": {"type": "xml"}}, "UnsupportedOperation"),
        ({"response_format": {"type": "json_schema"}}, "ValidationException"),
        ({"service_tier": "flex"}, "UnsupportedOperation"),
        ({"modalities": ["audio"]}, "UnsupportedOperation"),
        ({"stream_options": {"include_usage": True}}, "ValidationException"),
        ({"stream": True, "stream_options": {"other": True}}, "UnsupportedOperation"),
        ({"stream": True, "stream_options": [1]}, "ValidationException"),
        ({"stop": ["a"] * 5}, "ValidationException"),
        ({"stop": [1]}, "ValidationException"),
        ({"max_tokens": 1, "max_completion_tokens": 2}, "ValidationException"),
    ],
)
def test_what_cannot_be_is_refused(more, code):
    assert refusal(**more).code == code


@pytest.mark.parametrize("role", ["system", "developer"])
def test_an_instruction_after_the_first_turn_stays_where_it_is(role):
    found = made(user(), {"role": role, "content": "x"}, user())["messages"]
    assert [one["role"] for one in found] == ["user", "system", "user"]
    assert found[1]["content"] == [{"text": "x"}]


def test_arguments_that_are_not_json_are_refused():
    call = {**CALL, "function": {"name": "f", "arguments": "{"}}
    error = refusal(user(), {"role": "assistant", "tool_calls": [call]})
    assert "messages[1].tool_calls[0]" in error.message


def test_an_answer_becomes_a_completion():
    content = [{"text": "a"}, {"toolUse": USE}]
    answer = {
        "output": {"message": {"role": "assistant", "content": content}},
        "stopReason": "tool_use", "usage": USAGE,
    }  # fmt: skip
    found = chat.completion(NAMED, answer)
    assert (found["id"], found["created"], found["model"]) == ("chatcmpl-1", 7, "m")
    (choice,) = found["choices"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] == "a"
    assert choice["message"]["tool_calls"] == [CALL]
    assert found["usage"] == {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def test_an_empty_answer_is_an_empty_text_and_calls_alone_are_none():
    empty = {"output": {"message": {"content": []}}, "stopReason": "end_turn", "usage": USAGE}
    assert chat.completion(NAMED, empty)["choices"][0]["message"]["content"] == ""
    calls = {**empty, "output": {"message": {"content": [{"toolUse": USE}]}}}
    assert chat.completion(NAMED, calls)["choices"][0]["message"]["content"] is None


def told(*events, with_usage=False):
    chunks = chat.Chunks(NAMED, with_usage)
    return [chunk for event in events for chunk in chunks.of(event)]


def test_events_become_chunks():
    start = {"toolUse": {"toolUseId": "c1", "name": "f"}}
    found = told(
        {"messageStart": {"role": "assistant"}},
        {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}},
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"contentBlockStart": {"contentBlockIndex": 1, "start": start}},
        {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": "{}"}}}},
        {"contentBlockStop": {"contentBlockIndex": 1}},
        {"messageStop": {"stopReason": "tool_use"}},
        {"metadata": {"usage": USAGE}},
    )
    deltas = [chunk["choices"][0]["delta"] for chunk in found[:-1]]
    function = {"name": "f", "arguments": ""}
    assert deltas == [
        {"role": "assistant", "content": "", "refusal": None},
        {"content": "a"},
        {"tool_calls": [{"index": 0, "id": "c1", "type": "function", "function": function}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": "{}"}}]},
        {},
    ]
    assert [chunk["choices"][0]["finish_reason"] for chunk in found[-2:-1]] == ["tool_calls"]
    assert found[-1] == "[DONE]"
    assert all("usage" not in chunk for chunk in found[:-1])


def test_usage_comes_in_a_chunk_of_its_own_where_it_is_asked_for():
    *_, stop, usage, done = told(
        {"messageStop": {"stopReason": "max_tokens"}}, {"metadata": {"usage": USAGE}},
        with_usage=True,
    )  # fmt: skip
    assert stop["choices"][0]["finish_reason"] == "length"
    assert stop["usage"] is None
    assert usage["choices"] == []
    assert usage["usage"]["total_tokens"] == 7
    assert done == "[DONE]"


def test_an_answer_in_no_form_is_the_models_failure():
    with pytest.raises(ServiceError, match="ModelErrorException"):
        chat.finish_of("malformed_tool_use")


def test_one_call_at_most():
    alone = made(tools=[FUNCTION], parallel_tool_calls=False, seed=3)
    fields = alone["additionalModelRequestFields"]
    assert fields == {"seed": 3, "tool_choice": {"disable_parallel_tool_use": True}}
    for more in (
        {"tools": [FUNCTION], "parallel_tool_calls": True},
        {"tools": [FUNCTION], "parallel_tool_calls": False, "tool_choice": "none"},
        {"parallel_tool_calls": False},
    ):
        assert "additionalModelRequestFields" not in made(**more)


def test_no_answer_is_continued():
    assert "must end with a user" in refusal(user(), {"role": "assistant", "content": "x"}).message
