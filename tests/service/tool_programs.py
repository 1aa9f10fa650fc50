"""What clients of other makers do with tools and with answers under a schema: a program for each.

As in `other_clients.py`, its argument is the model. It prints one JSON object.
"""

BOTO3 = """
import json, sys
import boto3

days = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
spec = {"name": "forecast", "description": "The weather of the next days.",
        "inputSchema": {"json": days}}
tools = {"tools": [{"toolSpec": spec}]}
asked = [{"role": "user", "content": [{"text": "What will the weather be?"}]}]
client = boto3.client("bedrock-runtime")

def said(**more):
    return client.converse(modelId=sys.argv[1], inferenceConfig={"maxTokens": 128}, **more)

def call_of(answer):
    (use,) = [one["toolUse"] for one in answer["output"]["message"]["content"]]
    return [use["name"], use["input"]]

forced = {**tools, "toolChoice": {"tool": {"name": "forecast"}}}
first = said(messages=asked, toolConfig=forced)
use = first["output"]["message"]["content"][0]["toolUse"]
events = client.converse_stream(
    modelId=sys.argv[1], messages=asked, toolConfig=forced, inferenceConfig={"maxTokens": 128}
)["stream"]
pieces = [
    each["contentBlockDelta"]["delta"]["toolUse"]["input"]
    for each in events if "contentBlockDelta" in each
]
alone = {"tool_choice": {"type": "auto", "disable_parallel_tool_use": True}}
result = {"toolUseId": use["toolUseId"], "content": [{"text": "fair"}]}
turns = [
    *asked, first["output"]["message"], {"role": "user", "content": [{"toolResult": result}]}
]
schema = {
    "type": "object", "additionalProperties": False, "required": ["colour", "clouds"],
    "properties": {"colour": {"enum": ["blue", "grey"]}, "clouds": {"type": "integer"}},
}
form = {"type": "json_schema", "structure": {"jsonSchema": {"schema": json.dumps(schema)}}}
held = said(messages=asked, outputConfig={"textFormat": form})
try:
    said(messages=turns)
except client.exceptions.ValidationException as error:
    refused = "toolConfig field must be defined" in str(error)
print(json.dumps({
    "call": call_of(first), "streamed": ["forecast", json.loads("".join(pieces))],
    "alone": call_of(said(messages=asked, toolConfig=tools, additionalModelRequestFields=alone)),
    "stop": first["stopReason"], "usage": first["usage"]["totalTokens"] > 0,
    "text": said(messages=turns, toolConfig=tools)["output"]["message"]["content"][0]["text"],
    "structured": json.loads(held["output"]["message"]["content"][0]["text"]),
    "refused": refused,
}))
"""
LANGCHAIN = """
import json, sys
from typing import Literal
from langchain_aws import ChatBedrockConverse
from langchain_core.tools import tool
from pydantic import BaseModel

class Sky(BaseModel):
    "What the sky is like."
    colour: Literal["blue", "grey"]
    clouds: int

@tool
def forecast(days: int) -> str:
    "The weather of the next days."
    return "fair"

chat = ChatBedrockConverse(model=sys.argv[1], max_tokens=128, temperature=0.0)
asked = "What is the sky like?"
forced = chat.bind_tools([forecast], tool_choice="forecast")
streamed = None
for chunk in forced.stream(asked):
    streamed = chunk if streamed is None else streamed + chunk
called = forced.invoke(asked)
print(json.dumps({
    "structured": chat.with_structured_output(Sky).invoke(asked).model_dump(),
    "call": [called.tool_calls[0][each] for each in ("name", "args")],
    "streamed": [streamed.tool_calls[0][each] for each in ("name", "args")],
    "usage": called.usage_metadata["total_tokens"] > 0,
}))
"""
PYDANTIC_AI = """
import json, sys
from typing import Literal
from pydantic import BaseModel
from pydantic_ai import Agent

class Sky(BaseModel):
    colour: Literal["blue", "grey"]
    clouds: int

settings = {"max_tokens": 128, "temperature": 0.0}
structured = Agent(f"bedrock:{sys.argv[1]}", output_type=Sky, model_settings=settings)
agent, heard = Agent(f"bedrock:{sys.argv[1]}", model_settings=settings), []

@agent.tool_plain
def forecast(days: int) -> str:
    "The weather of the next days."
    heard.append(days)
    return "fair"

text = agent.run_sync("What will the weather be?").output
print(json.dumps({
    "structured": structured.run_sync("What is the sky like?").output.model_dump(),
    "call": ["forecast", {"days": heard[0]}],
    "text": text,
}))
"""
_OPENAI_TOOLS = """
asked = [{"role": "user", "content": "What will the weather be?"}]
days = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
about = {"name": "forecast", "description": "The weather of the next days.", "parameters": days}
tools = [{"type": "function", "function": about}]
forced = {"type": "function", "function": {"name": "forecast"}}
sky = {
    "type": "object", "additionalProperties": False, "required": ["colour", "clouds"],
    "properties": {"colour": {"enum": ["blue", "grey"]}, "clouds": {"type": "integer"}},
}
held = {"type": "json_schema", "json_schema": {"name": "sky", "strict": True, "schema": sky}}

def call_of(message):
    call = message.tool_calls[0]
    return [call.function.name, json.loads(call.function.arguments)]

def streamed(chunks):
    name, args = "", ""
    for chunk in chunks:
        for call in (chunk.choices[0].delta.tool_calls or ()) if chunk.choices else ():
            name += call.function.name or ""
            args += call.function.arguments or ""
    return [name, json.loads(args)]

def all_of(create):
    first = create(messages=asked, tools=tools, tool_choice=forced).choices[0].message
    result = {"role": "tool", "tool_call_id": first.tool_calls[0].id, "content": "fair"}
    said = {"role": "assistant", "tool_calls": [
        {"id": one.id, "type": "function",
         "function": {"name": one.function.name, "arguments": one.function.arguments}}
        for one in first.tool_calls
    ]}
    chunks = create(messages=asked, tools=tools, tool_choice=forced, stream=True)
    free = create(messages=[*asked, said, result], tools=tools)
    structured = create(messages=asked, response_format=held)
    return {
        "call": call_of(first), "streamed": streamed(chunks),
        "text": free.choices[0].message.content,
        "structured": json.loads(structured.choices[0].message.content),
    }
"""
OPENAI = f"""
import json, os, sys
from functools import partial
from openai import OpenAI
{_OPENAI_TOOLS}
client = OpenAI(
    base_url=os.environ["AWS_ENDPOINT_URL"] + "/openai/v1", api_key=os.environ["OPENAI_API_KEY"]
)
create = partial(client.chat.completions.create, model=sys.argv[1], max_tokens=128, temperature=0)
found = all_of(create)
alone = create(messages=asked, tools=tools, tool_choice="required", parallel_tool_calls=False)
call = alone.choices[0].message
turns = [
    *asked, call.model_dump(exclude_none=True),
    {{"role": "tool", "tool_call_id": call.tool_calls[0].id, "content": "fair"}},
]
after = [create(messages=turns), create(messages=turns, tools=tools, tool_choice="none")]
found["alone"] = call_of(call)
found["after"] = [each.choices[0].message.content for each in after]
print(json.dumps(found))
"""
LITELLM = f"""
import json, os, sys
from functools import partial
import litellm
{_OPENAI_TOOLS}
create = partial(
    litellm.completion, model=f"bedrock/converse/{{sys.argv[1]}}", max_tokens=128, temperature=0,
    aws_bedrock_runtime_endpoint=os.environ["AWS_ENDPOINT_URL"],
)
print(json.dumps(all_of(create)))
"""
ANTHROPIC = """
import json, os, sys
from anthropic import Anthropic, AnthropicBedrock

asked = [{"role": "user", "content": "What will the weather be?"}]
days = {"type": "object", "properties": {"days": {"type": "integer"}}, "required": ["days"]}
tools = [{"name": "forecast", "description": "The weather of the next days.", "input_schema": days}]
base = os.environ["AWS_ENDPOINT_URL"]
client = Anthropic(base_url=base + "/anthropic", api_key=os.environ["OPENAI_API_KEY"])
told = {"model": sys.argv[1], "max_tokens": 128, "tools": tools}
forced = {**told, "messages": asked, "tool_choice": {"type": "tool", "name": "forecast"}}

def call_of(message):
    call = next(one for one in message.content if one.type == "tool_use")
    return [call.name, call.input]

first = client.messages.create(**forced)
call = next(one for one in first.content if one.type == "tool_use")
with client.messages.stream(**forced) as stream:
    streamed = call_of(stream.get_final_message())
result = {"type": "tool_result", "tool_use_id": call.id, "content": "fair"}
turns = [*asked, {"role": "assistant", "content": first.content}]
said = client.messages.create(**told, messages=[*turns, {"role": "user", "content": [result]}])
bedrock = AnthropicBedrock(base_url=base, aws_region="us-gov-west-1")
signed = bedrock.messages.create(**forced)
choice = {"type": "any", "disable_parallel_tool_use": True}
alone = bedrock.messages.create(**told, messages=asked, tool_choice=choice)
answered = [*turns, {"role": "user", "content": [result]}]
after = [
    bedrock.messages.create(model=sys.argv[1], max_tokens=128, messages=answered),
    client.messages.create(**told, messages=answered, tool_choice={"type": "none"}),
]
print(json.dumps({
    "alone": call_of(alone), "after": [each.content[0].text for each in after],
    "call": call_of(first), "streamed": streamed, "signed": call_of(signed),
    "text": said.content[0].text, "stop": first.stop_reason,
}))
"""
PROGRAMS = {
    "boto3": BOTO3,
    "langchain": LANGCHAIN,
    "pydantic-ai": PYDANTIC_AI,
    "openai": OPENAI,
    "litellm": LITELLM,
    "anthropic": ANTHROPIC,
}
