"""Tools, forms, documents and cache points by boto3, on real models: whatever the model is, what it
is made to call fits its schema."""

import json

import pytest
from botocore.exceptions import ClientError
from jsonschema import Draft202012Validator
from tests.sound_documents import workbook

SMOL = "bastide.smollm2-135m-instruct-v1:0"
QWEN = "bastide.qwen2-5-coder-0-5b-instruct-v1:0"
SCHEMA = {
    "type": "object",
    "properties": {
        "city": {"$ref": "#/$defs/city"},
        "days": {"type": "integer", "minimum": 1, "maximum": 9},
        "unit": {"anyOf": [{"enum": ["C", "F"]}, {"type": "null"}]},
    },
    "required": ["city", "days", "unit"],
    "additionalProperties": False,
    "$defs": {"city": {"enum": ["Lisbon", "Porto"]}},
}
FORECAST = {
    "toolSpec": {
        "name": "get_forecast",
        "description": "The weather of the next days in a city.",
        "inputSchema": {"json": SCHEMA},
    }
}
ASKED = [{"role": "user", "content": [{"text": "What is the weather in Porto in 3 days?"}]}]
CONFIG = {"maxTokens": 120, "temperature": 0.0}
FORCED = {"tools": [FORECAST], "toolChoice": {"tool": {"name": "get_forecast"}}}


@pytest.fixture(scope="module")
def runtime(trained_region):
    trained_region.cli("models", "pull", "qwen2.5-coder-0.5b")
    return trained_region.client("bedrock-runtime", read_timeout=300)


def ask(runtime, model=SMOL, messages=ASKED, **more):
    asked = {"modelId": model, "messages": messages, "inferenceConfig": CONFIG, **more}
    return runtime.converse(**asked)


@pytest.mark.parametrize("model", [SMOL, QWEN])
def test_a_forced_call_fits_its_schema_and_its_result_is_read(runtime, model):
    answer = ask(runtime, model, toolConfig=FORCED)
    assert answer["stopReason"] == "tool_use"
    message = answer["output"]["message"]
    (use,) = [block["toolUse"] for block in message["content"]]
    Draft202012Validator(SCHEMA).validate(use["input"])
    result = {"toolUseId": use["toolUseId"], "content": [{"json": {"sky": "clear"}}]}
    turns = [*ASKED, message, {"role": "user", "content": [{"toolResult": result}]}]
    config = {"maxTokens": 24, "temperature": 0.0}
    told = ask(runtime, model, turns, toolConfig={"tools": [FORECAST]}, inferenceConfig=config)
    assert told["stopReason"] in ("end_turn", "max_tokens", "tool_use")
    assert told["usage"]["inputTokens"] > answer["usage"]["inputTokens"]


def test_the_input_of_a_call_streams(runtime):
    stream = runtime.converse_stream(
        modelId=SMOL, messages=ASKED, inferenceConfig=CONFIG, toolConfig=FORCED
    )["stream"]
    events = list(stream)
    assert events[1]["contentBlockStart"]["start"]["toolUse"]["name"] == "get_forecast"
    parts = [
        event["contentBlockDelta"]["delta"]["toolUse"]["input"]
        for event in events
        if "contentBlockDelta" in event
    ]
    assert len(parts) > 2
    Draft202012Validator(SCHEMA).validate(json.loads("".join(parts)))
    assert events[-2]["messageStop"]["stopReason"] == "tool_use"


def test_an_answer_in_a_form(runtime):
    structure = {"jsonSchema": {"schema": json.dumps(SCHEMA), "name": "forecast"}}
    form = {"textFormat": {"type": "json_schema", "structure": structure}}
    answer = ask(runtime, outputConfig=form)
    assert answer["stopReason"] == "end_turn"
    Draft202012Validator(SCHEMA).validate(
        json.loads(answer["output"]["message"]["content"][0]["text"])
    )
    short = ask(runtime, outputConfig=form, inferenceConfig={"maxTokens": 3})
    assert short["stopReason"] == "max_tokens"


def test_a_cache_point_tells_of_the_callers_own_calls(runtime, trained_region):
    document = {
        "name": "rules",
        "format": "md",
        "source": {"bytes": b"# Rules\n" + b"Be kind. " * 40},
    }
    content = [
        {"document": document}, {"text": "Keep to these."},
        {"cachePoint": {"type": "default", "ttl": "5m"}}, {"text": "Say hello."},
    ]  # fmt: skip
    turns = [{"role": "user", "content": content}]
    short = {"inferenceConfig": {"maxTokens": 1}}
    other = trained_region.client("bedrock-runtime", "other-tools", read_timeout=300)
    first, again = (ask(runtime, messages=turns, **short)["usage"] for _ in range(2))
    strange = ask(other, messages=turns, **short)["usage"]
    assert first["cacheReadInputTokens"] == 0 < 100 < first["cacheWriteInputTokens"]
    assert again["cacheReadInputTokens"] == first["cacheWriteInputTokens"]
    assert strange["cacheReadInputTokens"] == 0
    for usage in (first, again, strange):
        counted = (usage["cacheReadInputTokens"], usage["cacheWriteInputTokens"])
        assert sum(counted) == first["cacheReadInputTokens"] + first["cacheWriteInputTokens"]
        assert usage["totalTokens"] == sum(counted) + usage["inputTokens"] + usage["outputTokens"]


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "object", "properties": {"a": {"$ref": "#"}}}, "leads to itself"),
        ({"type": "object", "properties": {"a": {"not": {}}}}, "properties.a .* it uses not"),
        ({"type": "string"}, "must be one of the following: object"),
        (
            {"type": "object", "properties": {"a": {"type": "string", "pattern": "a" * 10**6}}},
            "it has .* bytes",
        ),
    ],
)
def test_a_schema_that_no_grammar_can_hold(runtime, schema, why):
    tool = {"toolSpec": {"name": "t", "inputSchema": {"json": schema}}}
    for operation in (runtime.converse, runtime.converse_stream):
        with pytest.raises(runtime.exceptions.ValidationException, match=why):
            operation(modelId=SMOL, messages=ASKED, toolConfig={"tools": [tool]})


def test_a_pointer_to_nothing_is_ignored(runtime):
    config = {"maxTokens": 1}
    answer = ask(
        runtime, additionalModelResponseFieldPaths=["/none"], inferenceConfig=config
    )  # fmt: skip
    assert "additionalModelResponseFields" not in answer
    with pytest.raises(runtime.exceptions.ValidationException, match="JSON Pointer"):
        ask(runtime, additionalModelResponseFieldPaths=["none"])


def test_a_document_is_read_in_a_cage_and_one_that_cannot_be_read_is_refused(runtime):
    def told(kind, data):
        document = {"name": "report", "format": kind, "source": {"bytes": data}}
        content = [{"document": document}, {"text": "What does it say?"}]
        asked = {"converse": {"messages": [{"role": "user", "content": content}]}}
        return runtime.count_tokens(modelId=SMOL, input=asked)["inputTokens"]

    words = "The harbour is closed from Monday on. " * 20
    little = told("xlsx", workbook("no"))
    assert told("xlsx", workbook(words)) > little + 100
    assert told("html", f"<p>{words}</p><script>{words}</script>".encode()) < little + 300
    for kind, data in (("pdf", b"%PDF-1.7 broken"), ("docx", b"PK\x03\x04"), ("xlsx", b"")):
        with pytest.raises(runtime.exceptions.ValidationException):
            told(kind, data)
    with pytest.raises(ClientError, match="format=xls"):
        told("xls", b"x")
