"""What `anthropic`, unchanged, does with a region; run in its own venv, prints one JSON object.

Arguments: the endpoint, a model. The bearer key and AWS's keys are in the environment.
"""

import json
import os
import sys

import anthropic
from anthropic import Anthropic, AnthropicBedrock, AnthropicBedrockMantle

ENDPOINT, MODEL = sys.argv[1:]
KEY = os.environ.pop("AWS_BEARER_TOKEN_BEDROCK")
SAID = [{"role": "user", "content": "Count from 1 to 10."}]
# Its client no longer has a word for the temperature; the API has.
ASKED = {"model": MODEL, "messages": SAID, "max_tokens": 8, "extra_body": {"temperature": 0}}


def shown(message):
    tokens = [message.usage.input_tokens, message.usage.output_tokens]
    return {"text": message.content[0].text, "stop": message.stop_reason, "tokens": tokens}


def streamed(client):
    with client.messages.stream(**ASKED) as stream:
        text = "".join(stream.text_stream)
        message = stream.get_final_message()
    return {**shown(message), "text": text}


def signed():
    """The base URL that makes `/v1/messages`, and the one that makes `/anthropic/v1/messages`."""
    for base in (ENDPOINT, f"{ENDPOINT}/anthropic"):
        client = AnthropicBedrockMantle(
            base_url=base, aws_region=os.environ["AWS_REGION"], max_retries=0
        )
        yield client.messages.create(**ASKED).content[0].text


def begun(client):
    """An answer that is continued."""
    turns = [*SAID, {"role": "assistant", "content": "1, 2, 3,"}]
    return client.messages.create(**{**ASKED, "messages": turns}).content[0].text


def refused(client):
    stranger = Anthropic(base_url=f"{ENDPOINT}/anthropic", api_key="unknown", max_retries=0)
    wrong = {
        "key": (stranger, {}),
        "model": (client, {"model": "no.such-model"}),
        "thinking": (client, {"thinking": {"type": "enabled", "budget_tokens": 1024}}),
        "unknown": (client, {"extra_body": {"unheard_of": 1}}),
    }
    for name, (who, more) in wrong.items():
        try:
            who.messages.create(**{**ASKED, **more})
        except anthropic.APIStatusError as error:
            yield name, [type(error).__name__, error.body["error"]["type"]]


def main():
    client = Anthropic(base_url=f"{ENDPOINT}/anthropic", api_key=KEY, max_retries=0)
    return {
        "whole": shown(client.messages.create(**ASKED)),
        "streamed": streamed(client),
        "counted": client.messages.count_tokens(model=MODEL, messages=SAID).input_tokens,
        "signed": list(signed()),
        "begun": [
            begun(client),
            begun(
                AnthropicBedrock(
                    base_url=ENDPOINT, aws_region=os.environ["AWS_REGION"], max_retries=0
                )
            ),
        ],
        "refused": dict(refused(client)),
    }


print(json.dumps(main()))
