"""Functions on both databases, in real processes: whose they are, at which label, and how often."""

import json

import pytest
from tests.functions_kit import COUNT, ECHO, Machine, Site, caller, zipped
from tests.sagefakes import ONE, OTHER

from bastide.functions.functions import RUNTIME
from bastide.kernel.errors import ServiceError

AGENT = f"arn:aws-us-gov:bedrock:us-gov-west-1:{ONE}:agent/AGENTAGENT"


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    return Machine(tmp_path_factory.mktemp("machine"))


@pytest.fixture
def site(database, machine, tmp_path):
    fleet = machine.fleet(tmp_path / "functions")
    yield Site(database, fleet)
    fleet.close()


def says(said):
    """Code that answers past our own: `said` in the place of an error object."""
    head = len(said).to_bytes(4, "big") + bytes(4)
    return f"import os\nos.write(4, {head + said!r})\n"


def payload(answer):
    return json.loads(answer["Payload"])


@pytest.mark.asyncio
async def test_a_process_is_of_one_label(site):
    site.make(source=COUNT)
    secret, noforn = caller("S"), caller("S//NF")
    low = caller()
    assert payload(await site.invoke(who=low)) == 1
    assert payload(await site.invoke(who=secret)) == 1
    assert payload(await site.invoke(who=noforn)) == 1
    assert payload(await site.invoke(who=caller())) == 2
    assert (low.notes.label, secret.notes.label) == ("U", "S")
    assert [(marking, lines[1]) for _, marking, _, _, lines in site.logs.put_] == [
        ("U", "counted 1"), ("S", "counted 1"), (noforn.notes.label, "counted 1"),
        ("U", "counted 2"),
    ]  # fmt: skip
    streams = {stream for *_, stream, _ in site.logs.put_}
    assert len(streams) == 3  # one for each process
    # Nobody changes it from above; with a change its processes are of another function.
    with pytest.raises(ServiceError, match="cannot change"):
        site.do("update_function_configuration", secret, FunctionName="f", Timeout=9)
    site.do("update_function_configuration", FunctionName="f", Timeout=9)
    assert payload(await site.invoke()) == 1


@pytest.mark.asyncio
async def test_what_is_above_a_session_is_found_by_none(site):
    site.make("above", who=caller("S"))
    for name in ("get_function", "get_function_configuration", "get_policy", "delete_function"):
        with pytest.raises(ServiceError, match="Function not found"):
            site.do(name, FunctionName="above")
    with pytest.raises(ServiceError, match="Function not found"):
        await site.invoke("above")
    assert site.do("list_functions")["Functions"] == []
    made = site.make("above")  # its name is free
    assert payload(await site.invoke("above", b"1")) == 1
    with pytest.raises(ServiceError, match="already exist"):
        site.make("above")
    for who in (caller(account=OTHER), caller("TS", OTHER)):
        with pytest.raises(ServiceError, match="Function not found"):
            site.do("get_function", who, FunctionName="above")
        with pytest.raises(ServiceError, match="does not exist"):
            site.do("list_tags", who, Resource=made["FunctionArn"])
    assert len(site.do("list_functions", caller("S"))["Functions"]) == 1  # its own is preferred


@pytest.mark.asyncio
async def test_a_role_must_be_cleared_for_what_it_works_at(site):
    site.make()
    site.roles.clearance = "C"
    assert payload(await site.invoke(payload=b"1")) == 1
    with pytest.raises(ServiceError, match="not cleared"):
        await site.invoke(who=caller("S"))
    with pytest.raises(ServiceError, match="not cleared"):
        site.make("g", who=caller("S"))


@pytest.mark.asyncio
async def test_an_agent_is_let_in_by_the_functions_policy(site):
    arn, worker = site.make()["FunctionArn"], caller()
    with pytest.raises(ServiceError, match="not permitted"):
        await site.executors.invoke(worker, "AGENTAGENT", arn, b"1")
    assert site.permits.asked == []  # there is no policy to be asked
    with pytest.raises(ServiceError, match="Principal=sns"):
        site.do("add_permission", FunctionName="f", StatementId="a", Action="lambda:InvokeFunction",
                Principal="sns.amazonaws.com")  # fmt: skip
    asked = {
        "FunctionName": "f",
        "Action": "lambda:InvokeFunction",
        "Principal": "bedrock.amazonaws.com",
        "SourceArn": AGENT,
        "SourceAccount": ONE,
    }
    site.do("add_permission", StatementId="a", **asked)  # fmt: skip
    with pytest.raises(ServiceError, match="already exists"):
        site.do("add_permission", StatementId="a", **asked)
    assert await site.executors.invoke(worker, "AGENTAGENT", arn, b"1") == (b"1", "")
    ((action, resource, service, document, context),) = site.permits.asked
    assert (action, resource, service) == ("lambda:InvokeFunction", arn, "bedrock.amazonaws.com")
    assert context == {"aws:SourceArn": AGENT, "aws:SourceAccount": ONE}
    (statement,) = json.loads(document)["Statement"]
    assert statement["Condition"]["ArnLike"] == {"AWS:SourceArn": AGENT}
    site.permits.lets = False
    with pytest.raises(ServiceError, match="not permitted"):
        site.executors.check(worker, "AGENTAGENT", arn)
    for other in (arn.replace(ONE, OTHER), arn.replace("-west-", "-east-"), f"{arn}:1", "f"):
        with pytest.raises(ServiceError, match="Function not found"):
            site.executors.check(worker, "AGENTAGENT", other)
    # An inline agent's caller needs the permission itself.
    site.executors.check(worker, "", arn)
    site.permits.denied = {"lambda:InvokeFunction"}
    with pytest.raises(ServiceError, match="not permitted"):
        site.executors.check(worker, "", arn)
    site.do("remove_permission", FunctionName="f", StatementId="a")
    with pytest.raises(ServiceError, match="does not exist"):
        site.do("get_policy", FunctionName="f")


@pytest.mark.asyncio
async def test_a_function_that_fails_says_so_to_an_agent(site):
    arn = site.make(source="def handler(event, context):\n    raise KeyError('x')\n")["FunctionArn"]
    said, why = await site.executors.invoke(caller(), "", arn, b"1")
    assert said == b""
    assert json.loads(why)["errorType"] == "KeyError"


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("source", "handler", "kind"),
    [
        ("x = ", "app.handler", "Runtime.UserCodeSyntaxError"),
        ("import nothing", "app.handler", "Runtime.ImportModuleError"),
        ("", "app.handler", "Runtime.HandlerNotFound"),
        ("", "handler", "Runtime.MalformedHandlerName"),
        ("handler = lambda e, c: {1, 2}", "app.handler", "Runtime.MarshalError"),
        ("import sys\nsys.exit(4)", "app.handler", "Runtime.ExitError"),
        ("import os\nos.write(4, b'x' * 9)", "app.handler", "Runtime.ExitError"),
        (says(b'{"x": 1}'), "app.handler", "Runtime.ExitError"),
        (says(b"[" * 2_000), "app.handler", "Runtime.ExitError"),
        (says(rb'{"errorType": "\ud800", "errorMessage": ""}'), "app.handler", "\ufffd"),
        ("import os\nos.close(1)\nos.close(2)\nos._exit(0)", "app.handler", "Runtime.ExitError"),
    ],
)
async def test_what_cannot_be_run_has_awss_name(site, source, handler, kind):
    site.make(source=source, Handler=handler)
    answer = await site.invoke(LogType="Tail")
    assert answer["FunctionError"] == "Unhandled"
    failure = payload(answer)
    assert failure["errorType"] == kind
    assert any(kind in line for *_, lines in site.logs.put_ for line in lines)


@pytest.mark.asyncio
async def test_events_that_are_not_taken(site):
    site.make()
    for given, code in (
        (b"no json", "InvalidRequestContentException"),
        (b"[" * 200_000, "InvalidRequestContentException"),
        (b'"' + b"x" * 6_291_456 + b'"', "RequestTooLargeException"),
    ):
        with pytest.raises(ServiceError) as caught:
            await site.invoke(payload=given)
        assert caught.value.code == code
    large = b'"' + b"x" * 6_291_000 + b'"'
    assert (await site.invoke(payload=large))["Payload"] == large
    for more in ({"Qualifier": "1"}, {"InvocationType": "Event"}):
        with pytest.raises(ServiceError):
            await site.invoke(**more)


def test_code_and_configuration_are_checked_before_they_are_kept(site):
    made = site.make()
    for more, why in (
        ({"Runtime": "python2.7"}, "Runtime=python2.7"),
        ({"Timeout": 901}, "Timeout"),
        ({"MemorySize": 4096}, "MemorySize"),
        ({"PackageType": "Image"}, "PackageType"),
        ({"Code": {"S3Bucket": "b"}}, "provide a source"),
        ({"Code": {"S3Bucket": "b", "S3Key": "k"}}, "does not exist"),
        ({"Environment": {"Variables": {"A": "x" * 5000}}}, "4096"),
        ({"Environment": {"Variables": {"LAMBDA_X": "1"}}}, "reserved"),
        ({"Tags": {"aws:x": "1"}}, "reserved"),
        ({"FunctionName": "a/b"}, "FunctionName"),
    ):
        with pytest.raises(ServiceError, match=why):
            site.make(**{"name": "g", **{"name" if k == "FunctionName" else k: v
                                         for k, v in more.items()}})  # fmt: skip
    before = site.do("get_function_configuration", FunctionName="f")
    assert before["CodeSha256"] == made["CodeSha256"]
    tried = site.do("update_function_code", FunctionName="f", ZipFile=zipped("x"), DryRun=True)
    assert tried["CodeSha256"] != before["CodeSha256"]
    assert site.do("get_function", FunctionName="f")["Configuration"] == before
    for name in ("update_function_code", "update_function_configuration"):
        with pytest.raises(ServiceError, match="Revision Id"):
            site.do(name, FunctionName="f", RevisionId="old", ZipFile=zipped("x"))
    assert before["Runtime"] == RUNTIME
    site.make("g", source=ECHO, Environment={"Variables": {"A": "1"}})
    listed = site.do("list_functions", MaxItems=1)
    assert [one["FunctionName"] for one in listed["Functions"]] == ["f"]
    rest = site.do("list_functions", Marker=listed["NextMarker"])
    assert [one["Environment"] for one in rest["Functions"]] == [{"Variables": {"A": "1"}}]
    site.do("tag_resource", Resource=made["FunctionArn"], Tags={"a": "1"})
    with pytest.raises(ServiceError, match="label"):
        site.do("untag_resource", Resource=made["FunctionArn"], TagKeys=["bastide:label"])
    site.do("delete_function", FunctionName="f")
    site.make("f")


@pytest.mark.asyncio
async def test_code_of_a_model_is_run_with_its_files(site):
    run = lambda code, files=None: site.interpreter.run(caller(), code, files or {})  # noqa: E731
    ran = await run("print(open('a.csv').read())\nopen('b.txt', 'w').write('x')", {"a.csv": b"1"})
    assert (ran.output, ran.error) == ("1\n", "")
    assert ran.files == {"a.csv": b"1", "b.txt": b"x"}
    ran = await run("import os\nos.symlink('/etc/passwd', 'p')\nos.mkdir('d')\n1 / 0")
    assert "ZeroDivisionError" in ran.error
    assert "Not kept, as they are no files or too large: d, p" in ran.output
    assert ran.files == {}
    ran = await run("import os\nos._exit(1)", {"a": b"1"})
    assert (ran.error, ran.files) == ("The process ended: exit status 1", {"a": b"1"})
    ran = await run("import socket\nsocket.create_connection(('127.0.0.1', 1), 1)")
    assert "Error" in ran.error
    ran = await run("x = bytearray(1 << 31)")
    assert ran.error
    ran = await run(r"print('a\ud800b')" + "\n" + r"raise ValueError('\udc00')")
    assert ran.output == "a\ufffdb\n"
    assert "ValueError: \ufffd" in ran.error
    ran = await run(r"open(b'\xff', 'w').close(); open('kept', 'w').close()")
    assert (ran.error, ran.files) == ("", {"kept": b""})
    # Whatever it says in place of an answer is an error of its own.
    said = "import os, struct\nfor fd in range(3, 9):\n  try: os.write(fd, struct.pack('>II', 2, 2) + b'{}[]')\n  except OSError: pass\nos._exit(0)"  # noqa: E501
    ran = await run(said)
    assert ran.error
    site.interpreter = type(site.interpreter)(
        fleet=site.fleet, threads=site.interpreter.threads, timeout_s=0.5
    )
    ran = await site.interpreter.run(caller(), "while True: pass", {"a": b"1"})
    assert (ran.timed_out, ran.files) == (True, {"a": b"1"})
