"""What `openai`, unchanged, does with a region; run in its own venv, prints one JSON object.

Arguments: the base URL, a model, and one that embeds. The keys are in the environment.
"""

import json
import os
import sys

import openai
from openai import BedrockOpenAI, OpenAI

BASE, MODEL, EMBEDDING = sys.argv[1:]
SAID = {"messages": [{"role": "user", "content": "Count from 1 to 10."}], "temperature": 0}
KEY = os.environ.pop("AWS_BEARER_TOKEN_BEDROCK")


def refusals(client):
    wrong = {
        "model": {"model": "no.such-model"},
        "logprobs": {"logprobs": True},
        "n": {"n": 2},
        "unknown": {"extra_body": {"unheard_of": 1}},
    }
    for name, more in wrong.items():
        try:
            client.chat.completions.create(**{"model": MODEL, **SAID, "max_tokens": 4, **more})
        except openai.APIStatusError as error:
            yield name, [type(error).__name__, error.message, error.request_id]


def streamed(client):
    chunks = list(
        client.chat.completions.create(
            model=MODEL, max_tokens=8, stream=True, stream_options={"include_usage": True}, **SAID
        )
    )
    return {
        "text": "".join(c.choices[0].delta.content or "" for c in chunks if c.choices),
        "usage": chunks[-1].usage.model_dump(include={"prompt_tokens", "completion_tokens"}),
        "chunks": len(chunks),
    }


def answered(client):
    """The same by the responses API, whole and streamed, and what it keeps no state for."""
    asked = {"model": MODEL, "input": "Count from 1 to 10.", "temperature": 0}
    whole = client.responses.create(**asked, max_output_tokens=8)
    events = list(client.responses.create(**asked, max_output_tokens=8, stream=True))
    turns = [{"role": "user", "content": "Hello"}, *(each.model_dump() for each in whole.output)]
    again = client.responses.create(
        model=MODEL, input=[*turns, {"role": "user", "content": "Go on."}], max_output_tokens=16
    )
    found = {"text": whole.output_text, "status": whole.status, "again": again.output_text}
    for name, more in {"previous_response_id": "resp_1", "store": True}.items():
        try:
            client.responses.create(**asked, **{name: more})
        except openai.BadRequestError as error:
            found[name] = error.message
    return {
        **found,
        "events": [events[0].type, events[-1].type],
        "deltas": "".join(e.delta for e in events if e.type == "response.output_text.delta"),
    }


def embedded(client):
    texts = ["A cat sleeps.", "The cat is asleep.", "The treaty was signed."]
    plain = client.embeddings.create(model=EMBEDDING, input=texts, encoding_format="float")
    packed = client.embeddings.create(model=EMBEDDING, input=texts)  # base64, which it unpacks
    vectors = [each.embedding for each in plain.data]
    return {
        "same": vectors == [each.embedding for each in packed.data],
        "near": sum(a * b for a, b in zip(vectors[0], vectors[1], strict=True)),
        "far": sum(a * b for a, b in zip(vectors[0], vectors[2], strict=True)),
        "tokens": plain.usage.prompt_tokens,
    }


def main():
    client = OpenAI(base_url=BASE, api_key=KEY, max_retries=0)
    whole = client.chat.completions.create(model=MODEL, max_tokens=8, **SAID)
    signed = BedrockOpenAI(base_url=BASE, aws_region=os.environ["AWS_REGION"], max_retries=0)
    try:
        OpenAI(base_url=BASE, api_key="unknown", max_retries=0).models.list()
        unknown = ""
    except openai.AuthenticationError as error:
        unknown = error.code
    return {
        "text": whole.choices[0].message.content,
        "finish": whole.choices[0].finish_reason,
        "usage": whole.usage.model_dump(include={"prompt_tokens", "completion_tokens"}),
        "request_id": whole._request_id,
        "stream": streamed(client),
        "responses": answered(client),
        "embeddings": embedded(client),
        "models": [each.id for each in client.models.list()],
        "model": client.models.retrieve(MODEL).id,
        "refused": dict(refusals(client)),
        "unknown": unknown,
        "signed": signed.chat.completions.create(model=MODEL, max_tokens=8, **SAID)
        .choices[0]
        .message.content,
    }


print(json.dumps(main()))
