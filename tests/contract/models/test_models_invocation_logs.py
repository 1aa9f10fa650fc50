"""Logs of invocations: at the label of each answer, bounded, and nobody's failure."""

import gzip
import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.inference_kit import GOV
from tests.labels_kit import US, labelling, marks
from tests.sagefakes import ONE, call

from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import SeededIds
from bastide.models import invocation_delivery
from bastide.models.invocation_delivery import PAUSES_S, InvocationLogs
from bastide.models.invocation_logging import InvocationLogging
from bastide.models.invocation_records import Invocation, of_call

BUCKET = {"s3Config": {"bucketName": "b", "keyPrefix": "p"}}
GROUP = {"cloudWatchConfig": {"logGroupName": "/g", "roleArn": "arn:role"}}


class Places:
    """Buckets, log groups, roles and policies, as far as deliveries ask them."""

    def __init__(self):
        self.put_objects, self.put_lines, self.closed, self.broken = [], [], set(), 0

    def has_bucket(self, who, bucket):
        return bucket == "b"

    def put(self, who, bucket, *args, **_):
        if isinstance(who, str):  # of a log: account, marking, group, stream, events
            self.put_lines.append((bucket, *args))
            return
        if self.broken:
            self.broken -= 1
            raise OSError(28, "No space left on device")
        key, chunks = args
        self.put_objects.append((who.session.text, key, b"".join(chunks)))

    def check_pass(self, *_):
        return None

    def assume_for_service(self, account, role_arn, service, marking):
        return call("bedrock.X", account, marking).principal

    def permits(self, who, action, resource, context):
        return action not in self.closed

    permits_service = permits


@pytest.fixture
def places():
    return Places()


@pytest.fixture
def logs(database, places):
    return InvocationLogs(
        region=GOV, database=database, clock=ManualClock(), ids=SeededIds(1),
        labelling=labelling(), roles=places, permits=places, objects=places, lines=places,
    )  # fmt: skip


@pytest.fixture
def api(database, logs, places):
    return InvocationLogging(
        database=database, marks=marks(database), clock=ManualClock(), roles=places, logs=logs
    )


def put(api, config=BUCKET, marking="U"):
    asked = call("bedrock.PutModelInvocationLoggingConfiguration", ONE, marking)
    api.put_model_invocation_logging_configuration(asked, {"loggingConfig": config})


def got(api, marking="U"):
    asked = call("bedrock.GetModelInvocationLoggingConfiguration", ONE, marking)
    return api.get_model_invocation_logging_configuration(asked, {}).get("loggingConfig")


def made(label="U", text="hello", account=ONE, **more):
    return Invocation(
        account=account, label=label, identity="arn:user", request_id=f"r-{text[:9]}",
        time=datetime(2026, 1, 1, 12, tzinfo=UTC), operation="Converse", model_id="m",
        asked={"messages": [{"content": [{"text": text}]}]}, answered={"said": "x"},
        tokens=(3, 2), size=len(text), **more,
    )  # fmt: skip


def told(body):
    return [json.loads(line) for line in gzip.decompress(body).splitlines()]


def test_each_record_is_written_at_its_label(api, logs, places):
    put(api)
    for label in ("U", "S", "U"):
        logs.record(ONE, lambda label=label: made(label))
    logs.deliver()
    assert [(label, len(told(body))) for label, _, body in places.put_objects] == [
        ("U", 2), ("S", 1),
    ]  # fmt: skip
    keys = [key for _, key, _ in places.put_objects]
    start = f"p/AWSLogs/{ONE}/BedrockModelInvocationLogs/us-gov-west-1/2026/01/01/12/"
    assert all(key.startswith(start) and key.endswith(".json.gz") for key in keys)


def test_a_question_is_not_logged_below_who_asked_it_for_an_answer_that_is():
    """From documents that lie below, an answer may be of their label; the question is not."""
    asked = call("bedrock-agent-runtime.RetrieveAndGenerate", ONE, "S")
    asked.notes.label = "U"
    said = {"model_id": "m", "asked": "secret", "answered": "open", "tokens": (1, 1), "size": 9}
    assert of_call(asked, **said).label == "S"


def test_what_is_configured_above_holds_above_alone(api, logs, places):
    put(api, GROUP, marking="S")
    assert got(api) is None
    assert got(api, "S") == GROUP
    logs.record(ONE, lambda: made("U"))
    logs.record(ONE, lambda: made("S"))
    logs.deliver()
    ((marking, group, stream, events),) = places.put_lines
    assert (marking, group, stream) == ("S", "/g", "aws/bedrock/modelinvocations")
    assert len(events) == 1
    put(api, BUCKET)
    assert (got(api), got(api, "S")) == (BUCKET, GROUP)
    asked = call("bedrock.X", ONE, "S")
    api.delete_model_invocation_logging_configuration(asked, {})
    assert got(api, "S") == BUCKET, "what lies below is seen, and not changed"


class Walled(Places):
    """What a stream has in it is changed at its own label alone; a session sees those below."""

    def permits(self, who, action, resource, context):
        if action != "logs:PutLogEvents" or not self.put_lines:
            return action not in self.closed
        return who.session.text in {marking for marking, *_ in self.put_lines}


def test_a_stream_below_takes_no_line_from_above(database, logs, api, monkeypatch):
    places = Walled()
    for name in ("permits", "lines"):
        monkeypatch.setattr(logs, name, places)
    put(api, GROUP)
    for label in ("U", "S"):
        logs.record(ONE, lambda label=label: made(label))
        logs.deliver()
    assert [(marking, len(events)) for marking, _, _, events in places.put_lines] == [
        ("U", 1), ("S", 0), ("S", 1),
    ]  # fmt: skip
    places.closed, places.put_lines = {"logs:CreateLogStream"}, [("U", "/g", "s", ())]
    logs.record(ONE, lambda: made("S"))
    logs.deliver()
    assert [marking for marking, *_ in places.put_lines] == ["U"]


def test_nobody_else_s_invocations(api, logs, places):
    put(api)
    logs.record("222222222222", lambda: pytest.fail("nobody asked for it"))
    logs.deliver()
    assert places.put_objects == []


def test_what_is_switched_off_is_not_logged(api, logs, places):
    put(api, {**BUCKET, "embeddingDataDeliveryEnabled": False})
    logs.record(ONE, lambda: made(is_embedding=True))
    logs.record(ONE, lambda: made())
    logs.deliver()
    ((_, _, body),) = places.put_objects
    assert len(told(body)) == 1


def test_a_large_body_is_an_object_of_its_own(api, logs, places):
    put(api, BUCKET | GROUP)
    logs.record(ONE, lambda: made(text="x" * 200_000))
    logs.deliver()
    (_, key, body), (_, _, records) = places.put_objects
    assert "/data/r-xxxxxxxxx_input.json.gz" in key
    assert json.loads(gzip.decompress(body))["messages"]
    (one,) = told(records)
    assert one["input"]["inputBodyS3Path"] == f"s3://b/{key}"
    assert "inputBodyJson" not in one["input"]
    ((_, _, _, [(_, line)]),) = places.put_lines
    assert len(line) < 2_000, "a line has no room for it"


def test_it_is_bounded_and_an_agency_has_its_share(api, logs, places, caplog, monkeypatch):
    monkeypatch.setattr(invocation_delivery, "LETTERS_MAX", 40)
    put(api)
    for _ in range(5):
        logs.record(ONE, lambda: made(text="x" * 4))
    logs.deliver()
    ((_, _, body),) = places.put_objects
    assert len(told(body)) == 2
    assert "3 invocations" in caplog.text
    assert logs.counts() == {"waiting": 0, "dropped": 3, "undelivered": 0}
    logs.record(ONE, lambda: made("S", text="x" * 8))
    logs.record(ONE, lambda: made("U", text="x" * 8))
    assert len(logs._waiting) == 2, "who works above crowds nobody out below"
    logs.deliver()
    places.put_objects[1:] = []
    logs.record(ONE, lambda: made(text="x" * 4))
    logs.deliver()
    assert len(places.put_objects) == 2


def test_a_delivery_that_fails_is_tried_again_after_a_pause_and_then_let_be(
    api, logs, places, caplog
):
    put(api)
    places.broken = 2
    logs.record(ONE, made)
    for pause_s in (0, *PAUSES_S):
        logs.clock.advance(pause_s)
        logs.deliver()
        logs.deliver()  # at once: it is not due
    assert (len(places.put_objects), places.broken) == (1, 0)
    places.closed.add("s3:PutObject")
    logs.record(ONE, made)
    for pause_s in (0, *PAUSES_S):
        assert "could not be logged" not in caplog.text
        logs.clock.advance(pause_s)
        logs.deliver()
    assert "1 invocations could not be logged" in caplog.text
    assert logs.counts() == {"waiting": 0, "dropped": 0, "undelivered": 1}
    assert len(places.put_objects) == 1
    assert logs._letters.total() == 0


def test_what_waits_for_another_try_holds_nobody_up_and_takes_its_room(
    api, logs, places, monkeypatch
):
    monkeypatch.setattr(invocation_delivery, "LETTERS_MAX", 40)
    put(api, BUCKET | GROUP)
    places.broken = 1
    logs.record(ONE, lambda: made(text="x" * 8))
    logs.deliver()
    assert (len(places.put_objects), len(places.put_lines)) == (0, 1)
    logs.record(ONE, lambda: made(text="y" * 4))
    assert logs.counts() == {"waiting": 1, "dropped": 1, "undelivered": 0}
    logs.record(ONE, lambda: made("S", text="z" * 4))
    logs.deliver()
    assert [label for label, _, _ in places.put_objects] == ["S"]
    logs.clock.advance(PAUSES_S[0])
    logs.deliver()
    assert [label for label, _, _ in places.put_objects] == ["S", "U"]
    assert len(places.put_lines) == 2, "what arrived is not sent again"


class Uncompared:
    """What was asked, where it is compared with nothing."""

    def __eq__(self, other):
        raise AssertionError("each was compared with every other, while calls wait")

    __hash__ = None


def test_what_waits_for_another_try_is_not_compared_with_what_is_due(api, logs, places):
    put(api)
    places.closed.add("s3:PutObject")
    for _ in range(2):
        logs.record(ONE, lambda: replace(made(), asked=Uncompared()))
        logs.deliver()
        logs.clock.advance(PAUSES_S[0] / 2)
    logs.deliver()
    assert logs.counts()["waiting"] == 2


def test_at_the_end_all_is_tried_once_more(api, logs, places):
    put(api)
    places.broken = 1
    logs.record(ONE, made)
    logs.deliver()
    assert logs.counts()["waiting"] == 1
    logs.deliver(last=True)
    assert len(places.put_objects) == 1
    places.broken = 1
    logs.record(ONE, made)
    logs.deliver(last=True)
    assert logs.counts() == {"waiting": 0, "dropped": 0, "undelivered": 1}


def test_what_could_not_be_delivered_is_not_configured(api, places):
    for closed, config in (("s3:PutObject", BUCKET), ("logs:PutLogEvents", GROUP)):
        places.closed = {closed}
        with pytest.raises(ServiceError, match="ValidationException"):
            put(api, config)
    with pytest.raises(ServiceError, match="no bucket"):
        put(api, {"s3Config": {"bucketName": "other"}})
    with pytest.raises(ServiceError, match="no place"):
        put(api, {"textDataDeliveryEnabled": True})
    assert got(api) is None


def test_the_bytes_of_documents_are_not_kept(api, logs, places):
    put(api)
    document = {"document": {"name": "d", "format": "pdf", "source": {"bytes": b"%PDF"}}}
    one = made()
    object.__setattr__(one, "asked", {"messages": [{"content": [document]}]})
    logs.record(ONE, lambda: one)
    logs.deliver()
    ((_, _, body),) = places.put_objects
    (record,) = told(body)
    (block,) = record["input"]["inputBodyJson"]["messages"][0]["content"]
    assert block == {"document": {"name": "d", "format": "pdf", "source": {}}}


def test_labels_of_the_kit_are_ordered():
    assert US.parse("S").dominates(US.parse("U"))
