"""Lambda's functions by boto3 on a live region: made, really run in their cage, and executing what
an agent calls."""

import base64
import json

import pytest
from botocore.exceptions import ClientError, EventStreamError
from tests.functions_kit import zipped
from tests.live import NAME
from tests.orchestrators import PACKAGE
from tests.service.test_service_agents import ABLE, INSTRUCTION, SHORT, prompts, role_of

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{
        "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }],
}  # fmt: skip
SOURCE = """
import json, os, socket, sys, time
count = 0

def handler(event, context):
    global count
    count += 1
    print("event", json.dumps(event))
    match event.get("do"):
        case "raise":
            raise ValueError("no such order")
        case "exit":
            os._exit(3)
        case "sleep":
            time.sleep(60)
        case "fill":
            return len(bytearray(1024 * 1024 * 1024))
        case "write":
            return open("/var/task/more.py", "w")
        case "connect":
            return socket.create_connection(("127.0.0.1", 80), 1)
        case "large":
            return "x" * 7_000_000
    return {
        "count": count, "name": context.function_name, "arn": context.invoked_function_arn,
        "memory": context.memory_limit_in_mb, "left": context.get_remaining_time_in_millis(),
        "request": context.aws_request_id, "place": os.environ["PLACE"],
        "secrets": sorted(name for name in os.environ if "KEY" in name or "TOKEN" in name),
        "root": sorted(os.listdir("/")), "python": list(sys.version_info[:2]),
    }
"""
ORDERS = """
import json

def handler(event, context):
    print(json.dumps(event))
    asked = {one["name"]: one["value"] for one in event["parameters"]}
    body = {"TEXT": {"body": f"Order {asked['order_id']} was shipped on Monday."}}
    return {
        "messageVersion": "1.0",
        "response": {
            "actionGroup": event["actionGroup"], "function": event["function"],
            "functionResponse": {"responseBody": body},
        },
        "sessionAttributes": {**event["sessionAttributes"], "asked": asked["order_id"]},
    }
"""
ORDER = {
    "name": "get_order_status", "description": "The status of an order",
    "parameters": {
        "order_id": {"type": "string", "description": "The order's id", "required": True}
    },
}  # fmt: skip


def lambda_role(live):
    iam, account = live.client("iam"), live.account("demo")["account_id"]
    iam.create_role(RoleName="runners", AssumeRolePolicyDocument=json.dumps(TRUST))
    return f"arn:aws-us-gov:iam::{account}:role/runners"


@pytest.fixture(scope="module")
def role(region):
    return lambda_role(region)


def created(live, role, name, source=SOURCE, **more):
    asked = {
        "Runtime": "python3.11", "Handler": "app.handler", "Role": role, "Timeout": 10,
        "Code": {"ZipFile": zipped(source)}, "Environment": {"Variables": {"PLACE": "here"}},
    }  # fmt: skip
    return live.client("lambda").create_function(FunctionName=name, **{**asked, **more})


def invoked(live, name, event=None, **more):
    answer = live.client("lambda", read_timeout=120).invoke(
        FunctionName=name, Payload=json.dumps(event or {}), **more
    )
    return answer, json.loads(answer["Payload"].read() or b"null")


def test_a_function_is_made_run_changed_and_gone(region, role):
    client = region.client("lambda")
    made = created(region, role, "clerk", Tags={"team": "one"}, Description="Counts")
    account = region.account("demo")["account_id"]
    arn = f"arn:aws-us-gov:lambda:{NAME}:{account}:function:clerk"
    assert (made["FunctionArn"], made["State"], made["Timeout"]) == (arn, "Active", 10)
    client.get_waiter("function_active_v2").wait(FunctionName="clerk")
    answer, said = invoked(region, "clerk", {"a": 1}, LogType="Tail")
    assert (answer["StatusCode"], answer["ExecutedVersion"]) == (200, "$LATEST")
    assert "FunctionError" not in answer
    assert (said["count"], said["name"], said["arn"], said["place"]) == (1, "clerk", arn, "here")
    assert said["memory"] == 128
    assert 0 < said["left"] <= 10_000
    assert said["secrets"] == []
    assert "home" not in said["root"]
    assert 'event {"a": 1}' in base64.b64decode(answer["LogResult"]).decode()
    assert invoked(region, arn)[1]["count"] == 2  # the same process: it was warm
    assert invoked(region, f"{account}:function:clerk:$LATEST")[1]["count"] == 3
    logs = region.client("logs")
    events = logs.filter_log_events(logGroupName="/aws/lambda/clerk")["events"]
    assert 'event {"a": 1}' in [one["message"] for one in events]
    update = {"Timeout": 2, "Environment": {"Variables": {"PLACE": "there"}}}
    client.update_function_configuration(FunctionName="clerk", **update)
    assert client.get_function_configuration(FunctionName="clerk")["Timeout"] == 2
    fresh = invoked(region, "clerk")[1]
    assert (fresh["count"], fresh["place"]) == (1, "there")
    changed = client.update_function_code(
        FunctionName="clerk", ZipFile=zipped("def handler(event, context):\n    return 'new'\n")
    )
    assert changed["CodeSha256"] != made["CodeSha256"]
    assert invoked(region, "clerk")[1] == "new"
    with pytest.raises(ClientError, match="PreconditionFailedException"):
        client.update_function_configuration(FunctionName="clerk", RevisionId="x", Timeout=3)
    assert client.list_tags(Resource=arn)["Tags"] == {"team": "one"}
    client.tag_resource(Resource=arn, Tags={"more": "two"})
    client.untag_resource(Resource=arn, TagKeys=["team"])
    found = client.get_function(FunctionName="clerk")
    assert (found["Tags"], found["Configuration"]["FunctionName"]) == ({"more": "two"}, "clerk")
    assert "clerk" in [one["FunctionName"] for one in client.list_functions()["Functions"]]
    assert region.client("lambda", "other").list_functions()["Functions"] == []
    for name in ("clerk", arn):
        with pytest.raises(ClientError, match=r"ResourceNotFound|AccessDenied"):
            region.client("lambda", "other").get_function(FunctionName=name)
    assert client.invoke(FunctionName="clerk", InvocationType="DryRun")["StatusCode"] == 204
    client.delete_function(FunctionName="clerk")
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        client.get_function(FunctionName="clerk")


def test_what_a_function_does_stays_in_its_cage(region, role):
    created(region, role, "wild", Timeout=1)
    wanted = {
        "raise": ("ValueError", "no such order"),
        "exit": ("Runtime.ExitError", "exit status 3"),
        "sleep": ("Sandbox.Timedout", "Task timed out after 1.00 seconds"),
        "fill": ("MemoryError|Runtime.ExitError", ""),
        "write": ("OSError", "Read-only file system"),
        "connect": ("ConnectionRefusedError|OSError", ""),
        "large": ("Function.ResponseSizeTooLarge", ""),
    }
    for what, (kind, message) in wanted.items():
        answer, failure = invoked(region, "wild", {"do": what})
        assert answer["FunctionError"] == "Unhandled", what
        assert failure["errorType"] in kind.split("|"), failure
        assert message in failure["errorMessage"]
    frames = invoked(region, "wild", {"do": "raise"})[1]["stackTrace"]
    assert "no such order" in frames[0]


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"Runtime": "nodejs22.x"}, "Runtime=nodejs22.x"),
        ({"Publish": True}, "Publish"),
        ({"Code": {"ZipFile": b"no zip"}}, "Could not unzip"),
        ({"Code": {"ZipFile": zipped("", "../app.py")}}, "name"),
        ({"Environment": {"Variables": {"AWS_REGION": "x"}}}, "reserved"),
        ({"Layers": ["arn:aws-us-gov:lambda:us-gov-west-1:111122223333:layer:x:1"]}, "Layers"),
        ({"Role": "arn:aws-us-gov:iam::111122223333:role/x"}, "PassRole|assume"),
        ({"Code": {"S3Bucket": "nowhere", "S3Key": "k"}}, "GetObject"),
    ],
)
def test_what_is_not_done_is_refused(region, role, more, why):
    with pytest.raises(ClientError, match=why):
        created(region, role, "refused", **more)


def test_what_nobody_waits_for_is_refused(region):
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        region.client("lambda").invoke(FunctionName="x", InvocationType="Event")


def test_a_package_from_s3(region, role):
    region.s3("packages-of-functions").put_object(
        Bucket="packages-of-functions", Key="app.zip", Body=zipped(SOURCE)
    )
    code = {"S3Bucket": "packages-of-functions", "S3Key": "app.zip"}
    created(region, role, "stored", Code=code)
    assert invoked(region, "stored")[1]["count"] == 1


def test_an_agent_has_its_functions_executed(region, role):
    region.cli("models", "pull", "qwen2.5-coder-1.5b")
    client, agents = region.client("lambda"), region.client("bedrock-agent")
    arn = created(region, role, "orders", ORDERS)["FunctionArn"]
    agent_id = agents.create_agent(
        agentName="orders-clerk", foundationModel=ABLE, instruction=INSTRUCTION,
        agentResourceRoleArn=role_of(region, "bedrock:InvokeModel", "bedrock:InvokeModel*"),
        promptOverrideConfiguration=SHORT,
    )["agent"]["agentId"]  # fmt: skip
    agents.create_agent_action_group(
        agentId=agent_id, agentVersion="DRAFT", actionGroupName="orders",
        actionGroupExecutor={"lambda": arn}, functionSchema={"functions": [ORDER]},
    )  # fmt: skip
    assert agents.prepare_agent(agentId=agent_id)["agentStatus"] == "FAILED"
    (reason,) = agents.get_agent(agentId=agent_id)["agent"]["failureReasons"]
    assert "lambda:InvokeFunction" in reason
    account = region.account("demo")["account_id"]
    source = f"arn:aws-us-gov:bedrock:{NAME}:{account}:agent/{agent_id}"
    asked = {"FunctionName": "orders", "Action": "lambda:InvokeFunction",
             "Principal": "bedrock.amazonaws.com"}  # fmt: skip
    client.add_permission(StatementId="other", SourceArn=f"{source[:-10]}OTHERAGENT", **asked)
    assert agents.prepare_agent(agentId=agent_id)["agentStatus"] == "FAILED"
    client.add_permission(StatementId="own", SourceArn=source, SourceAccount=account, **asked)
    client.remove_permission(FunctionName="orders", StatementId="other")
    policy = json.loads(client.get_policy(FunctionName="orders")["Policy"])
    assert [one["Sid"] for one in policy["Statement"]] == ["own"]
    assert agents.prepare_agent(agentId=agent_id)["agentStatus"] == "PREPARED"
    run = region.client("bedrock-agent-runtime", read_timeout=600)
    answer = run.invoke_agent(
        agentId=agent_id, agentAliasId="TSTALIASID", sessionId="s-1", enableTrace=True,
        inputText="Use get_order_status for order A-17.",
        sessionState={"sessionAttributes": {"desk": "7"}},
    )  # fmt: skip
    events = list(answer["completion"])
    assert events[-1]["chunk"]["bytes"]
    traced = [one["trace"]["trace"].get("orchestrationTrace", {}) for one in events[:-1]]
    (given,) = [one["invocationInput"] for one in traced if "invocationInput" in one]
    assert given["actionGroupInvocationInput"]["executionType"] == "LAMBDA"
    seen = [one["observation"] for one in traced if "observation" in one]
    assert seen[0]["actionGroupInvocationOutput"]["text"] == "Order A-17 was shipped on Monday."
    logged = region.client("logs").filter_log_events(logGroupName="/aws/lambda/orders")["events"]
    event = next(json.loads(one["message"]) for one in logged if one["message"].startswith("{"))
    assert event["agent"]["id"] == agent_id
    assert event["sessionAttributes"] == {"desk": "7"}
    assert event["parameters"] == [{"name": "order_id", "type": "string", "value": "A-17"}]


def let_in(live, name, agent_id):
    """The agent, by the function's policy."""
    account = live.account("demo")["account_id"]
    live.client("lambda").add_permission(
        FunctionName=name, StatementId=agent_id, Action="lambda:InvokeFunction",
        Principal="bedrock.amazonaws.com", SourceAccount=account,
        SourceArn=f"arn:aws-us-gov:bedrock:{NAME}:{account}:agent/{agent_id}",
    )  # fmt: skip


def test_an_agent_is_led_by_a_function(region, role):
    """AWS's contract, with a real model, a tool that a function executes, and a guardrail."""
    region.cli("models", "pull", "qwen2.5-coder-1.5b")
    agents, run = region.client("bedrock-agent"), region.client(
        "bedrock-agent-runtime", read_timeout=600
    )  # fmt: skip
    leader = created(region, role, "leader", PACKAGE, Handler="app.react")["FunctionArn"]
    orders = created(region, role, "led-orders", ORDERS)["FunctionArn"]
    words = {"wordsConfig": [{"text": "pineapple"}]}
    made = region.client("bedrock").create_guardrail(
        name="led", blockedInputMessaging="Not in.", blockedOutputsMessaging="Not out.",
        wordPolicyConfig=words,
    )  # fmt: skip
    agent_id = agents.create_agent(
        agentName="led", foundationModel=ABLE, instruction=INSTRUCTION,
        agentResourceRoleArn=role_of(region, "bedrock:InvokeModel", "bedrock:ApplyGuardrail"),
        orchestrationType="CUSTOM_ORCHESTRATION",
        customOrchestration={"executor": {"lambda": leader}},
        guardrailConfiguration={
            "guardrailIdentifier": made["guardrailId"], "guardrailVersion": "DRAFT"
        },
    )["agent"]["agentId"]  # fmt: skip
    agents.create_agent_action_group(
        agentId=agent_id, agentVersion="DRAFT", actionGroupName="orders",
        actionGroupExecutor={"lambda": orders}, functionSchema={"functions": [ORDER]},
    )  # fmt: skip
    let_in(region, "led-orders", agent_id)
    assert agents.prepare_agent(agentId=agent_id)["agentStatus"] == "FAILED"
    (reason,) = agents.get_agent(agentId=agent_id)["agent"]["failureReasons"]
    assert reason.startswith(f"Orchestrator {leader}: ")
    let_in(region, "leader", agent_id)
    assert agents.prepare_agent(agentId=agent_id)["agentStatus"] == "PREPARED"

    def asked(words):
        answer = run.invoke_agent(
            agentId=agent_id, agentAliasId="TSTALIASID", sessionId="s-1", enableTrace=True,
            inputText=words, sessionState={"sessionAttributes": {"desk": "7"}},
        )  # fmt: skip
        events = list(answer["completion"])
        told = [one["trace"]["trace"] for one in events if "trace" in one]
        return events[-1], told

    said, told = asked("Use get_order_status for order A-17.")
    assert said["chunk"]["bytes"]
    led = [one["customOrchestrationTrace"] for one in told if "customOrchestrationTrace" in one]
    texts = [one["event"]["text"] for one in led]
    assert texts == ["now INVOKE_MODEL", "now INVOKE_TOOL", "now INVOKE_MODEL", "now FINISH"]
    assert all(one["traceId"] for one in led)
    seen = [one["orchestrationTrace"]["observation"] for one in told
            if "observation" in one.get("orchestrationTrace", {})]  # fmt: skip
    assert seen[0]["actionGroupInvocationOutput"]["text"] == "Order A-17 was shipped on Monday."
    assert asked("Is there pineapple?")[0]["chunk"]["bytes"] == b"Not in."
    more, told = asked("And order B-3?")  # the conversation, told again, is one that models take
    assert {"chunk", "returnControl"} & more.keys()
    assert any("modelInvocationOutput" in one.get("orchestrationTrace", {}) for one in told)
    broken = "def react(event, context):\n    return {'version': '1.0'}\n"
    region.client("lambda").update_function_code(FunctionName="leader", ZipFile=zipped(broken))
    with pytest.raises(EventStreamError, match="dependencyFailedException"):
        asked("Where is order A-17?")


def test_an_agent_runs_code_and_hands_its_files_over(region):
    agents = region.client("bedrock-agent")
    agent_id = agents.create_agent(
        agentName="coder", foundationModel=ABLE,
        instruction="You are a calculator. You compute with Python, by your function run_python, "
        "and write results to files.",
        agentResourceRoleArn=role_of(region, "bedrock:Invoke*"),
        promptOverrideConfiguration=prompts(80),
    )["agent"]["agentId"]  # fmt: skip
    agents.create_agent_action_group(
        agentId=agent_id, agentVersion="DRAFT", actionGroupName="code",
        parentActionGroupSignature="AMAZON.CodeInterpreter",
    )  # fmt: skip
    assert agents.prepare_agent(agentId=agent_id)["agentStatus"] == "PREPARED"
    given = {"sourceType": "BYTE_CONTENT",
             "byteContent": {"data": b"1\n", "mediaType": "text/plain"}}  # fmt: skip
    answer = region.client("bedrock-agent-runtime", read_timeout=600).invoke_agent(
        agentId=agent_id, agentAliasId="TSTALIASID", sessionId="s-1", enableTrace=True,
        inputText="Use run_python to write 42 to the file out.txt.",
        sessionState={"files": [
            {"name": "in.txt", "useCase": "CODE_INTERPRETER", "source": given},
        ]},
    )  # fmt: skip
    events = list(answer["completion"])
    assert events[-1]["chunk"]["bytes"]
    (handed,) = [one["files"]["files"] for one in events if "files" in one]
    assert [(one["name"], one["bytes"]) for one in handed] == [("out.txt", b"42")]
    traced = [one["trace"]["trace"]["orchestrationTrace"] for one in events if "trace" in one]
    (ran,) = [one["observation"]["codeInterpreterInvocationOutput"] for one in traced
              if "codeInterpreterInvocationOutput" in one.get("observation", {})]  # fmt: skip
    assert ran["files"] == ["in.txt", "out.txt"]
