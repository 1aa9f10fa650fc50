"""Tools, answers under a schema and their streams, as clients of other makers ask for them.

Of a model that does what it is asked, so that what fails is ours; plain chat is asked of a real
one.
"""

import json
import re
import subprocess

import pytest
from tests.clients import client_python
from tests.scripted_model import GREETING, SCRIPTED
from tests.service.tool_programs import PROGRAMS

CLAUDE = "anthropic.claude-3-5-sonnet-20240620-v1:0"
SUITE = f"""
from langchain_aws import ChatBedrockConverse
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestBastide(ChatModelIntegrationTests):
    chat_model_class = ChatBedrockConverse
    chat_model_params = {{"model": "{CLAUDE}", "max_tokens": 256, "temperature": 0.0}}
    has_tool_choice = True
    supports_image_inputs = False
"""
SUITE_FLOOR = 20  # what is skipped asks for pictures and papers


@pytest.fixture(scope="module")
def site(scripted_region):
    scripted_region.cli("models", "alias", CLAUDE, SCRIPTED)
    return scripted_region


def env_of(site):
    """They sign, but where they are told to take the key."""
    env = {**site.agency("demo"), "PATH": "/usr/bin:/bin", "HOME": str(site.home)}
    env["SSL_CERT_FILE"] = env["AWS_CA_BUNDLE"]
    env["OPENAI_API_KEY"] = env.pop("AWS_BEARER_TOKEN_BEDROCK")
    env["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it asks the internet for prices
    return env


@pytest.mark.parametrize("client", sorted(PROGRAMS))
def test_what_clients_hear_of_tools_and_schemas(site, client):
    done = subprocess.run(
        [client_python(client), "-c", PROGRAMS[client], CLAUDE],
        env=env_of(site), cwd=site.home, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-6000:]
    said = json.loads(done.stdout)
    call = ["forecast", {"days": 3}]
    wanted = {
        "call": call, "streamed": call, "signed": call, "usage": True, "stop": "tool_use",
        "structured": {"colour": "blue", "clouds": 3}, "text": GREETING,
        "alone": call, "after": [GREETING, GREETING], "refused": True,
    }  # fmt: skip
    assert said == {name: wanted[name] for name in said}
    assert "call" in said


def test_langchains_standard_suite_with_tools(site, tmp_path):
    (tmp_path / "test_langchain.py").write_text(SUITE)
    command = [
        client_python("langchain"), "-m", "pytest", "-q", "-p", "no:cacheprovider",
        "-o", "asyncio_mode=auto", "-k", "tool or structured or agent or json or runnables",
        "test_langchain.py",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, env=env_of(site), capture_output=True, text=True, timeout=400
    )
    passed = int((re.search(r"(\d+) passed", done.stdout) or [0, 0])[1])
    assert done.returncode == 0, done.stdout[-6000:]
    assert passed >= SUITE_FLOOR, done.stdout[-3000:]
