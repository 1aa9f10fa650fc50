"""Amazon Nova's bodies: what they ask of Converse, what is refused, and the answers."""

import pytest

from bastide.inference.dialects import nova
from bastide.inference.dialects.dialect import About
from bastide.kernel.errors import ServiceError

ABOUT = About(operation="bedrock-runtime.InvokeModel", named="x", request_id="r", at_s=0)
TURN = {"role": "user", "content": [{"text": "hi"}]}
USE = {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Rome"}}}
RESULT = {"toolResult": {"toolUseId": "t1", "content": [{"json": {"sky": "blue"}}],
                         "status": "success"}}  # fmt: skip
SPEC = {"toolSpec": {"name": "weather", "description": "d", "inputSchema": {"json": {"a": 1}}}}


def read(**more):
    return nova.read({"messages": [TURN], **more}, ABOUT)


def test_all_that_can_be_asked():
    turns = [TURN, {"role": "assistant", "content": [USE]}, {"role": "user", "content": [RESULT]}]
    tools = {"tools": [SPEC], "toolChoice": {"tool": {"name": "weather"}}}
    config = {"maxTokens": 9, "temperature": 0.5, "topP": 0.9, "stopSequences": ["X"]}
    found = read(
        messages=turns, system=[{"text": "brief"}], toolConfig=tools, schemaVersion="messages-v1",
        inferenceConfig={**config, "topK": 5},
    )  # fmt: skip
    assert found.request == {
        "messages": turns, "system": [{"text": "brief"}], "toolConfig": tools,
        "inferenceConfig": config, "additionalModelRequestFields": {"top_k": 5},
    }  # fmt: skip


def test_the_names_of_the_first_documents():
    old = {"max_new_tokens": 9, "top_p": 0.5, "top_k": 3, "temperature": 0}
    assert read(inferenceConfig=old).request == {
        "messages": [TURN],
        "inferenceConfig": {"maxTokens": 9, "topP": 0.5, "temperature": 0},
        "additionalModelRequestFields": {"top_k": 3},
    }


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"max_tokens": 3}, "#: extraneous key [max_tokens] is not permitted"),
        ({"messages": []}, "#/messages: expected length >= 1, found: 0"),
        ({"messages": "hi"}, "#/messages: expected type: JSONArray, found: String"),
        ({"messages": [{"content": [{"text": "x"}]}]},
         "#/messages/0: required key [role] not found"),
        ({"messages": [{"role": "x", "content": [{"text": "hi"}]}]},
         "#/messages/0/role: the value is not a valid enum value"),
        ({"messages": [{"role": "user", "content": "hi"}]},
         "#/messages/0/content: expected type: JSONArray, found: String"),
        ({"messages": [{"role": "user", "content": [{}]}]},
         "#/messages/0/content/0: expected exactly one member, found: 0"),
        ({"messages": [{"role": "user", "content": [{"text": "a"} | USE]}]},
         "#/messages/0/content/0: expected exactly one member, found: 2"),
        ({"schemaVersion": "v9"}, "#/schemaVersion: the value is not a valid enum value"),
        ({"inferenceConfig": {"topK": 129}}, "#/inferenceConfig/topK: 129 is not less or equal"),
        ({"toolConfig": {"tools": []}}, "#/toolConfig/tools: expected length >= 1"),
        ({"toolConfig": {"tools": [SPEC], "toolChoice": {}}},
         "#/toolConfig/toolChoice: expected exactly one member"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_awss_words(more, said):
    with pytest.raises(ServiceError) as caught:
        read(**more)
    assert caught.value.code == "ValidationException"
    assert f"Malformed input request: {said}" in caught.value.message


@pytest.mark.parametrize("kind", ["image", "video", "audio", "document"])
def test_a_model_of_text_takes_no_media(kind):
    with pytest.raises(ServiceError, match=f"This model doesn't support the {kind} field"):
        read(messages=[{"role": "user", "content": [{kind: {"format": "png"}}]}])


def test_an_answer_and_the_events():
    message = {"role": "assistant", "content": [{"text": "well"}, USE]}
    usage = {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8, "cacheReadInputTokens": 2}
    shown = {
        "inputTokens": 5, "outputTokens": 3, "totalTokens": 8,
        "cacheReadInputTokenCount": 2, "cacheWriteInputTokenCount": 0,
    }  # fmt: skip
    said = {"output": {"message": message}, "stopReason": "tool_use", "usage": usage,
            "metrics": {"latencyMs": 1}}  # fmt: skip
    exchange = read()
    assert exchange.answer(said) == {
        "output": {"message": message}, "stopReason": "tool_use", "usage": shown,
    }  # fmt: skip
    start = {"contentBlockStart": {"contentBlockIndex": 0, "start": {"toolUse": {"name": "w"}}}}
    assert exchange.chunks(start) == [start]
    assert exchange.chunks({"messageStop": {"stopReason": "tool_use"}}) == [
        {"messageStop": {"stopReason": "tool_use"}}
    ]
    assert exchange.chunks({"metadata": {"usage": usage, "metrics": {}}}) == [
        {"metadata": {"usage": shown, "metrics": {}, "trace": {}}}
    ]
