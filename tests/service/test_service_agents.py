"""Agents by boto3 on a live region: a turn whose control returns, of a model that does what it is
asked; a region that is killed between and within turns, with a real one."""

import json
import subprocess
import sys

import pytest
from botocore.exceptions import ClientError
from tests.live import NAME
from tests.scripted_model import GREETING, SCRIPTED
from urllib3.exceptions import HTTPError

MODEL = "bastide.qwen2-5-coder-0-5b-instruct-v1:0"
ABLE = "bastide.qwen2-5-coder-1-5b-instruct-v1:0"  # the least that tells when a function helps
TRUST = {
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "bedrock.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }],
}  # fmt: skip
INSTRUCTION = "You are a clerk. You answer questions about orders with your functions, shortly."
ORDER = {
    "name": "get_order_status", "description": "The status of an order",
    "parameters": {
        "order_id": {"type": "string", "description": "The order's id", "required": True}
    },
}  # fmt: skip


def prompts(tokens):
    return {
        "promptConfigurations": [{
            "promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN",
            "basePromptTemplate": "$instruction$\n$prompt_session_attributes$",
            "inferenceConfiguration": {"temperature": 0.0, "maximumLength": tokens},
        }],
    }  # fmt: skip


SHORT, LONG = prompts(24), prompts(800)


def role_of(live, *actions):
    """A role that agents may work as, allowed these actions."""
    iam, account = live.client("iam"), live.account("demo")["account_id"]
    name = "clerks-" + "-".join(actions).replace(":", "-").replace("*", "all")
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))
    allowed = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [allowed]}
    iam.put_role_policy(RoleName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
    return f"arn:aws-us-gov:iam::{account}:role/{name}"


def asked_for(role, name, prompts=SHORT, model=MODEL):
    return {
        "agentName": name, "foundationModel": model, "instruction": INSTRUCTION,
        "agentResourceRoleArn": role, "promptOverrideConfiguration": prompts,
    }  # fmt: skip


def made(live, role, name, model=MODEL):
    agents = live.client("bedrock-agent")
    return agents.create_agent(**asked_for(role, name, model=model))["agent"]["agentId"]


def ask(live, agent_id, alias, **more):
    run = live.client("bedrock-agent-runtime", read_timeout=600)
    answer = run.invoke_agent(
        agentId=agent_id, agentAliasId=alias, sessionId="s-1", enableTrace=True, **more
    )
    assert answer["sessionId"] == "s-1"
    return list(answer["completion"])


@pytest.fixture(scope="module")
def site(region):
    region.cli("models", "pull", "qwen2.5-coder-0.5b")
    return region


def test_an_agent_from_its_making_to_its_answer(scripted_region):
    site = scripted_region
    agents = site.client("bedrock-agent")
    powerless = made(site, role_of(site, "s3:GetObject"), "powerless", SCRIPTED)
    assert agents.prepare_agent(agentId=powerless)["agentStatus"] == "FAILED"
    (reason,) = agents.get_agent(agentId=powerless)["agent"]["failureReasons"]
    assert "bedrock:InvokeModel" in reason
    agent_id = made(site, role_of(site, "bedrock:InvokeModel"), "clerk", SCRIPTED)
    agents.create_agent_action_group(
        agentId=agent_id, agentVersion="DRAFT", actionGroupName="orders",
        actionGroupExecutor={"customControl": "RETURN_CONTROL"},
        functionSchema={"functions": [ORDER]},
    )  # fmt: skip
    assert agents.prepare_agent(agentId=agent_id)["agentStatus"] == "PREPARED"
    alias = agents.create_agent_alias(agentId=agent_id, agentAliasName="live")["agentAlias"]
    alias_id = alias["agentAliasId"]
    *traces, last = ask(site, agent_id, alias_id, inputText="Where is order 'A-17'?")
    control = last["returnControl"]
    (call,) = control["invocationInputs"]
    asked = call["functionInvocationInput"]
    assert asked["parameters"] == [{"name": "order_id", "type": "string", "value": "A-17"}]
    assert all("trace" in one for one in traces)
    result = {"actionGroup": "orders", "function": asked["function"],
              "responseBody": {"TEXT": {"body": "Shipped on Monday."}}}  # fmt: skip
    state = {"invocationId": control["invocationId"],
             "returnControlInvocationResults": [{"functionResult": result}]}  # fmt: skip
    last = ask(site, agent_id, alias_id, sessionState=state)[-1]
    assert last["chunk"]["bytes"].decode() == GREETING
    with pytest.raises(ClientError, match="invocationId"):
        ask(site, agent_id, alias_id, sessionState=state)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        site.client("bedrock-agent", "other").get_agent(agentId=agent_id)
    arn = f"arn:aws-us-gov:bedrock:{NAME}:{site.account('demo')['account_id']}:agent/{agent_id}"
    assert agents.get_agent(agentId=agent_id)["agent"]["agentArn"] == arn


def test_an_inline_agent_is_kept_nowhere_but_how_it_went_is_told(site, tmp_path):
    run = site.client("bedrock-agent-runtime", read_timeout=600)
    answer = run.invoke_inline_agent(
        sessionId="s-2", inputText="Say hello.", instruction=INSTRUCTION, foundationModel=MODEL,
        promptOverrideConfiguration=SHORT,
    )  # fmt: skip
    first, *_ = answer["completion"]  # read to its end: nothing stays open
    assert first["chunk"]["bytes"]
    request = answer["ResponseMetadata"]["RequestId"]
    done = traced(site, "demo", "s-2", "--json")
    (turn,) = json.loads(done.stdout)
    assert turn["trace_id"] == request.replace("-", "")
    names = [one["attributes"]["gen_ai.operation.name"] for one in turn["spans"]]
    assert names == ["invoke_agent", "chat"]
    assert turn["spans"][0]["attributes"]["gen_ai.usage.output_tokens"] > 0
    assert "Say hello" not in done.stdout
    shown = traced(site, "demo", request).stdout
    assert f"chat {MODEL}" in shown
    assert "tokens in" in shown
    assert traced(site, "other", request).returncode == 1
    headers, receipt = answer["ResponseMetadata"]["HTTPHeaders"], tmp_path / "receipt.json"
    site.cli("receipt", "get", headers["x-bastide-receipt"], "--out", str(receipt))
    (tmp_path / "said").write_text("Say hello.")
    (tmp_path / "answer").write_bytes(first["chunk"]["bytes"])
    site.cli(
        "receipt", "verify", str(receipt), "--salt", headers["x-bastide-receipt-salt"],
        "--prompt", str(tmp_path / "said"), "--answer", str(tmp_path / "answer"),
        "--key", str(site.folder / "audit" / "audit.pub"),
    )  # fmt: skip


def test_an_inline_router_asks_its_collaborator_and_its_prompts_before_and_after(site):
    run = site.client("bedrock-agent-runtime", read_timeout=600)
    beside = [
        {"promptType": f"{kind}_PROCESSING", "promptState": "ENABLED",
         "promptCreationMode": "DEFAULT"} for kind in ("PRE", "POST")
    ]  # fmt: skip
    one = {"foundationModel": MODEL, "instruction": INSTRUCTION}
    answer = run.invoke_inline_agent(
        sessionId="s-3", inputText="Where is order 7?", **one, enableTrace=True,
        agentCollaboration="SUPERVISOR_ROUTER",
        collaborators=[{**one, "agentName": "expert", "promptOverrideConfiguration": SHORT}],
        collaboratorConfigurations=[
            {"collaboratorName": "expert", "collaboratorInstruction": "Knows of all orders."}
        ],
        promptOverrideConfiguration={
            "promptConfigurations": [*SHORT["promptConfigurations"], *beside]
        },
    )  # fmt: skip
    events = list(answer["completion"])
    told = [event["trace"]["trace"] for event in events if "trace" in event]
    sorted_ = told[1]["preProcessingTrace"]["modelInvocationOutput"]["parsedResponse"]
    kinds = {name for one in told for name in one}
    assert ("routingClassifierTrace" in kinds) == ("postProcessingTrace" in kinds)
    assert sorted_["isValid"] == ("postProcessingTrace" in kinds)
    assert all(event["chunk"]["bytes"] for event in events if "chunk" in event)
    assert "chunk" in events[-1]


def traced(live, agency, *words):
    """`bastide agent trace` with an agency's credentials."""
    return subprocess.run(
        [sys.executable, "-m", "bastide.cli.main", "agent", "trace", *words],
        env={**live.environ(), **live.agency(agency)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def test_a_turn_that_the_region_dies_in_never_was(own_region):
    live = own_region
    live.cli("models", "pull", "qwen2.5-coder-0.5b")
    agents = live.client("bedrock-agent")
    role = role_of(live, "bedrock:InvokeModel")
    agent_id = made(live, role, "clerk")
    agents.prepare_agent(agentId=agent_id)
    kept = ask(live, agent_id, "TSTALIASID", inputText="My name is Ada.")[-1]
    agents.update_agent(agentId=agent_id, **asked_for(role, "clerk", LONG))
    agents.prepare_agent(agentId=agent_id)
    run = live.client("bedrock-agent-runtime", read_timeout=600)
    stream = run.invoke_agent(
        agentId=agent_id, agentAliasId="TSTALIASID", sessionId="s-1", enableTrace=True,
        inputText="Count from 1 to 1000, with commas.",
    )["completion"]  # fmt: skip
    events = iter(stream)
    assert "trace" in next(events)  # the model has the word
    live.kill()
    with pytest.raises(HTTPError):
        list(events)
    stream.close()
    run.close()
    live.start()
    agents = live.client("bedrock-agent")
    agents.update_agent(agentId=agent_id, **asked_for(role, "clerk"))
    agents.prepare_agent(agentId=agent_id)
    first = ask(live, agent_id, "TSTALIASID", inputText="Hello again.")[0]
    said = first["trace"]["trace"]["orchestrationTrace"]["modelInvocationInput"]["text"]
    words = [one["content"][0]["text"] for one in json.loads(said)["messages"]]
    assert words == ["My name is Ada.", kept["chunk"]["bytes"].decode(), "Hello again."]
