"""AgentCore Runtime by boto3 on a live region: agents' ZIPs and their processes, what those reach,
at which labels, and a region that is killed while they run."""

import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.exceptions import ClientError
from tests.clients import client_python
from tests.officers_live import Desk
from tests.runtimes_kit import DOINGS, PLAIN, Agency, packed, plain_agent
from tests.waiting import eventually
from tests.walls_live import People, walled

ONE, TWO = "session-one-" + "1" * 30, "session-two-" + "2" * 30
GATE = "http://127.0.0.1:9001"
SECRET = "S//SI"
MODEL = "bastide.smollm2-135m-instruct-v1:0"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    region = walled(tmp_path_factory.mktemp("runtimes"))
    try:
        region.cli("models", "pull", "smollm2-135m")
        made = People(region, Desk(region, tmp_path_factory.mktemp("officers")))
        made.begin()
        yield made
    finally:
        region.stop()


@pytest.fixture(scope="module")
def agency(people):
    return Agency(people.region, people.agency)


@pytest.fixture(scope="module")
def role(agency, people):
    made = agency.role("worker", "bedrock:InvokeModel*", "sts:*")
    people.clear("role/worker", SECRET)
    return made


@pytest.fixture(scope="module")
def agent(agency, role):
    made = agency.make(
        "plain", role, agency.put("plain.zip", plain_agent()),
        environmentVariables={"COLOUR": "green"},
    )  # fmt: skip
    assert made["status"] == "READY"
    return made["agentRuntimeArn"]


@pytest.fixture(scope="module")
def whole(agency):
    """The ZIP with all that its agents need: AWS's SDKs and Strands."""
    python = client_python("agentcore")
    (packages,) = python.parents[1].glob("lib/python3*/site-packages")
    agency.put("whole.zip", plain_agent([packages]))
    return "whole.zip"


@pytest.fixture(scope="module")
def caller(agency, role, whole):
    """An agent that calls AWS as it is told."""
    return agency.make("caller", role, agency.artifact(whole))["agentRuntimeArn"]


def called(agency, arn, service, operation, session=ONE, data=None, **more):
    return agency.ask(
        arn, session, data, do="call", service=service, operation=operation, **more
    )  # fmt: skip


def test_each_session_is_a_process_of_its_own(agency, agent):
    assert agency.ask(agent, ONE, do="count") == [1, 1]
    assert agency.ask(agent, ONE, do="count") == [2, 2]
    assert agency.ask(agent, TWO, do="count") == [1, 1]
    assert agency.ask(agent, ONE, do="environ", names=["COLOUR"]) == {"COLOUR": "green"}
    heads = agency.ask(agent, ONE, do="heads")
    assert heads["x-amzn-bedrock-agentcore-runtime-session-id"] == ONE
    assert not any(name in heads for name in ("authorization", "x-amz-security-token"))
    agency.data.stop_runtime_session(agentRuntimeArn=agent, runtimeSessionId=ONE)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        agency.data.stop_runtime_session(agentRuntimeArn=agent, runtimeSessionId=ONE)
    assert agency.ask(agent, ONE, do="count") == [1, 1]


def test_calls_that_begin_a_session_at_once_begin_one(agency, agent):
    with ThreadPoolExecutor(4) as threads:
        asked = [threads.submit(agency.ask, agent, "at-once-" + ONE, do="count") for _ in range(4)]
    assert sorted(one.result()[1] for one in asked)[-1] == 4


def test_who_may_ask(agency, agent, role, people):
    """By its ARN or its id alone; policies see one name, and the endpoint's beside it."""
    iam, runtime_id = agency.live.client("iam", agency.name), agent.partition("/")[2]
    iam.create_user(UserName="narrow")
    key = iam.create_access_key(UserName="narrow")["AccessKey"]
    narrow = people.with_keys({**key, "SessionToken": None}, "bedrock-agentcore")
    action = "bedrock-agentcore:InvokeAgentRuntime"

    def say(**more):
        document = {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": action, "Resource": agent},
            {"Effect": "Allow", "Action": action, "Resource": "*", **more},
        ]}  # fmt: skip
        iam.put_user_policy(
            UserName="narrow", PolicyName="own", PolicyDocument=json.dumps(document)
        )

    say(Resource=f"{agent}/runtime-endpoint/DEFAULT")
    for name in (agent, runtime_id):
        assert agency.ask(name, "narrow-" + ONE, data=narrow, do="count")
    say(Resource=f"{agent}/runtime-endpoint/live")
    for name in (agent, runtime_id):
        with pytest.raises(ClientError, match="AccessDenied"):
            agency.ask(name, "narrow-" + ONE, data=narrow, do="count")
    say(Effect="Deny", Resource=f"{agent}/*")
    with pytest.raises(ClientError, match="AccessDenied"):
        agency.ask(runtime_id, "narrow-" + ONE, data=narrow, do="count")


def test_an_answer_streams(agency, agent):
    answer = agency.data.invoke_agent_runtime(
        agentRuntimeArn=agent, runtimeSessionId=ONE,
        payload=json.dumps({"do": "stream", "parts": ["a", "b"]}),
    )  # fmt: skip
    assert answer["contentType"] == "text/event-stream"
    lines = [line for line in answer["response"].iter_lines() if line]
    assert lines == [b'data: "a"', b'data: "b"']
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-bastide-label"] == "U"


def test_a_process_that_fails_or_dies(agency, agent):
    for doing in ("fail", "die"):
        with pytest.raises(ClientError, match="RuntimeClientError") as error:
            agency.ask(agent, TWO, do=doing)
        assert error.value.response["ResponseMetadata"]["HTTPStatusCode"] == 424
    assert agency.ask(agent, TWO, do="count") == [1, 1]
    logs = agency.live.client("logs", agency.name)
    group = f"/aws/bedrock-agentcore/runtimes/{agent.partition('/')[2]}-DEFAULT"

    def told():
        events = logs.filter_log_events(logGroupName=group)["events"]
        return [event["message"] for event in events]

    eventually(lambda: any("on purpose" in line for line in told()), 20)


def test_a_process_reaches_the_gateway_and_nothing_else(agency, agent):
    port = int(agency.live.status["endpoint"].rpartition(":")[2])
    named = ["127.0.0.1", 9001]
    others = [["127.0.0.1", port], ["127.0.0.1", 22], ["169.254.169.254", 80], ["192.0.2.1", 443]]
    paths = [str(agency.live.folder / "control.sock"), "/run/bastide/gate.sock"]
    found = agency.ask(agent, ONE, do="connect", to=[named, *others, *paths])
    assert found[0] == "connected"
    assert "connected" not in found[1:], found
    status, said = agency.ask(agent, ONE, do="fetch", url=f"{GATE}/")
    assert status == 403, said  # as for whoever has no keys
    assert agency.ask(agent, ONE, do="hold", count=400) >= 64  # it has used up its own way
    assert agency.ask(agent, TWO, do="fetch", url=f"{GATE}/")[0] == 403  # and no other's
    agency.data.stop_runtime_session(agentRuntimeArn=agent, runtimeSessionId=ONE)


def test_its_keys_are_for_who_knows_the_token(agency, agent):
    names = ["AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_CONTAINER_AUTHORIZATION_TOKEN"]
    found = agency.ask(agent, ONE, do="environ", names=names)
    url, token = (found[name] for name in names)
    for given in ({}, {"Authorization": token[:-1] + "x"}):
        assert agency.ask(agent, ONE, do="fetch", url=url, headers=given)[0] == 403
    status, said = agency.ask(agent, ONE, do="fetch", url=url, headers={"Authorization": token})
    assert status == 200
    assert {"AccessKeyId", "SecretAccessKey", "Token", "Expiration"} <= json.loads(said).keys()


def test_it_works_as_its_role_and_with_no_other_keys(agency, caller, people):
    who = called(agency, caller, "sts", "get_caller_identity")
    assert ":assumed-role/worker/BedrockAgentCore-" in who["Arn"]
    body = {"Bucket": agency.bucket, "Key": "note"}
    agency.s3.put_object(**body, Body=b"a note")
    assert called(agency, caller, "s3", "get_object", params=body)["Body"] == "a note"
    with pytest.raises(ClientError, match="RuntimeClientError"):
        called(agency, caller, "s3", "put_object", params={**body, "Body": "x"})
    assert agency.s3.get_object(**body)["Body"].read() == b"a note"
    env = agency.live.agency(agency.name)
    brought = {"aws_access_key_id": env["AWS_ACCESS_KEY_ID"],
               "aws_secret_access_key": env["AWS_SECRET_ACCESS_KEY"]}  # fmt: skip
    with pytest.raises(ClientError, match="RuntimeClientError"):
        called(agency, caller, "sts", "get_caller_identity", **{"with": brought})
    group = f"/aws/bedrock-agentcore/runtimes/{caller.partition('/')[2]}-DEFAULT"
    logs = agency.live.client("logs", agency.name)
    eventually(
        lambda: any(
            "InvalidClientTokenId" in event["message"]
            for event in logs.filter_log_events(logGroupName=group)["events"]
        ),
        20,
    )
    trail = agency.live.client("cloudtrail", agency.name)
    for name, said in (("GetCallerIdentity", ":assumed-role/worker/"),
                       ("AssumeRole", "bedrock-agentcore.amazonaws.com")):  # fmt: skip
        asked = [{"AttributeKey": "EventName", "AttributeValue": name}]
        events = trail.lookup_events(LookupAttributes=asked)["Events"]
        assert any(said in event["CloudTrailEvent"] for event in events)


def test_an_agent_written_with_strands_is_unmodified(agency, role, whole):
    arn = agency.make(
        "talks", role, agency.artifact(whole, "talks.py"),
        environmentVariables={"MODEL_ID": MODEL},
    )["agentRuntimeArn"]  # fmt: skip
    first = agency.asked(arn, ONE, prompt="Say hello.")
    assert first["said"]
    assert first["turns"] == 2
    assert agency.asked(arn, ONE, prompt="And again.")["turns"] == 4  # its session remembers
    answer = agency.data.invoke_agent_runtime(
        agentRuntimeArn=arn, runtimeSessionId=ONE,
        payload=json.dumps({"prompt": "Say hello.", "stream": True}),
    )  # fmt: skip
    assert answer["contentType"].startswith("text/event-stream")
    lines = [line for line in answer["response"].iter_lines() if line]
    assert len(lines) > 2
    assert all(line.startswith(b"data: ") for line in lines)


def test_the_label_of_who_asks_is_the_process(agency, agent, people):
    high = people.at(SECRET, "bedrock-agentcore", read_timeout=300)
    assert agency.ask(agent, ONE, data=high, do="count") == [1, 1]  # another one than U's
    answer = high.invoke_agent_runtime(
        agentRuntimeArn=agent, runtimeSessionId=ONE, payload=b'{"do": "count"}'
    )
    assert json.loads(answer["response"].read())["said"] == [2, 2]
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-bastide-label"] == SECRET
    top = people.at("TS//SI", "bedrock-agentcore", read_timeout=300)
    with pytest.raises(ClientError, match="not cleared"):
        agency.ask(agent, ONE, data=top, do="count")
    group = f"/aws/bedrock-agentcore/runtimes/{agent.partition('/')[2]}-DEFAULT"
    logs = people.at(SECRET, "logs")

    below = agency.live.client("logs", agency.name)

    def count(client):
        return len(client.filter_log_events(logGroupName=group)["events"])

    eventually(lambda: count(logs) > count(below), 20)


def test_what_is_secret_does_not_go_down(agency, caller, people):
    """At a secret session's door even the agency's own keys at U are not known."""
    high = people.at(SECRET, "bedrock-agentcore", read_timeout=300)
    who = called(agency, caller, "sts", "get_caller_identity", data=high)
    assert ":assumed-role/worker/" in who["Arn"]
    low = people.assume("U")
    brought = {"aws_access_key_id": low["AccessKeyId"],
               "aws_secret_access_key": low["SecretAccessKey"],
               "aws_session_token": low["SessionToken"]}  # fmt: skip
    with pytest.raises(ClientError, match="RuntimeClientError"):
        called(agency, caller, "sts", "get_caller_identity", data=high, **{"with": brought})


def test_an_endpoint_runs_the_version_that_it_names(agency, role):
    """New code is for who asks without a name, until the endpoint is told to go on."""
    first = agency.put("first.zip", plain_agent())
    made = agency.make("versioned", role, first, environmentVariables={"COLOUR": "green"})
    arn, named = made["agentRuntimeArn"], {"agentRuntimeId": made["agentRuntimeId"]}
    agency.control.create_agent_runtime_endpoint(name="live", **named)
    more = """
def colour(asked, headers):
    return ["second", os.environ["COLOUR"]]
DOINGS["colour"] = colour
"""
    files = {"main.py": PLAIN, "helper/__init__.py": "", "helper/doings.py": DOINGS + more}
    changed = agency.control.update_agent_runtime(
        agentRuntimeArtifact=agency.put("second.zip", packed(files)), roleArn=role,
        networkConfiguration={"networkMode": "PUBLIC"}, environmentVariables={"COLOUR": "red"},
        **named,
    )  # fmt: skip
    assert changed["agentRuntimeVersion"] == "2"

    def colour(**at):
        answer = agency.data.invoke_agent_runtime(
            agentRuntimeArn=arn, runtimeSessionId=f"{at.get('qualifier', 'none')}-{ONE}",
            payload=b'{"do": "colour"}', **at,
        )  # fmt: skip
        return json.loads(answer["response"].read())["said"]

    assert colour() == ["second", "red"]
    with pytest.raises(ClientError, match="RuntimeClientError"):
        colour(qualifier="live")  # the first one does not know how
    seen = agency.control.get_agent_runtime(**named, agentRuntimeVersion="1")
    assert seen["environmentVariables"] == {"COLOUR": "green"}
    agency.data.stop_runtime_session(
        agentRuntimeArn=arn, runtimeSessionId=f"live-{ONE}", qualifier="live"
    )
    agency.control.update_agent_runtime_endpoint(
        endpointName="live", agentRuntimeVersion="2", **named
    )
    assert colour(qualifier="live") == ["second", "red"]


def test_other_agencies_find_nothing(agency, agent):
    other = agency.live.client("bedrock-agentcore", "other")
    with pytest.raises(ClientError, match=r"AccessDenied|ResourceNotFound"):
        agency.ask(agent, ONE, data=other, do="count")


@pytest.mark.parametrize("body", [b"", b"no zip", packed({"main.py": "x"})[:-3]])
def test_a_broken_zip_makes_no_runtime(agency, role, body):
    with pytest.raises(ClientError, match="ValidationException"):
        agency.make("broken", role, agency.put("broken.zip", body))


def test_an_agent_that_cannot_begin_says_where_to_look(agency, role):
    bad = agency.put("bad.zip", packed({"main.py": "import nothing_there"}))
    arn = agency.make("bad", role, bad)["agentRuntimeArn"]
    with pytest.raises(ClientError, match=r"RuntimeClientError.*starting the runtime"):
        agency.ask(arn, do="count")
    logs = agency.live.client("logs", agency.name)
    group = f"/aws/bedrock-agentcore/runtimes/{arn.partition('/')[2]}-DEFAULT"
    events = logs.filter_log_events(logGroupName=group)["events"]
    assert any("nothing_there" in event["message"] for event in events)


def test_a_region_that_was_killed_or_stopped_takes_its_sessions_over(agency, agent, caller):
    """The last of this module: the region is another process afterwards."""
    live = agency.live
    agency.ask(agent, ONE, do="count")
    before = agency.ask(agent, ONE, do="count")
    called(agency, caller, "sts", "get_caller_identity")
    for number, end in enumerate(
        (live.kill, lambda: (live.process.terminate(), live.process.wait(60)))
    ):
        end()
        live.start()
        after = agency.begin()
        assert after.ask(agent, ONE, do="count") == [one + 1 + number for one in before]
        who = called(after, caller, "sts", "get_caller_identity")
        assert ":assumed-role/worker/" in who["Arn"]
    for arn in (agent, caller):
        after.control.delete_agent_runtime(agentRuntimeId=arn.partition("/")[2])
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        after.ask(agent, ONE, do="count")
