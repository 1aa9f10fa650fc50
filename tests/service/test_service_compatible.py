"""Clients of other providers' words, unchanged, on a live region: by key and by signature."""

import json
import subprocess
from pathlib import Path

import pytest
from tests.clients import client_python
from tests.service.other_clients import PROGRAMS

GPT, CLAUDE = "openai.gpt-oss-20b-1:0", "anthropic.claude-3-5-sonnet-20240620-v1:0"
HERE = Path(__file__).parent
MINILM = "bastide.minilm-l6-v2-v1:0"


@pytest.fixture(scope="module")
def site(trained_region):
    trained_region.cli("models", "pull", "minilm-l6-v2")
    for alias in (GPT, CLAUDE):
        trained_region.cli("models", "alias", alias, "smollm2-135m")
    return trained_region


def ran(site, client, *words):
    """What a program prints, in the venv of that client, with nothing set but the agency's."""
    env = site.agency("demo")
    env = {**env, "SSL_CERT_FILE": env["AWS_CA_BUNDLE"], "PATH": "/usr/bin:/bin"}
    if client in PROGRAMS:  # they sign, but where they are told to take the key
        env["OPENAI_API_KEY"] = env.pop("AWS_BEARER_TOKEN_BEDROCK")
        env["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the internet for prices
    command = [client_python(client), *words]
    done = subprocess.run(
        command,
        env={**env, "HOME": str(site.home)},
        cwd=site.home,
        capture_output=True,
        text=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stderr[-6000:]
    return json.loads(done.stdout)


def audited(site, operation):
    last = site.cli("audit", "show", "--operation", operation, "--last", "40", "--json").stdout
    return json.loads(last)


@pytest.fixture(scope="module")
def openai(site):
    """What was said to OpenAI's client: CreateChatCompletion, ListModels, RetrieveModel,
    CreateResponse, CreateEmbedding."""
    base = f"{site.status['endpoint']}/openai/v1"
    return ran(site, "openai", HERE / "openai_program.py", base, GPT, MINILM)


@pytest.fixture(scope="module")
def anthropic(site):
    """What was said to Anthropic's: CreateMessage, CountMessageTokens."""
    return ran(site, "anthropic", HERE / "anthropic_program.py", site.status["endpoint"], CLAUDE)


def test_openai_talks_by_key_and_by_signature(openai):
    assert openai["text"]
    assert openai["finish"] == "length"
    assert openai["usage"]["completion_tokens"] == 8
    assert openai["stream"]["text"] == openai["text"] == openai["signed"]
    assert openai["stream"]["usage"] == openai["usage"]
    assert openai["stream"]["chunks"] > 4
    assert GPT in openai["models"]
    assert openai["model"] == GPT


def test_openai_hears_what_is_refused_as_it_expects(openai):
    assert openai["unknown"] == "invalid_api_key"
    refused = {name: each[0] for name, each in openai["refused"].items()}
    assert refused.pop("model") == "NotFoundError"
    assert refused == dict.fromkeys(("logprobs", "n", "unknown"), "BadRequestError")
    assert "logprobs" in openai["refused"]["logprobs"][1]
    assert "unheard_of" in openai["refused"]["unknown"][1]


def test_a_call_stands_in_the_log_before_and_after(site, openai):
    """CreateChatCompletion is one call like Converse: a record before its effect, one after."""
    records = audited(site, "CreateChatCompletion")
    own = [each for each in records if each["request_id"] == openai["request_id"]]
    assert {each["kind"] for each in own} == {"call", "closed"}


def test_openai_gets_responses_that_are_kept_nowhere(openai):
    found = openai["responses"]
    assert found["text"] == found["deltas"] == openai["text"]
    assert found["status"] == "incomplete"
    assert found["events"] == ["response.created", "response.incomplete"]
    assert found["again"]
    for name in ("previous_response_id", "store"):
        assert name in found[name]


def test_openai_gets_vectors(openai):
    found = openai["embeddings"]
    assert found["same"]
    assert found["near"] > 0.6 > 0.3 > found["far"]
    assert found["tokens"] > 9


def test_anthropic_talks_by_key_and_by_signature(anthropic):
    whole = anthropic["whole"]
    assert whole["text"]
    assert whole["stop"] == "max_tokens"
    assert whole["tokens"] == [anthropic["counted"], 8]
    assert anthropic["streamed"] == whole
    assert anthropic["signed"] == [whole["text"]] * 2
    assert {text[:8] for text in anthropic["begun"]} == {" 4, 5, 6"}, "what was there is not said"


def test_anthropic_hears_what_is_refused_as_it_expects(anthropic):
    assert anthropic["refused"] == {
        "key": ["AuthenticationError", "authentication_error"],
        "model": ["NotFoundError", "not_found_error"],
        "thinking": ["BadRequestError", "invalid_request_error"],
        "unknown": ["BadRequestError", "invalid_request_error"],
    }


@pytest.mark.parametrize("client", sorted(PROGRAMS))
def test_clients_of_other_makers_talk(site, client):
    said = ran(site, client, "-c", PROGRAMS[client], CLAUDE)
    assert said["text"]
    assert said["stream"] == said["text"]
    assert said.get("openai", said["text"]) == said["text"]
    assert said.get("status", "success") == "success"
