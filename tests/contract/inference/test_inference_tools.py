"""Tools on a scripted engine: what it is asked, and what the caller gets of its answers."""

import json

import pytest
from tests.inference_kit import (
    DONE,
    STUB,
    USAGE,
    StubEngine,
    call,
    chunk,
    completion,
    stub_room,
    turn,
)

from bastide.inference.turn import one_of
from bastide.kernel.errors import ServiceError

pytestmark = pytest.mark.asyncio


def spec(name, description="", **properties):
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    tool = {"name": name, "inputSchema": {"json": schema}}
    return {"toolSpec": {**tool, "description": description} if description else tool}


CITY = {"type": "string"}
WEATHER = spec("get_weather", "The weather. In a city.", city=CITY)
TIME = spec("get_time", city=CITY)


def req(*tools, choice=None, **more):
    config = {"tools": list(tools) or [WEATHER]}
    if choice is not None:
        config["toolChoice"] = choice
    return {"modelId": STUB, "messages": [turn("Weather in Lisbon?")], "toolConfig": config, **more}


def schemas(stub):
    return [
        seen["response_format"]["json_schema"]["schema"] if "response_format" in seen else None
        for seen in stub.seen
    ]


def answers(*texts, **more):
    """One request after the other."""
    return [[completion(text, **more)] for text in texts]


async def test_a_choice_is_billed_though_the_stream_behind_it_does_not_begin(tmp_path):
    script = [*answers('"yes"'), [b"{}"]]
    async with StubEngine(script=script) as stub, stub_room(tmp_path, stub) as talk:
        stub.fails_from = 1
        asked = call("bedrock-runtime.ConverseStream")
        with pytest.raises(ServiceError):
            await talk.converse_stream(asked, req(WEATHER))
    assert len(stub.seen) == 2
    assert asked.notes.audit["input_tokens"] == "5"
    assert asked.notes.inference.output_tokens == 3


@pytest.mark.parametrize("strict", [{}, {"strict": True}])
async def test_the_choice_then_the_arguments(tmp_path, strict):
    """Arguments are held to the schema, whatever `strict` says."""
    script = answers('"yes"', '{"city": "Lisbon"}', '"yes"')
    tool = {"toolSpec": {**WEATHER["toolSpec"], **strict}}
    async with StubEngine(script=script) as stub, stub_room(tmp_path, stub) as talk:
        answer = await talk.converse(call(), req(tool))
    assert answer["stopReason"] == "tool_use"
    ((use,),) = [[block["toolUse"] for block in answer["output"]["message"]["content"]]]
    assert use["name"] == "get_weather"
    assert use["input"] == {"city": "Lisbon"}
    assert use["toolUseId"].startswith("tooluse_")
    assert schemas(stub) == [
        {"enum": ["no", "yes"]},
        {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
            "additionalProperties": False,
        },
        {"enum": ["yes", "no"]},
    ]
    first, second, third = (seen["messages"] for seen in stub.seen)
    assert first[0]["role"] == "system"
    assert '"name": "get_weather"' in first[0]["content"]
    assert "get_weather (The weather)" in first[1]["content"]
    assert first[0] == second[0] == third[0], "what the engine remembers is of use"
    assert 'get_weather {"city": "Lisbon"}' in third[1]["content"]
    assert answer["usage"] == {"inputTokens": 5, "outputTokens": 9, "totalTokens": 14}


async def test_a_reply_in_words_is_free(tmp_path):
    script = answers('"no"', "It rains.")
    more = {"inferenceConfig": {"stopSequences": ["END"], "temperature": 0.5}}
    async with StubEngine(script=script) as stub, stub_room(tmp_path, stub) as talk:
        answer = await talk.converse(call(), req(**more))
    assert answer["stopReason"] == "end_turn"
    assert answer["output"]["message"]["content"] == [{"text": "It rains."}]
    assert "response_format" not in stub.seen[1]
    assert ("stop" in stub.seen[0], stub.seen[1]["stop"]) == (False, ["END"])
    assert (stub.seen[0]["temperature"], stub.seen[1]["temperature"]) == (0.0, 0.5)


async def test_several_calls_of_several_tools(tmp_path):
    lisbon, porto = '{"city": "Lisbon"}', '{"city": "Porto"}'
    script = answers('"yes"', "1", lisbon, '"no"', "2", porto, '"yes"')
    async with StubEngine(script=script) as stub, stub_room(tmp_path, stub) as talk:
        answer = await talk.converse(call(), req(WEATHER, TIME))
    uses = [block["toolUse"] for block in answer["output"]["message"]["content"]]
    assert [(use["name"], use["input"]["city"]) for use in uses] == [
        ("get_weather", "Lisbon"),
        ("get_time", "Porto"),
    ]
    assert len({use["toolUseId"] for use in uses}) == 2
    assert schemas(stub)[1] == {"enum": [1, 2]}


@pytest.mark.parametrize(
    ("own", "choice", "script"),
    [
        ({"type": "auto", "disable_parallel_tool_use": True}, None, ['"yes"', "2"]),
        ({"disable_parallel_tool_use": True}, {"auto": {}}, ['"yes"', "2"]),
        ({"disable_parallel_tool_use": True}, {"any": {}}, ["2"]),
    ],
)
async def test_one_call_where_no_more_are_wanted(tmp_path, own, choice, script):
    """A second one is not even asked for."""
    script = answers(*script, '{"city": "Lisbon"}')
    more = {"additionalModelRequestFields": {"tool_choice": own}}
    async with StubEngine(script=script) as stub, stub_room(tmp_path, stub) as talk:
        answer = await talk.converse(call(), req(WEATHER, TIME, choice=choice, **more))
    ((use,),) = [[block["toolUse"] for block in answer["output"]["message"]["content"]]]
    assert (use["name"], answer["stopReason"]) == ("get_time", "tool_use")
    assert len(stub.seen) == len(script)


async def test_several_calls_where_they_may_be(tmp_path):
    lisbon, porto = '{"city": "Lisbon"}', '{"city": "Porto"}'
    own = {"type": "auto", "disable_parallel_tool_use": False}
    script = answers('"yes"', lisbon, '"no"', porto, '"yes"')
    async with StubEngine(script=script) as stub, stub_room(tmp_path, stub) as talk:
        more = {"additionalModelRequestFields": {"tool_choice": own}}
        answer = await talk.converse(call(), req(**more))
    assert len(answer["output"]["message"]["content"]) == 2


async def test_who_repeats_itself_has_ended(tmp_path):
    same = '{"city": "Lisbon"}'
    script = answers('"yes"', same, '"no"', same)
    async with StubEngine(script=script) as stub, stub_room(tmp_path, stub) as talk:
        answer = await talk.converse(call(), req())
    assert len(answer["output"]["message"]["content"]) == 2
    assert answer["stopReason"] == "tool_use"
    assert len(stub.seen) == 4, "it is not asked again"


@pytest.mark.parametrize(
    ("choice", "script", "asked"),
    [
        ({"tool": {"name": "get_time"}}, ['{"city": "Lisbon"}'], 1),
        ({"any": {}}, ["2", '{"city": "Lisbon"}', '"yes"'], 3),
    ],
)
async def test_a_call_that_has_to_be(tmp_path, choice, script, asked):
    async with StubEngine(script=answers(*script)) as stub, stub_room(tmp_path, stub) as talk:
        answer = await talk.converse(call(), req(WEATHER, TIME, choice=choice))
    assert answer["output"]["message"]["content"][0]["toolUse"]["name"] == "get_time"
    assert len(stub.seen) == asked


def streamed(*texts, finish="stop"):
    return [*map(chunk, texts), chunk(finish=finish, usage=USAGE), DONE]


async def events(talk, asked):
    answer = await talk.converse_stream(call("bedrock-runtime.ConverseStream"), asked)
    return [event async for event in answer["stream"]]


async def test_streamed_input_as_it_is_written(tmp_path):
    script = [
        [completion('"yes"')], streamed('{"city":', ' "Lisbon"}'),
        [completion('"no"')], streamed('{"city": "Porto"}'), [completion('"yes"')],
    ]  # fmt: skip
    async with StubEngine(script=script) as stub, stub_room(tmp_path, stub) as talk:
        found = await events(talk, req())
    starts = [e["contentBlockStart"] for e in found if "contentBlockStart" in e]
    assert [start["contentBlockIndex"] for start in starts] == [0, 1]
    assert found[:6] == [
        {"messageStart": {"role": "assistant"}},
        {"contentBlockStart": {"start": starts[0]["start"], "contentBlockIndex": 0}},
        {
            "contentBlockDelta": {
                "delta": {"toolUse": {"input": '{"city":'}},
                "contentBlockIndex": 0,
            }
        },
        {
            "contentBlockDelta": {
                "delta": {"toolUse": {"input": ' "Lisbon"}'}},
                "contentBlockIndex": 0,
            }
        },
        {"contentBlockStop": {"contentBlockIndex": 0}},
        {"contentBlockStart": {"start": starts[1]["start"], "contentBlockIndex": 1}},
    ]
    assert found[-2] == {"messageStop": {"stopReason": "tool_use"}}
    assert found[-1]["metadata"]["usage"]["outputTokens"] == 15


async def test_a_reply_streams(tmp_path):
    script = [[completion('"no"')], streamed("It ", "rains.")]
    async with StubEngine(script=script) as stub, stub_room(tmp_path, stub) as talk:
        found = await events(talk, req())
    assert [next(iter(event)) for event in found] == [
        "messageStart", "contentBlockDelta", "contentBlockDelta", "contentBlockStop",
        "messageStop", "metadata",
    ]  # fmt: skip


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize(
    ("text", "finish", "config", "reason"),
    [
        ('{"city": "Lis', "length", {"maxTokens": 3}, "max_tokens"),
        ('{"city": 5}', "stop", {}, "malformed_tool_use"),
        ("no json", "stop", {}, "malformed_tool_use"),
        ("[" * 100_000, "stop", {}, "malformed_tool_use"),
    ],
)
async def test_a_call_that_is_none(tmp_path, text, finish, config, reason, streams):
    script = [streamed(text, finish=finish) if streams else [completion(text, finish)]]
    asked = req(choice={"tool": {"name": "get_weather"}}, inferenceConfig=config)
    async with StubEngine(script=script) as stub, stub_room(tmp_path, stub) as talk:
        if streams:
            found = await events(talk, asked)
            assert found[-2] == {"messageStop": {"stopReason": reason}}
        else:
            answer = await talk.converse(call(), asked)
            assert (answer["stopReason"], answer["output"]["message"]["content"]) == (reason, [])


@pytest.mark.parametrize(
    ("said", "reason"), [("maybe", "malformed_tool_use"), ("5", "malformed_tool_use")]
)
async def test_a_choice_that_is_none(tmp_path, said, reason):
    async with StubEngine(script=answers(said)) as stub, stub_room(tmp_path, stub) as talk:
        answer = await talk.converse(call(), req())
    assert (answer["stopReason"], answer["output"]["message"]["content"]) == (reason, [])


async def test_no_more_than_was_asked_for(tmp_path):
    """The choice is written by the model, too: what it took is not there for the call."""
    script = answers('"yes"', '{"city": "Lisbon"}')
    async with StubEngine(script=script) as stub, stub_room(tmp_path, stub) as talk:
        asked = req(inferenceConfig={"maxTokens": 10})
        answer = await talk.converse(call(), asked)
        assert [seen["max_tokens"] for seen in stub.seen] == [8, 7]
        assert answer["usage"]["outputTokens"] == 6


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def in_form(schema):
    structure = {"jsonSchema": {"schema": json.dumps(schema)}}
    return {"outputConfig": {"textFormat": {"type": "json_schema", "structure": structure}}}


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ('{"n": 5}', "stop", "end_turn"),
        ('{"n": ', "length", "max_tokens"),
        ('{"n": "x"}', "stop", "malformed_model_output"),
    ],
)
async def test_an_answer_in_a_form(tmp_path, text, finish, reason):
    asked = {"modelId": STUB, "messages": [turn()], **in_form(SCHEMA)}
    asked["inferenceConfig"] = {"maxTokens": 3}
    async with (
        StubEngine(script=answers(text, finish=finish)) as stub,
        stub_room(tmp_path, stub) as talk,
    ):
        answer = await talk.converse(call(), asked)
    assert answer["stopReason"] == reason
    assert schemas(stub) == [{**SCHEMA, "additionalProperties": False}]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (in_form({"$ref": "#"}), "schema cannot be held by the model's grammar: .*leads to itself"),
        (in_form([]), "must be a JSON schema"),
        (
            {"toolConfig": {"tools": [{"toolSpec": {"name": "t", "inputSchema": {"json": {}}}}]}},
            "must be one of the following: object",
        ),
        ({"toolConfig": {"tools": [WEATHER, WEATHER]}}, "duplicate tool names: get_weather"),
        ({"toolConfig": {"tools": [WEATHER], "toolChoice": {"tool": {"name": "x"}}}}, "tool x"),
    ],
)
async def test_what_cannot_be_asked_of_the_engine_is_not(tmp_path, more, why):
    asked = {"modelId": STUB, "messages": [turn()], **more}
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        with pytest.raises(ServiceError, match=why) as caught:
            await talk.converse(call(), asked)
    assert caught.value.code == "ValidationException"
    assert not stub.seen


async def test_the_tokens_of_tools_are_counted(tmp_path):
    async with StubEngine() as stub, stub_room(tmp_path, stub) as talk:
        asked = req()
        await talk.count_tokens(call(), {"modelId": STUB, "input": {"converse": asked}})
        await talk.converse(call(), asked)
    assert stub.seen[0]["messages"] == stub.seen[1]["messages"]


async def test_a_choice_is_a_bare_word_where_the_engine_is_ours():
    assert one_of(("no", "yes"), local=True) == {"grammar": 'root ::= "no" | "yes"'}
    assert one_of([1, 2], local=True) == {"grammar": 'root ::= "1" | "2"'}
    asked = one_of([1, 2], local=False)["response_format"]["json_schema"]
    assert asked["schema"] == {"enum": [1, 2]}
