"""OpenAI's responses in Converse's words, and back."""

import json

import pytest

from bastide.inference.dialects import openai_outputs as outputs
from bastide.inference.dialects import openai_responses as responses
from bastide.inference.dialects.openai_chat import Named
from bastide.kernel.errors import ServiceError

OP = "bedrock-mantle.CreateResponse"
NAMED = Named(id="resp_1", created=7, model="m")
SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}
USAGE = {"inputTokens": 5, "outputTokens": 2, "totalTokens": 7}
USE = {"toolUseId": "c1", "name": "f", "input": {"a": "é"}}


def made(given="hi", **more):
    return responses.request_of(OP, {"model": "m", "input": given, **more})


def refusal(given="hi", **more):
    with pytest.raises(ServiceError) as caught:
        made(given, **more)
    return caught.value


def text(words):
    return [{"type": "input_text", "text": words}]


def test_a_text_is_a_turn_of_the_users():
    found = made("a", instructions="b", max_output_tokens=9, temperature=0.5, top_p=0.1)
    assert found == {
        "modelId": "m",
        "system": [{"text": "b"}],
        "messages": [{"role": "user", "content": [{"text": "a"}]}],
        "inferenceConfig": {"maxTokens": 9, "temperature": 0.5, "topP": 0.1},
    }


def test_items_become_turns_and_come_back_as_they_were_given_out():
    given = {"type": "output_text", "text": "c", "annotations": [], "logprobs": []}
    found = made(
        [
            {"role": "developer", "content": "a"},
            {"role": "user", "content": text("b")},
            {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
             "content": [given]},
            {"type": "function_call", "id": "fc_1", "status": "completed", "call_id": "c1",
             "name": "f", "arguments": '{"a": "é"}'},
            {"type": "function_call_output", "call_id": "c1", "output": "d"},
            {"type": "function_call_output", "call_id": "c2", "output": text("e")},
        ]
    )  # fmt: skip
    assert found["system"] == [{"text": "a"}]
    assert [turn["role"] for turn in found["messages"]] == ["user", "assistant", "user"]
    assert found["messages"][1]["content"] == [{"text": "c"}, {"toolUse": USE}]
    assert found["messages"][2]["content"] == [
        {"toolResult": {"toolUseId": "c1", "content": [{"text": "d"}]}},
        {"toolResult": {"toolUseId": "c2", "content": [{"text": "e"}]}},
    ]


def test_tools_and_the_form_of_the_answer():
    tool = {"type": "function", "name": "f", "parameters": SCHEMA, "strict": True}
    form = {"type": "json_schema", "name": "n", "schema": SCHEMA}
    found = made(tools=[tool], tool_choice={"type": "function", "name": "f"}, text={"format": form})
    spec = {"name": "f", "inputSchema": {"json": SCHEMA}}
    wanted = {"tools": [{"toolSpec": spec}], "toolChoice": {"tool": {"name": "f"}}}
    assert found["toolConfig"] == wanted
    definition = found["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert (definition["name"], json.loads(definition["schema"])) == ("n", SCHEMA)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ([{"type": "reasoning", "summary": []}], "input[0].type=reasoning"),
        ([{"type": "item_reference", "id": "x"}], "input[0].type=item_reference"),
        ([{"role": "user", "content": [{"type": "input_image"}]}], "type=input_image"),
        ([{"role": "assistant", "content": text("x")}], "type=input_text"),
        ([{"role": "critic", "content": "x"}], "role=critic"),
        ([{"role": "user", "content": "x", "name": "ann"}], "input[0].name"),
    ],
)
def test_what_converse_has_no_words_for_is_refused_by_name(given, named):
    error = refusal(given)
    assert error.code == "UnsupportedOperation"
    assert named in error.message


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"given": []}, "ValidationException"),
        ({"given": {"role": "user"}}, "ValidationException"),
        ({"given": ["text"]}, "ValidationException"),
        ({"given": [{"role": "user", "content": 1}]}, "ValidationException"),
        ({"given": [{"type": "function_call", "name": "f"}]}, "ValidationException"),
        ({"given": [{"type": "function_call_output", "output": "x"}]}, "ValidationException"),
        ({"truncation": "auto"}, "UnsupportedOperation"),
        ({"service_tier": "flex"}, "UnsupportedOperation"),
        ({"stream_options": {"include_obfuscation": True}}, "UnsupportedOperation"),
        ({"text": {"verbosity": "low"}}, "UnsupportedOperation"),
        ({"text": ["x"]}, "ValidationException"),
        ({"tools": [{"type": "web_search"}]}, "UnsupportedOperation"),
    ],
)
def test_what_cannot_be_is_refused(more, code):
    assert refusal(**more).code == code


def test_an_answer_becomes_a_response():
    content = [{"text": "a"}, {"toolUse": USE}]
    answer = {"output": {"message": {"content": content}}, "stopReason": "tool_use", "usage": USAGE}
    found = outputs.response(NAMED, {"temperature": 0.5, "metadata": {"k": "v"}}, answer)
    assert (found["id"], found["status"], found["store"]) == ("resp_1", "completed", False)
    assert (found["temperature"], found["metadata"], found["top_p"]) == (0.5, {"k": "v"}, None)
    message, call = found["output"]
    assert message["content"][0]["text"] == "a"
    assert (call["call_id"], call["name"], json.loads(call["arguments"])) == ("c1", "f", {"a": "é"})
    assert found["usage"]["total_tokens"] == 7


def test_an_answer_that_was_cut_is_incomplete():
    answer = {"output": {"message": {"content": []}}, "stopReason": "max_tokens", "usage": USAGE}
    found = outputs.response(NAMED, {}, answer)
    assert found["status"] == "incomplete"
    assert found["incomplete_details"] == {"reason": "max_output_tokens"}


EVENTS = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "a"}}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "b"}}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"contentBlockStart": {
        "contentBlockIndex": 1, "start": {"toolUse": {"toolUseId": "c1", "name": "f"}}}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '{"a": '}}}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"toolUse": {"input": '"é"}'}}}},
    {"contentBlockStop": {"contentBlockIndex": 1}},
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": {"usage": USAGE}},
]  # fmt: skip


def test_events_tell_how_a_response_comes_about():
    events = outputs.Events(NAMED, {})
    told = [each for event in EVENTS for each in events.of(event)]
    assert [each["sequence_number"] for each in told] == list(range(len(told)))
    assert [each["type"].removeprefix("response.") for each in told] == [
        "created", "in_progress",
        "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done",
        "output_item.added", "function_call_arguments.delta", "function_call_arguments.delta",
        "function_call_arguments.done", "output_item.done", "completed",
    ]  # fmt: skip


def test_the_response_at_the_end_is_that_of_an_answer_that_does_not_stream():
    events = outputs.Events(NAMED, {})
    *_, last = [each for event in EVENTS for each in events.of(event)]
    content = [{"text": "ab"}, {"toolUse": USE}]
    answer = {"output": {"message": {"content": content}}, "stopReason": "tool_use", "usage": USAGE}
    assert last["response"] == outputs.response(NAMED, {}, answer)


def test_each_event_says_of_which_item_it_is():
    events = outputs.Events(NAMED, {})
    told = [each for event in EVENTS for each in events.of(event)]
    whole = told[-1]["response"]["output"]
    for each in told:
        if "item_id" in each:
            assert each["item_id"] == whole[each["output_index"]]["id"]
    begun = [each["item"]["status"] for each in told if each["type"].endswith("item.added")]
    assert begun == ["in_progress", "in_progress"]


def test_one_call_at_most_and_it_is_said_back():
    asked = {"tools": [{"type": "function", "name": "f"}], "parallel_tool_calls": False}
    fields = made(**asked)["additionalModelRequestFields"]
    assert fields == {"tool_choice": {"disable_parallel_tool_use": True}}
    told = {"stopReason": "end_turn", "usage": USAGE, "output": {"message": {"content": []}}}
    assert outputs.response(NAMED, asked, told)["parallel_tool_calls"] is False
    assert outputs.response(NAMED, {}, told)["parallel_tool_calls"] is True
    assert "must end with a user" in refusal([{"role": "assistant", "content": "x"}]).message
