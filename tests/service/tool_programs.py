"""What clients of other makers do with tools and with answers under a schema: a program for each.

As in `other_clients.py`, its argument is the model. It prints one JSON object.
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
print(json.dumps(all_of(create)))
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
signed = AnthropicBedrock(base_url=base, aws_region="us-gov-west-1").messages.create(**forced)
print(json.dumps({
    "call": call_of(first), "streamed": streamed, "signed": call_of(signed),
    "text": said.content[0].text, "stop": first.stop_reason,
}))
"""
PROGRAMS = {
    "langchain": LANGCHAIN,
    "pydantic-ai": PYDANTIC_AI,
    "openai": OPENAI,
    "litellm": LITELLM,
    "anthropic": ANTHROPIC,
}
