"""The walk of docs/howto, block by block as it stands."""

import codeop
import re
import subprocess

import pytest
from tests.clients import client_python
from tests.live import ROOT
from tests.service.test_service_agents import traced

KIND = "KNOWLEDGE_BASE_RESPONSE_GENERATION"
WALK = ROOT / "docs" / "howto" / "documents-functions-agents.md"


def blocks_of(path):
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)


def test_blocks_can_be_pasted_into_a_python_that_is_open():
    """There, what is indented ends with an empty line."""
    for block in [*blocks_of(WALK), *blocks_of(ROOT / "README.md")]:
        typed: list[str] = []
        for line in [*block.split("\n"), ""]:
            typed.append(line)
            if codeop.compile_command("\n".join(typed), symbol="single") is not None:
                typed = []
        assert not any(typed)


@pytest.fixture(scope="module")
def walked(region, tmp_path_factory):
    """What the walk printed; what it made is there."""
    for model in ("minilm-l6-v2", "qwen2.5-coder-1.5b"):
        region.cli("models", "pull", model)
    home = str(tmp_path_factory.mktemp("walk"))
    env = {**region.agency("walk"), "PATH": "/usr/bin:/bin", "HOME": home}
    env.pop("AWS_BEARER_TOKEN_BEDROCK")
    done = subprocess.run(
        [client_python("sagemaker-v2"), "-c", "\n".join(blocks_of(WALK))],
        env=env, capture_output=True, text=True, timeout=400,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_the_walk_runs_as_it_stands(region, walked):
    assert "s3://walk/notes/broken.pdf: It is a broken PDF" in walked
    assert "['s3://walk/notes/owls.md']" in walked, "an exact span, and what it rests on"
    assert "guardrail_intervened That is not answered here." in walked
    request = re.search(r"^[0-9a-f-]{36}$", walked, re.MULTILINE)[0]
    assert walked.endswith('b\'{"heard": "Hello"}\'\n')
    assert "was shipped on Monday" in walked
    assert "execute_tool orders/get_order_status" in traced(region, "walk", request).stdout


def test_an_agent_answers_from_the_walks_documents(region, walked):
    """By KNOWLEDGE_BASE_RESPONSE_GENERATION: each sentence of its answer names what it is from."""
    agents = region.client("bedrock-agent", "walk")
    (base,) = agents.list_knowledge_bases()["knowledgeBaseSummaries"]
    run = region.client("bedrock-agent-runtime", "walk", read_timeout=600)
    prompt = {"promptType": KIND, "promptState": "ENABLED", "promptCreationMode": "DEFAULT"}
    answer = run.invoke_inline_agent(
        sessionId="owls", inputText="What do owls eat?", enableTrace=True,
        instruction="You answer questions about animals, in one short sentence each.",
        foundationModel="bastide.qwen2-5-coder-1-5b-instruct-v1:0",
        knowledgeBases=[
            {"knowledgeBaseId": base["knowledgeBaseId"], "description": "What is known of animals"}
        ],
        promptOverrideConfiguration={"promptConfigurations": [prompt]},
    )  # fmt: skip
    *traces, last = answer["completion"]
    steps = [one["trace"]["trace"].get("orchestrationTrace", {}) for one in traces]
    asked = [one["modelInvocationInput"] for one in steps if "modelInvocationInput" in one]
    assert [one["type"] for one in asked] == [KIND]
    told = last["chunk"]["bytes"].decode()
    assert last["chunk"]["attribution"]["citations"]
    for citation in last["chunk"]["attribution"]["citations"]:
        part = citation["generatedResponsePart"]["textResponsePart"]
        assert told[part["span"]["start"] : part["span"]["end"]] == part["text"]
        for one in citation["retrievedReferences"]:
            assert one["location"]["s3Location"]["uri"].startswith("s3://walk/notes/")


def test_an_agent_begins_with_a_name(region, walked):
    agents = region.client("bedrock-agent", "walk")
    bare = agents.create_agent(agentName="bare")["agent"]
    assert bare["agentStatus"] == "NOT_PREPARED"
    assert agents.prepare_agent(agentId=bare["agentId"])["agentStatus"] == "FAILED"
    reasons = agents.get_agent(agentId=bare["agentId"])["agent"]["failureReasons"]
    assert "agentResourceRoleArn must be specified." in reasons
    (draft,) = agents.list_agent_versions(agentId=bare["agentId"])["agentVersionSummaries"]
    assert (draft["agentVersion"], draft["agentStatus"]) == ("DRAFT", "FAILED")
