"""InvokeModel by boto3, Anthropic's own client and LangChain: one model under each family's ids."""

import json
import subprocess

import pytest
from botocore.exceptions import ClientError
from tests.clients import client_python

SMOL = "bastide.smollm2-135m-instruct-v1:0"
CLAUDE = "anthropic.claude-3-5-sonnet-20240620-v1:0"
NOVA, LLAMA = "amazon.nova-lite-v1:0", "meta.llama3-8b-instruct-v1:0"
MISTRAL, TITAN = "mistral.mistral-7b-instruct-v0:2", "amazon.titan-text-express-v1"
LARGE, GPT = "mistral.mistral-large-2407-v1:0", "openai.gpt-oss-20b-1:0"
ASK = "Count from 1 to 10, with commas."
METRICS = "amazon-bedrock-invocationMetrics"
HEADERS = "x-amzn-bedrock-"
LLAMA_PROMPT = (
    f"<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\n{ASK}<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
COLD = {"temperature": 0}
CHAT = {"messages": [{"role": "user", "content": ASK}], "max_tokens": 16, **COLD}
BODIES = {
    NOVA: {
        "messages": [{"role": "user", "content": [{"text": ASK}]}],
        "inferenceConfig": {"maxTokens": 16, **COLD},
    },
    CLAUDE: {
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 16, **COLD,
        "messages": [{"role": "user", "content": ASK}],
    },
    LLAMA: {"prompt": LLAMA_PROMPT, "max_gen_len": 16, **COLD},
    MISTRAL: {"prompt": f"<s>[INST] {ASK} [/INST]", "max_tokens": 16, **COLD},
    LARGE: CHAT,
    GPT: CHAT,
    TITAN: {
        "inputText": f"User: {ASK}\nBot:",
        "textGenerationConfig": {"maxTokenCount": 16, "topP": 1, **COLD},
    },
}  # fmt: skip
TEXT = {
    NOVA: lambda said: said["output"]["message"]["content"][0]["text"],
    CLAUDE: lambda said: said["content"][0]["text"],
    LLAMA: lambda said: said["generation"],
    MISTRAL: lambda said: said["outputs"][0]["text"],
    LARGE: lambda said: said["choices"][0]["message"]["content"],
    GPT: lambda said: said["choices"][0]["message"]["content"],
    TITAN: lambda said: said["results"][0]["outputText"],
}
STREAMED = {
    NOVA: lambda chunk: chunk.get("contentBlockDelta", {}).get("delta", {}).get("text", ""),
    CLAUDE: lambda chunk: chunk.get("delta", {}).get("text", ""),
    LLAMA: lambda chunk: chunk["generation"],
    MISTRAL: lambda chunk: chunk["outputs"][0]["text"],
    LARGE: lambda chunk: chunk["choices"][0]["message"].get("content", ""),
    GPT: lambda chunk: chunk["choices"][0]["delta"].get("content", ""),
    TITAN: lambda chunk: chunk["outputText"],
}


@pytest.fixture(scope="module")
def runtime(trained_region):
    for alias in BODIES:
        trained_region.cli("models", "alias", alias, "smollm2-135m")
    return trained_region.client("bedrock-runtime", read_timeout=120)


def invoked(runtime, model, body, **more):
    raw = json.dumps(body).encode()
    answer = runtime.invoke_model(modelId=model, body=raw, **more)
    return answer, json.loads(answer["body"].read())


@pytest.mark.parametrize("model", BODIES)
def test_every_family_is_answered_whole_and_as_a_stream(runtime, model):
    answer, said = invoked(runtime, model, BODIES[model])
    text = TEXT[model](said)
    assert text.startswith("1, 2, 3")
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["content-type"] == "application/json"
    assert headers[f"{HEADERS}output-token-count"] == "16"
    assert int(headers[f"{HEADERS}invocation-latency"]) > 0
    assert headers["x-bastide-model"] == SMOL
    assert headers["x-bastide-receipt"]
    body = runtime.invoke_model_with_response_stream(
        modelId=model, body=json.dumps(BODIES[model]).encode()
    )["body"]
    chunks = [json.loads(event["chunk"]["bytes"]) for event in body]
    assert "".join(STREAMED[model](chunk) for chunk in chunks) == text
    figures = chunks[-1][METRICS]
    assert figures["outputTokenCount"] == 16
    assert str(figures["inputTokenCount"]) == headers[f"{HEADERS}input-token-count"]
    assert 0 < figures["firstByteLatency"] <= figures["invocationLatency"]


def test_the_same_question_is_the_same_prompt_in_every_family(runtime):
    counts = {
        invoked(runtime, model, body)[0]["ResponseMetadata"]["HTTPHeaders"][
            f"{HEADERS}input-token-count"
        ]
        for model, body in BODIES.items()
    }
    assert len(counts) == 1


def test_profiles_and_arns_name_families_too(trained_region, runtime):
    name = trained_region.client("bedrock").meta.region_name
    for model in (f"us-gov.{NOVA}", f"arn:aws-us-gov:bedrock:{name}::foundation-model/{NOVA}"):
        assert invoked(runtime, model, BODIES[NOVA])[1]["stopReason"] == "max_tokens"


@pytest.mark.parametrize(
    ("model", "body", "said"),
    [
        (NOVA, BODIES[CLAUDE], "Malformed input request: #"),
        (CLAUDE, BODIES[NOVA], r"messages\.0\.content\.0\.type: Field required"),
        (LLAMA, BODIES[TITAN], "Malformed input request: #"),
        ("anthropic.claude-none-v1:0", BODIES[CLAUDE], "model identifier is invalid"),
    ],
)
def test_another_familys_body_is_refused(runtime, model, body, said):
    for method in (runtime.invoke_model, runtime.invoke_model_with_response_stream):
        with pytest.raises(ClientError, match=said) as caught:
            method(modelId=model, body=json.dumps(body).encode())
        assert caught.value.response["Error"]["Code"] == "ValidationException"


SCHEMA = {
    "type": "object", "required": ["city"], "additionalProperties": False,
    "properties": {"city": {"enum": ["Rome", "Oslo"]}},
}  # fmt: skip
FUNCTION = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
TOOLS = {
    NOVA: {"toolConfig": {
        "tools": [{"toolSpec": {"name": "weather", "inputSchema": {"json": SCHEMA}}}],
        "toolChoice": {"tool": {"name": "weather"}},
    }},
    CLAUDE: {
        "tools": [{"name": "weather", "input_schema": SCHEMA}],
        "tool_choice": {"type": "tool", "name": "weather"},
    },
    LARGE: {"tools": [FUNCTION], "tool_choice": "any"},
    GPT: {"tools": [FUNCTION], "tool_choice": "required"},
}  # fmt: skip
LONGER = {NOVA: {"inferenceConfig": {"maxTokens": 60, **COLD}}}
CALLED = {
    NOVA: lambda said: said["output"]["message"]["content"][-1]["toolUse"]["input"],
    CLAUDE: lambda said: said["content"][-1]["input"],
    LARGE: lambda said: arguments(said["choices"][0]["message"]),
    GPT: lambda said: arguments(said["choices"][0]["message"]),
}
STOPPED = {
    NOVA: lambda said: said["stopReason"], CLAUDE: lambda said: said["stop_reason"],
    LARGE: lambda said: said["choices"][0]["stop_reason"].removesuffix("_calls") + "_use",
    GPT: lambda said: said["choices"][0]["finish_reason"].removesuffix("_calls") + "_use",
}  # fmt: skip


def arguments(message):
    return json.loads(message["tool_calls"][0]["function"]["arguments"])


@pytest.mark.parametrize("model", TOOLS)
def test_a_tool_that_must_be_called_is_called_in_the_familys_words(runtime, model):
    body = BODIES[model] | TOOLS[model] | LONGER.get(model, {"max_tokens": 60})
    _, said = invoked(runtime, model, body)
    assert STOPPED[model](said) == "tool_use"
    assert CALLED[model](said)["city"] in SCHEMA["properties"]["city"]["enum"]


ANTHROPIC = f"""
import anthropic

bedrock = anthropic.AnthropicBedrock()
cold = {{"temperature": 0.0}}
asked = dict(model="{CLAUDE}", max_tokens=16, extra_body=cold,
             messages=[{{"role": "user", "content": "{ASK}"}}])
whole = bedrock.messages.create(**asked)
assert whole.content[0].text.startswith("1, 2, 3"), whole
assert (whole.stop_reason, whole.usage.output_tokens) == ("max_tokens", 16), whole
assert whole.model == "claude-3-5-sonnet-20240620", whole
with bedrock.messages.stream(**asked) as stream:
    assert "".join(stream.text_stream) == whole.content[0].text
    final = stream.get_final_message()
assert final.content[0].text == whole.content[0].text, final
assert final.usage.output_tokens == 16, final
assert final.usage.input_tokens == whole.usage.input_tokens, final
stopped = bedrock.messages.create(**asked, stop_sequences=[", 3"])
assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", ", 3"), stopped
with bedrock.messages.create(**asked, stream=True) as events:
    first = next(iter(events))
assert first.message.usage.input_tokens == whole.usage.input_tokens, first
try:
    bedrock.messages.create(**{{**asked, "extra_body": {{"top_k": -1}}}})
except anthropic.BadRequestError as error:
    assert "top_k: Input should be greater than or equal to 0" in str(error), error
else:
    raise AssertionError("it took a top_k of -1")
weather = {{"name": "weather", "input_schema": {SCHEMA}}}
asked["max_tokens"] = 60
with bedrock.messages.stream(**asked, tools=[weather], tool_choice={{"type": "any"}}) as stream:
    called = stream.get_final_message()
assert called.stop_reason == "tool_use", called
assert called.content[-1].input["city"] in ("Rome", "Oslo"), called
print("done")
"""


LANGCHAIN = f"""
from langchain_aws import BedrockLLM, ChatBedrock

chat = ChatBedrock(model="{CLAUDE}", temperature=0.0, max_tokens=16)
whole = chat.invoke("{ASK}")
assert whole.content.startswith("1, 2, 3"), whole
assert whole.usage_metadata["output_tokens"] == 16, whole
parts = list(chat.stream("{ASK}"))
assert "".join(part.content for part in parts) == whole.content, parts
assert sum(part.usage_metadata["output_tokens"] for part in parts if part.usage_metadata) == 16
for model, limit in (("{LLAMA}", "max_gen_len"), ("{MISTRAL}", "max_tokens")):
    options = {{limit: 16, "temperature": 0}}
    llm = BedrockLLM(model=model, model_kwargs=options)
    assert llm.invoke("{ASK}").startswith("1, 2, 3")
    assert "".join(llm.stream("{ASK}")).startswith("1, 2, 3")
    talk = ChatBedrock(model=model, model_kwargs=options, beta_use_converse_api=False)
    said = talk.invoke([("human", "{ASK}"), ("ai", "1, 2"), ("human", "Go on.")])
    assert said.usage_metadata["output_tokens"] == 16, said
print("done")
"""


@pytest.mark.parametrize(("client", "script"), [("anthropic", ANTHROPIC), ("langchain", LANGCHAIN)])
def test_other_peoples_clients(trained_region, runtime, tmp_path, client, script):
    endpoint = runtime.meta.endpoint_url
    env = {**trained_region.agency("demo"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    env.pop("AWS_BEARER_TOKEN_BEDROCK")
    env |= {"ANTHROPIC_BEDROCK_BASE_URL": endpoint, "SSL_CERT_FILE": env["AWS_CA_BUNDLE"]}
    command = [client_python(client), "-c", script]
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=200)
    assert done.stdout == "done\n", done.stderr[-3000:]
