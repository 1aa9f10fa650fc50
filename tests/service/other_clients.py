"""What clients of other makers do with a region: a program for each, run in the client's own venv.

Its argument is the model; all else it has from the environment, as its users would set it. It
prints one JSON object with a `text` and a `stream`.
"""

BOTO3 = """
import json, sys
import boto3

client = boto3.client("bedrock-runtime")
asked = {
    "modelId": sys.argv[1], "messages": [{"role": "user", "content": [{"text": "Hello"}]}],
    "inferenceConfig": {"maxTokens": 8, "temperature": 0.0},
}
events = client.converse_stream(**asked)["stream"]
deltas = [each["contentBlockDelta"]["delta"] for each in events if "contentBlockDelta" in each]
print(json.dumps({
    "text": client.converse(**asked)["output"]["message"]["content"][0]["text"],
    "stream": "".join(each["text"] for each in deltas),
}))
"""
LITELLM = """
import json, os, sys
import litellm

model = sys.argv[1]
base = os.environ["AWS_ENDPOINT_URL"]
asked = {"messages": [{"role": "user", "content": "Hello"}], "max_tokens": 8, "temperature": 0}
converse = {"model": f"bedrock/converse/{model}", "aws_bedrock_runtime_endpoint": base, **asked}
chunks = list(litellm.completion(stream=True, **converse))
openai = litellm.completion(
    model=f"openai/{model}", api_base=f"{base}/openai/v1",
    api_key=os.environ["OPENAI_API_KEY"], **asked,
)
print(json.dumps({
    "text": litellm.completion(**converse).choices[0].message.content,
    "stream": "".join(each.choices[0].delta.content or "" for each in chunks),
    "openai": openai.choices[0].message.content,
}))
"""
PYDANTIC_AI = """
import asyncio, json, sys
from pydantic_ai import Agent

agent = Agent(
    f"bedrock:{sys.argv[1]}", model_settings={"max_tokens": 8, "temperature": 0.0}
)

async def streamed():
    async with agent.run_stream("Hello") as result:
        return [each async for each in result.stream_text(debounce_by=None)][-1]

print(json.dumps({"text": agent.run_sync("Hello").output, "stream": asyncio.run(streamed())}))
"""
LLAMA_INDEX = """
import json, sys
from llama_index.core.llms import ChatMessage
from llama_index.llms.bedrock_converse import BedrockConverse

llm = BedrockConverse(model=sys.argv[1], max_tokens=8, temperature=0.0)
asked = [ChatMessage(role="user", content="Hello")]
print(json.dumps({
    "text": llm.chat(asked).message.content,
    "stream": "".join(each.delta for each in llm.stream_chat(asked)),
}))
"""
STRANDS = """
import json, sys
from strands import Agent
from strands.models import BedrockModel

def said(streaming):
    model = BedrockModel(
        model_id=sys.argv[1], max_tokens=64, temperature=0.0, streaming=streaming,
        stop_sequences=["."],
    )
    return str(Agent(model=model, callback_handler=None)("Say hello.")).strip()

print(json.dumps({"text": said(False), "stream": said(True)}))
"""
INSPECT = """
import json, sys
from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.scorer import includes
from inspect_ai.solver import generate

task = Task(dataset=[Sample(input="Hello", target="e")], solver=generate(), scorer=includes())
(log,) = eval(
    task, model=f"bedrock/{sys.argv[1]}", max_tokens=8, temperature=0.0, display="none",
    log_dir="logs",
)
text = log.samples[0].output.completion if log.samples else ""
print(json.dumps({"text": text, "stream": text, "status": log.status}))
"""
PROGRAMS = {
    "boto3": BOTO3,
    "inspect-ai": INSPECT,
    "litellm": LITELLM,
    "llama-index": LLAMA_INDEX,
    "pydantic-ai": PYDANTIC_AI,
    "strands-agents": STRANDS,
}
