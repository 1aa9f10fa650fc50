"""Agent runtimes from CreateAgentRuntime to their sessions, on both databases; isolation of
agencies and labels."""

import dataclasses

import pytest
from tests.runtimes_kit import SESSION, Desk, Said, asked_for, caller, packed
from tests.sagefakes import ONE, OTHER, ROLE

from bastide.jobs.model import Exit, Status
from bastide.jobs.replicas import NotAnswered, NotReached
from bastide.kernel.errors import ServiceError
from bastide.runtimes import sessions as limits
from bastide.runtimes.model import Session, SessionKey

ANOTHER = "session-" + "1" * 32


@pytest.fixture
def desk(database, tmp_path):
    return Desk(database, tmp_path)


def fails(code, call, *args, **more):
    with pytest.raises(ServiceError) as error:
        call(*args, **more)
    assert error.value.code == code, error.value
    return error.value.message


async def fails_to_ask(desk, code, arn, **more):
    with pytest.raises(ServiceError) as error:
        await desk.ask(arn, **more)
    assert error.value.code == code, error.value


def test_a_runtime_is_made_changed_listed_and_deleted(desk):
    made = desk.make(description="first", environmentVariables={"KEY": "secret-value"})
    runtime_id = made["agentRuntimeId"]
    assert made["agentRuntimeArn"].endswith(f":runtime/{runtime_id}")
    assert (made["agentRuntimeVersion"], made["status"]) == ("1", "READY")
    fails("ConflictException", desk.make)
    asked = {**asked_for(), "agentRuntimeId": runtime_id, "description": "second"}
    del asked["agentRuntimeName"]
    changed = desk.do("update_agent_runtime", **asked)
    assert changed["agentRuntimeVersion"] == "2"
    newest = desk.do("get_agent_runtime", agentRuntimeId=runtime_id)
    assert (newest["description"], newest["agentRuntimeVersion"]) == ("second", "2")
    assert newest["lifecycleConfiguration"] == {
        "idleRuntimeSessionTimeout": 900, "maxLifetime": 28_800
    }  # fmt: skip
    older = desk.do("get_agent_runtime", agentRuntimeId=runtime_id, agentRuntimeVersion="1")
    assert older["environmentVariables"] == {"KEY": "secret-value"}
    listed = desk.do("list_agent_runtimes")["agentRuntimes"]
    assert [one["agentRuntimeVersion"] for one in listed] == ["2"]
    listed = desk.do("list_agent_runtime_versions", agentRuntimeId=runtime_id)["agentRuntimes"]
    assert [one["agentRuntimeVersion"] for one in listed] == ["2", "1"]
    assert desk.do("delete_agent_runtime", agentRuntimeId=runtime_id)["status"] == "DELETING"
    fails("ResourceNotFoundException", desk.do, "get_agent_runtime", agentRuntimeId=runtime_id)
    desk.make()


def test_pages(desk):
    names = [desk.make(f"agent{number}")["agentRuntimeId"]
             for number in range(3)]  # fmt: skip
    first = desk.do("list_agent_runtimes", maxResults=2)
    rest = desk.do("list_agent_runtimes", maxResults=2, nextToken=first["nextToken"])
    found = [one["agentRuntimeId"] for one in first["agentRuntimes"] + rest["agentRuntimes"]]
    assert sorted(found) == sorted(names)
    assert "nextToken" not in rest


def test_endpoints(desk):
    runtime_id = desk.make()["agentRuntimeId"]
    named = {"agentRuntimeId": runtime_id}
    made = desk.do("create_agent_runtime_endpoint", name="live", description="d", **named)
    assert made["targetVersion"] == "1"
    fails("ConflictException", desk.do, "create_agent_runtime_endpoint", name="live", **named)
    asked = {**asked_for(), **named}
    del asked["agentRuntimeName"]
    desk.do("update_agent_runtime", **asked)
    found = desk.do("list_agent_runtime_endpoints", **named)["runtimeEndpoints"]
    assert {one["name"]: one["liveVersion"] for one in found} == {"DEFAULT": "2", "live": "1"}
    one = {**named, "endpointName": "live"}
    desk.do("update_agent_runtime_endpoint", agentRuntimeVersion="2", **one)
    assert desk.do("get_agent_runtime_endpoint", **one)["liveVersion"] == "2"
    fails(
        "ResourceNotFoundException", desk.do,
        "update_agent_runtime_endpoint", agentRuntimeVersion="3", **one,
    )  # fmt: skip
    desk.do("delete_agent_runtime_endpoint", **one)
    fails("ResourceNotFoundException", desk.do, "get_agent_runtime_endpoint", **one)
    default = {**named, "endpointName": "DEFAULT"}
    fails("ConflictException", desk.do, "delete_agent_runtime_endpoint", **default)


def test_tags(desk):
    arn = desk.make(tags={"a": "1"})["agentRuntimeArn"]
    desk.do("tag_resource", resourceArn=arn, tags={"b": "2"})
    desk.do("untag_resource", resourceArn=arn, tagKeys=["a"])
    assert desk.do("list_tags_for_resource", resourceArn=arn)["tags"] == {"b": "2"}
    endpoint = f"{arn}/runtime-endpoint/DEFAULT"
    desk.do("tag_resource", resourceArn=endpoint, tags={"c": "3"})
    assert desk.do("list_tags_for_resource", resourceArn=endpoint)["tags"] == {"c": "3"}
    low = {"resourceArn": arn, "tags": {"bastide:label": "S"}}
    fails("UnsupportedOperation", desk.do, "tag_resource", **low)
    fails("ValidationException", desk.do, "untag_resource", resourceArn=arn,
          tagKeys=["bastide:label"])  # fmt: skip
    for other in (arn.replace(":runtime/", ":memory/"), arn + "/x", arn[:-1]):
        fails("ResourceNotFoundException", desk.do, "list_tags_for_resource", resourceArn=other)


def code_with(**more):
    code = asked_for()["agentRuntimeArtifact"]["codeConfiguration"]
    return {"agentRuntimeArtifact": {"codeConfiguration": {**code, **more}}}


@pytest.mark.parametrize(("asked", "code", "said"), [
    (code_with(runtime="PYTHON_3_13"), "UnsupportedOperation", "there is PYTHON_3_11"),
    (code_with(entryPoint=["opentelemetry-instrument", "main.py"]), "UnsupportedOperation",
     "opentelemetry-instrument"),
    (code_with(entryPoint=["../main.py"]), "ValidationException", "no file"),
    (code_with(entryPoint=["main"]), "ValidationException", ".py"),
    (code_with(code={"s3": {"bucket": "code", "prefix": "none.zip"}}), "ValidationException",
     "does not exist"),
    ({"agentRuntimeArtifact": {"containerConfiguration": {"containerUri": "x"}}},
     "ValidationException", "codeConfiguration"),
    ({"networkConfiguration": {"networkMode": "VPC"}}, "UnsupportedOperation", "VPC"),
    ({"protocolConfiguration": {"serverProtocol": "MCP"}}, "UnsupportedOperation", "MCP"),
    ({"lifecycleConfiguration": {"idleRuntimeSessionTimeout": 900, "maxLifetime": 60}},
     "ValidationException", "maxLifetime"),
    ({"environmentVariables": {"AWS_ENDPOINT_URL": "http://x"}}, "ValidationException", "region"),
    ({"environmentVariables": {"A=B": "x"}}, "ValidationException", "letters"),
    ({"tags": {"aws:x": "y"}}, "ValidationException", "reserved"),
])  # fmt: skip
def test_what_it_may_not_be(desk, asked, code, said):
    assert said in fails(code, desk.make, **asked)
    assert desk.do("list_agent_runtimes")["agentRuntimes"] == []


def test_its_role_must_be_passed_cleared_and_allowed_to_read(desk):
    desk.roles.refused.add(ROLE)
    fails("AccessDeniedException", desk.make)
    desk.roles.refused.clear()
    desk.roles.low.add(ROLE)
    fails("ValidationException", desk.make, who=caller(marking="S"))
    desk.permits.refused.add(("s3:GetObject", "arn:aws-us-gov:s3:::code/agent.zip"))
    fails("AccessDeniedException", desk.make)


def test_the_endpoints_of_what_is_not_there(desk):
    fails("ValidationException", desk.do, "list_agent_runtime_endpoints", agentRuntimeId="x-0")


def test_what_is_above_or_anothers_is_not_there(desk):
    secret = desk.make(who=caller(marking="S"))
    desk.make()  # the name is free at each label
    for who in (caller(), caller(account=OTHER, marking="S")):
        fails(
            "ResourceNotFoundException", desk.do, "get_agent_runtime", who,
            agentRuntimeId=secret["agentRuntimeId"],
        )  # fmt: skip
    low = desk.do("list_agent_runtimes")["agentRuntimes"]
    assert secret["agentRuntimeId"] not in {one["agentRuntimeId"] for one in low}
    high = caller(marking="S")
    below = {**asked_for(), "agentRuntimeId": low[0]["agentRuntimeId"]}
    for name in ("update_agent_runtime", "delete_agent_runtime"):
        fails("AccessDeniedException", desk.do, name, high, **below)


@pytest.mark.asyncio
async def test_a_session_is_of_its_agency_label_and_endpoint(desk):
    arn = desk.make()["agentRuntimeArn"]
    desk.do("create_agent_runtime_endpoint", agentRuntimeId=arn.split("/")[1], name="live")
    high = caller("InvokeAgentRuntime", marking="S")
    await desk.ask(arn)
    await desk.ask(arn)
    await desk.ask(arn, who=high)
    await desk.ask(arn, qualifier="live")
    await desk.ask(arn, session=ANOTHER)
    paths = [path for path, _ in desk.replicas.asked]
    assert paths[0] == paths[1]
    assert len(set(paths)) == 4
    assert high.notes.label == "S"
    labels = sorted(whose.label for whose, _ in desk.doors.open_now.values())
    assert labels == ["S", "U", "U", "U"]
    other = caller("InvokeAgentRuntime", account=OTHER)
    await fails_to_ask(desk, "ResourceNotFoundException", arn, who=other)
    await fails_to_ask(desk, "ResourceNotFoundException", arn, qualifier="none", session="x" * 40)
    await fails_to_ask(desk, "ResourceNotFoundException", arn, accountId=OTHER)
    await fails_to_ask(desk, "ResourceNotFoundException", arn.replace("us-gov-west-1", "us-x"))
    await fails_to_ask(desk, "ValidationException", arn, session="../" + "x" * 40)
    secret = desk.make(who=caller(marking="S"))["agentRuntimeArn"]
    await fails_to_ask(desk, "ResourceNotFoundException", secret)


@pytest.mark.asyncio
async def test_what_a_process_is_told_and_says(desk):
    arn = desk.make()["agentRuntimeArn"]
    said = await desk.ask(
        arn, says=Said(200, [b"data: 1\n\n", b"data: 2\n\n"], "text/event-stream"),
        payload=b'{"prompt": "x"}', contentType="application/json", traceParent="00-x",
    )  # fmt: skip
    assert said == b"data: 1\n\ndata: 2\n\n"
    (_, asked) = desk.replicas.asked[-1]
    assert asked.body == b'{"prompt": "x"}'
    assert asked.headers["X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"] == SESSION
    assert asked.headers["traceparent"] == "00-x"
    await fails_to_ask(desk, "ValidationException", arn, accept="a\r\nb: c")
    for says in (Said(500, [b"x"]), NotAnswered("x"), NotAnswered("x", timed_out=True),
                 Said(200, [b"x", NotAnswered("gone")])):  # fmt: skip
        desk.replicas.says.clear()
        await fails_to_ask(desk, "RuntimeClientError", arn, says=says)
    assert all(live.calls == 0 for live in desk.sessions._live.values())
    assert not desk.sessions._bytes


def test_payloads_under_way_above_refuse_nothing_below(desk):
    def at(label):
        key = SessionKey(account=ONE, runtime_id="r", endpoint="DEFAULT", id="s", label=label)
        return Session(key=key, version=1, job_id=f"job-{label}", token="t", started_ms=0)

    with desk.sessions.call(at("S"), 60, limits.BYTES_MAX):
        with desk.sessions.call(at("U"), 60, limits.BYTES_MAX):
            pass
        with (
            pytest.raises(ServiceError, match="under way"),
            desk.sessions.call(at("S"), 60, 1),
        ):
            pass
    assert not desk.sessions._bytes


@pytest.mark.asyncio
async def test_what_has_died_is_begun_anew(desk):
    arn = desk.make()["agentRuntimeArn"]
    await desk.ask(arn)
    (first,) = desk.jobs.jobs
    desk.jobs.go(first, Status.RUNNING, exits=(Exit(replica=0, code=137),))
    await desk.ask(arn)
    (second,) = desk.jobs.jobs
    assert second != first
    assert len(desk.doors.open_now) == 1
    desk.replicas.says = [NotReached("refused")]  # and then a new one answers
    await desk.ask(arn)
    (third,) = desk.jobs.jobs
    assert third != second
    desk.replicas.says = [NotReached("refused")]
    await fails_to_ask(desk, "RuntimeClientError", arn, says=NotReached("refused"))
    assert not desk.jobs.jobs
    assert not desk.doors.open_now


@pytest.mark.asyncio
async def test_one_that_cannot_begin_says_so(desk):
    arn = desk.make()["agentRuntimeArn"]
    desk.jobs.listeners["agent-runtime"] = [
        lambda job: desk.jobs.jobs.update(
            {job.spec.id: dataclasses.replace(job, exits=(Exit(replica=0, code=1),))}
        )
    ]
    with pytest.raises(ServiceError, match="starting the runtime"):
        await desk.do(
            "invoke_agent_runtime", agentRuntimeArn=arn, runtimeSessionId=SESSION, payload=b""
        )
    assert desk.do("list_agent_runtimes")["agentRuntimes"]
    assert not desk.doors.open_now


@pytest.mark.asyncio
async def test_sessions_end_when_they_are_idle_or_stopped_or_their_runtime_goes(desk):
    made = desk.make(lifecycleConfiguration={"idleRuntimeSessionTimeout": 60})
    arn = made["agentRuntimeArn"]
    await desk.ask(arn)
    await desk.ask(arn, session=ANOTHER)
    desk.clock.advance(59)
    await desk.ask(arn)
    busy = next(path.name for path, asked in desk.replicas.asked[:1])
    desk.clock.advance(2)
    desk.sessions.sweep()
    (job_id,) = desk.jobs.jobs
    assert job_id.endswith(busy)
    desk.clock.advance(59)
    desk.sessions.touch(job_id)  # it said that it works by itself
    desk.sessions.sweep()
    assert job_id in desk.jobs.jobs
    named = {"agentRuntimeArn": arn, "runtimeSessionId": SESSION}
    high = caller(marking="S")
    fails("ResourceNotFoundException", desk.do, "stop_runtime_session", high, **named)
    desk.do("stop_runtime_session", **named)
    fails("ResourceNotFoundException", desk.do, "stop_runtime_session", **named)
    await desk.ask(arn)
    await desk.ask(arn, who=caller("InvokeAgentRuntime", marking="S"))
    desk.do("delete_agent_runtime", agentRuntimeId=made["agentRuntimeId"])
    assert not desk.jobs.jobs
    assert not desk.doors.open_now


@pytest.mark.asyncio
async def test_their_number_and_their_calls_are_bounded(desk):
    arn = desk.make()["agentRuntimeArn"]
    for number in range(limits.SESSIONS_MAX):
        await desk.ask(arn, session=f"{number:040}")
    await fails_to_ask(desk, "ServiceQuotaExceededException", arn, session="x" * 40)
    who = caller("InvokeAgentRuntime")
    desk.replicas.says.clear()
    req = {"agentRuntimeArn": arn, "runtimeSessionId": f"{0:040}", "payload": b"x"}
    held = []
    for _ in range(limits.CALLS_MAX):
        desk.replicas.says.append(Said(200, [b"x"]))
        held.append(await desk.do("invoke_agent_runtime", who, **req))
    with pytest.raises(ServiceError, match="ThrottlingException"):
        await desk.do("invoke_agent_runtime", who, **req)
    for one in held:
        await one["response"].aclose()
    desk.replicas.says.append(Said(200, [b"x"]))
    await (await desk.do("invoke_agent_runtime", who, **req))["response"].aclose()


@pytest.mark.asyncio
async def test_after_a_kill_those_that_run_are_taken_over(desk):
    arn = desk.make()["agentRuntimeArn"]
    await desk.ask(arn)
    await desk.ask(arn, session=ANOTHER)
    lives, died = desk.jobs.jobs
    desk.jobs.go(died, Status.FAILED)
    before = dict(desk.doors.open_now)
    desk.doors.open_now.clear()
    desk.sessions._live.clear()
    stale, kept = (
        desk.sessions.doors_at / name for name in ("0" * 32, next(iter(before)).parent.name)
    )
    for folder in (stale, kept):
        folder.mkdir(parents=True)
    await desk.sessions.take_over()
    assert not stale.exists()
    (path,) = desk.doors.open_now
    assert path in before
    assert desk.doors.open_now[path][1].token == before[path][1].token
    assert list(desk.jobs.jobs) == [lives]


def test_what_a_session_is_started_with(desk, tmp_path):
    desk.make(environmentVariables={"COLOUR": "green", "HOME": "/x"})
    job = begun(desk)
    (launch,) = desk.kind.prepare(job, folder(tmp_path))
    assert launch.env["COLOUR"] == "green"
    assert launch.env["AWS_ENDPOINT_URL"] == "http://127.0.0.1:9001"
    assert launch.argv == ("/usr/bin/python3.11", "/var/task/main.py")
    assert launch.way_out.socket in desk.doors.open_now or launch.way_out.socket.parent.is_dir()
    assert (tmp_path / "work" / "code" / "main.py").read_text() == "print()"
    desk.objects.held["code", "agent.zip"] = packed({"main.py": "print('other')"})
    with pytest.raises(ServiceError, match="is not what this version was made of"):
        desk.kind.prepare(job, folder(tmp_path))
    (line,) = desk.logs
    assert line[1:3] == (
        "U",
        f"/aws/bedrock-agentcore/runtimes/{job.spec.payload['runtime']}-DEFAULT",
    )


def test_the_version_of_an_object_is_the_versions(desk, tmp_path):
    desk.make()
    desk.kind.prepare(begun(desk), folder(tmp_path))
    assert desk.objects.versions == [None, "v-1"]
    place = {"s3": {"bucket": "code", "prefix": "agent.zip", "versionId": "v-0"}}
    desk.make("named", **code_with(code=place))
    assert desk.objects.versions[-1] == "v-0"
    assert desk.permits.asked[-1] == ("s3:GetObjectVersion", "arn:aws-us-gov:s3:::code/agent.zip")


@pytest.mark.asyncio
async def test_a_doors_keys_are_made_now_and_then(desk):
    arn = desk.make()["agentRuntimeArn"]
    await desk.ask(arn)
    ((whose, own),) = desk.doors.open_now.values()
    assert (whose.role_arn, whose.label) == (ROLE, "U")
    first = await own.issue()
    assert await own.issue() is first
    desk.clock.advance(25 * 60)
    assert await own.issue() != first
    assert [one[:3] for one in desk.keys.issued] == [(whose.account, ROLE, "U")] * 2
    desk.keys.refuses = ServiceError("ValidationException", "The role is gone.")
    desk.clock.advance(25 * 60)
    for _ in range(3):
        with pytest.raises(ServiceError, match="is gone"):
            await own.issue()
    assert len(desk.keys.issued) == 3  # asked once, and answered three times
    desk.keys.refuses = None
    desk.clock.advance(3)
    await own.issue()


def test_a_zip_that_is_none_makes_no_version(desk):
    made = desk.make()
    desk.objects.held["code", "agent.zip"] = b"no zip"
    update = {**asked_for(), "agentRuntimeId": made["agentRuntimeId"]}
    del update["agentRuntimeName"]
    assert "no ZIP" in fails("ValidationException", desk.do, "update_agent_runtime", **update)
    newest = desk.do("get_agent_runtime", agentRuntimeId=made["agentRuntimeId"])
    assert newest["agentRuntimeVersion"] == "1"


def folder(tmp_path):
    work = tmp_path / "work"
    work.mkdir(exist_ok=True)
    return work


def begun(desk):
    (row,) = desk.do("list_agent_runtimes")["agentRuntimes"]
    session = desk.sessions.found(caller(), row["agentRuntimeId"], "DEFAULT", SESSION)
    return desk.jobs.find(session.job_id)


@pytest.mark.asyncio
async def test_a_runtime_is_found_by_the_arn_that_policies_are_asked_of_alone(desk):
    arn = desk.make()["agentRuntimeArn"]
    await fails_to_ask(desk, "ResourceNotFoundException", arn.replace(":runtime/", ":"))
    await fails_to_ask(
        desk, "ResourceNotFoundException", arn.replace(":runtime/", ":runtime/runtime/")
    )
