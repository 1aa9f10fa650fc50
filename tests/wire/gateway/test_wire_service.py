"""boto3 and raw sockets against the live server: streams, audit before answers, failures."""

import io
import logging
import socket

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError

from bastide.kernel.clock import SystemClock
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.wire import tls
from tests.waiting import eventually
from tests.wire.gateway.kit import CATALOGUE, KEY, REGION, SECRET, Request, World
from tests.wire.gateway.live import Live, statuses


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    names = tls.host_names(REGION, CATALOGUE)
    return tls.ensure(tmp_path_factory.mktemp("tls"), names, REGION, SystemClock())


@pytest.fixture
def secure(files):
    made = Live(World(clock=SystemClock()), files.certificate, files.key)
    made.ca, made.clients = files.ca, []
    yield made
    for one in made.clients:
        one.close()
    made.close()


@pytest.fixture
def plain():
    made = Live(World(allow_plain=True))
    yield made
    made.close()


def client(live, service, **config):
    made = boto3.client(
        service, region_name=REGION.name, endpoint_url=f"https://localhost:{live.port}",
        verify=str(live.ca), aws_access_key_id=KEY, aws_secret_access_key=SECRET,
        config=Config(retries={"max_attempts": 0}, **{"read_timeout": 20, **config}),
    )  # fmt: skip
    live.clients.append(made)
    return made


def test_boto3_s3(secure):
    s3 = client(secure, "s3")
    for size in (0, 5, 3_000_000):
        s3.put_object(Bucket="bucket", Key="a b/é+c", Body=io.BytesIO(b"x" * size))
        assert secure.world.handlers.bodies[-1].split()[0] == b"%d" % size
    assert s3.get_object(Bucket="bucket", Key="5000000")["Body"].read() == b"x" * 5_000_000
    eventually(lambda: secure.world.handlers.closed == ["get_object"])
    s3.list_buckets()
    s3.delete_objects(Bucket="bucket", Delete={"Objects": [{"Key": "a"}]})


def test_boto3_json_query_and_cbor(secure):
    client(secure, "sagemaker").list_training_jobs()
    assert client(secure, "sts").get_caller_identity()["Account"] == "123456789012"
    for protocol in ("smithy-rpc-v2-cbor", "json", "query"):
        metrics = client(secure, "cloudwatch")
        metrics.meta.service_model.metadata["protocol"] = protocol
        assert metrics.list_metrics()["Metrics"] == []
    assert client(secure, "bedrock").list_foundation_models()["modelSummaries"] == []


def test_an_answer_without_a_body_keeps_its_connection(plain):
    """204 of an operation whose output has no members, which in JSON is `{}` elsewhere."""
    target = "/agents/ABCDEFGHIJ/agentversions/DRAFT/actiongroups/KLMNOPQRST/"
    asked = Request("DELETE", target, [], b"", "bedrock").sign().wire()
    answer = plain.raw(asked + asked)
    assert statuses(answer) == [204, 204]
    assert b"{}" not in answer
    assert b"connection: close" not in answer
    ended = [event for event in plain.world.auditor.events if event[0] == "closed"]
    assert ended == [("closed", "bedrock-agent.DeleteAgentActionGroup 204", "")] * 2


def test_a_download_that_is_left_is_closed(secure):
    body = client(secure, "s3").get_object(Bucket="bucket", Key=str(1 << 30))["Body"]
    body.read(1000)
    body.close()
    eventually(lambda: secure.world.handlers.closed == ["get_object"])
    eventually(lambda: "closed" in secure.world.auditor.kinds())


MESSAGES = [{"role": "user", "content": [{"text": "hi"}]}]


def test_an_event_stream_and_one_that_is_left(secure):
    runtime = client(secure, "bedrock-runtime")
    events = runtime.converse_stream(modelId="m", messages=MESSAGES)["stream"]
    assert [next(iter(e)) for e in events] == ["messageStart", "messageStop"]
    stream = runtime.converse_stream(modelId="endless", messages=MESSAGES)["stream"]
    assert "messageStart" in next(iter(stream))
    assert secure.world.handlers.closed == ["converse_stream"]
    stream.close()
    eventually(lambda: secure.world.handlers.closed == ["converse_stream"] * 2)


def test_a_client_that_leaves_ends_the_work(secure):
    runtime = client(secure, "bedrock-runtime", read_timeout=0.3)
    with pytest.raises(ReadTimeoutError):
        runtime.invoke_model(modelId="slow", body=b"{}")
    eventually(lambda: secure.world.handlers.closed == ["invoke_model"])


def put(size: int = 5) -> bytes:
    return Request("PUT", "/bucket/key", [], b"x" * size).sign().wire()


def test_five_gibibytes_declared_are_refused_before_they_come(plain):
    request = Request("PUT", "/bucket/key", [("expect", "100-continue")], b"").sign(
        form="UNSIGNED-PAYLOAD"
    )
    request.set("content-length", str(5 << 30))
    answer = plain.raw(request.wire())
    assert statuses(answer)[-1] == 400
    assert b"EntityTooLarge" in answer


def test_no_byte_leaves_before_the_record_is_durable(plain):
    plain.world.auditor.holds = True
    for data in (put(), Request("GET", "/bucket/5").sign().wire(),
                 b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"):  # fmt: skip
        with plain.connect() as sock:
            sock.sendall(data)
            eventually(lambda: plain.world.auditor.held)
            sock.settimeout(0.2)
            with pytest.raises(TimeoutError):
                sock.recv(1)
            plain.world.auditor.held.pop().set_result(1)
            sock.settimeout(5)
            assert sock.recv(9) == b"HTTP/1.1 "


@pytest.mark.parametrize("error", [Unavailable("disk", 3), RuntimeError("secret detail")])
def test_a_record_that_cannot_be_made_durable_is_no_answer(plain, error):
    plain.world.auditor.holds = True
    with plain.connect() as sock:
        sock.sendall(Request("GET", "/bucket/5").sign().wire())
        eventually(lambda: plain.world.auditor.held)
        plain.world.auditor.held.pop().set_exception(error)
        answer = sock.recv(10_000)
    assert statuses(answer) == [503 if isinstance(error, Unavailable) else 500]
    assert b"xxxxx" not in answer
    assert b"secret" not in answer


def test_without_an_audit_log_nothing_is_done(plain):
    plain.world.auditor.unavailable = True
    answer = plain.raw(put())
    assert statuses(answer) == [503]
    assert b"retry-after: 7" in answer
    assert plain.world.handlers.reached == []


def test_our_own_bugs_have_no_detail(plain, caplog):
    plain.world.handlers.failure = KeyError("the secret name")
    with caplog.at_level(logging.ERROR):
        answer = plain.raw(put())
    assert statuses(answer) == [500]
    assert b"secret" not in answer
    request_id = answer.split(b"<RequestId>")[1].split(b"<")[0].decode()
    assert request_id in caplog.text
    assert ("closed", "s3.PutObject 500", "InternalError") in plain.world.auditor.events


def test_a_refusal_may_say_when_to_come_back_and_no_other_error_does(plain):
    plain.world.handlers.failure = ServiceError("SlowDown", "Too much.", retry_after_s=8.2)
    assert b"retry-after: 8" in plain.raw(put())
    for failure in (ServiceError("SlowDown", "Too much."), KeyError("retry_after_s")):
        plain.world.handlers.failure = failure
        assert b"retry-after" not in plain.raw(put())


def test_unavailable_says_when_to_come_back(plain):
    plain.world.handlers.failure = Unavailable("the database", 12)
    answer = plain.raw(put())
    assert statuses(answer) == [503]
    assert b"retry-after: 12" in answer
    assert b"database" not in answer


def test_an_upload_that_is_cut_off(plain):
    with plain.connect() as sock:
        sock.sendall(put(100_000)[:50_000])
        eventually(lambda: plain.world.handlers.reached)
        sock.shutdown(socket.SHUT_RDWR)
    eventually(lambda: "closed" in plain.world.auditor.kinds())
    assert plain.world.handlers.bodies == []


def test_compressed_metrics(secure):
    """botocore compresses PutMetricData from 10 KiB on."""
    data = [{"MetricName": f"metric-{n}", "Value": float(n)} for n in range(900)]
    client(secure, "cloudwatch").put_metric_data(Namespace="test", MetricData=data)
    assert secure.world.handlers.bodies == [b"900"]
