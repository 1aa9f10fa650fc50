"""What a record says, and above all what it does not."""

import json
from concurrent.futures import Future
from datetime import UTC, datetime

import pytest
from tests.labels_kit import UNCLASSIFIED

from bastide.audit.model import decode
from bastide.audit.resources import MEMBERS, named_in
from bastide.audit.trail import AuditTrail
from bastide.kernel.call import Call, Principal, PrincipalKind
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import Unavailable
from bastide.kernel.ids import SeededIds
from bastide.kernel.regions import Region
from bastide.wire.model import Catalogue

REGION = Region("us-gov-west-1", "aws-us-gov", "amazonaws.com")
ACCOUNT = "123456789012"
ARN = f"arn:aws-us-gov:iam::{ACCOUNT}:user/ann"
CANARY = "CANARY-7f3a"


class MemoryLog:
    """Keeps bodies in a list; refuses when told to."""

    def __init__(self):
        self.rows, self.full = [], False

    def append(self, body, *, account="", time_ms=0, closes=None, label="", patient=False):
        if self.full:
            raise Unavailable("full")
        self.rows.append((body, account, time_ms, closes))
        done = Future()
        done.set_result(len(self.rows) - 1)
        return done

    def said(self):
        return [json.loads(row[0]) for row in self.rows]


@pytest.fixture
def log():
    return MemoryLog()


@pytest.fixture
def trail(log):
    return AuditTrail(log, ManualClock(), SeededIds(), str)


def call(operation="s3.PutObject", **more):
    principal = Principal(
        account=ACCOUNT, arn=ARN, user_id="AIDAX", kind=PrincipalKind.USER, issuer_arn=ARN,
        name="ann", access_key_id="AKIAEXAMPLE", **UNCLASSIFIED,
    )  # fmt: skip
    fields = {
        "operation": operation, "region": REGION, "principal": principal, "request_id": "req-1",
        "time": datetime(2026, 1, 1, tzinfo=UTC), "source_ip": "10.0.0.7", "user_agent": "Boto3",
    }  # fmt: skip
    return Call(**{**fields, **more})


def test_a_call_and_its_end(trail, log):
    made = call()
    trail.opened(made, {"Bucket": "data", "Key": "a/b"}).result(0)
    made.notes.audit["model"] = "smollm2"
    trail.closed(made, 200, "")
    first, last = log.said()
    assert list(first)[:2] == ["account", "time"]
    assert first["kind"] == "call"
    assert first["resources"] == {"Bucket": "data", "Key": "a/b"}
    assert (first["principal"], first["access_key"]) == (ARN, "AKIAEXAMPLE")
    assert (last["kind"], last["status"], last["opened"]) == ("closed", 200, 0)
    assert last["id"] == first["id"]
    assert last["facts"] == {"model": "smollm2"}
    assert log.rows[1][3] == 0
    assert log.rows[0][1:3] == (ACCOUNT, first["time"])


def test_a_denied_call(trail, log):
    trail.denied(call(), {"Bucket": "x"}, "AccessDenied").result(0)
    (said,) = log.said()
    assert (said["kind"], said["decision"], said["code"]) == ("denied", "deny", "AccessDenied")


def test_a_rejected_request_belongs_to_nobody_and_keeps_no_credential(trail, log):
    facts = {
        "request id": "r", "method": "GET", "source ip": "10.0.0.9", "user agent": "x" * 5000,
        "path": f"/b/k?X-Amz-Signature={CANARY}", "authorization": CANARY,
        "access key id": f"wJalrXUtnFEMI/{CANARY}",
    }  # fmt: skip
    trail.rejected(facts, "SignatureDoesNotMatch").result(0)
    (said,) = log.said()
    assert CANARY not in json.dumps(said)
    assert said["account"] == ""
    assert said["facts"] == {"method": "GET", "path": "/b/k"}
    assert said["source_ip"] == "10.0.0.9"
    assert len(said["user_agent"]) == 256
    trail.rejected({"access_key_id": "AKIAIOSFODNN7EXAMPLE"}, "InvalidAccessKeyId")
    assert log.said()[1]["access_key"] == "AKIAIOSFODNN7EXAMPLE"


def test_a_full_log_refuses_calls_but_never_fails_an_end(trail, log):
    made = call()
    trail.opened(made, {})
    log.full = True
    trail.closed(made, 200, "")
    for refused in (lambda: trail.opened(made, {}), lambda: trail.denied(made, {}, "x"),
                    lambda: trail.rejected({}, "x"), lambda: trail.operator("x", {})):  # fmt: skip
        with pytest.raises(Unavailable):
            refused()


def test_operators_and_jobs(trail, log):
    trail.operator("agency.create", {"account": ACCOUNT, "name": "n", "secret_key": CANARY})
    trail.job(ACCOUNT, "training/1/x", "Completed", {"attempt": 1, "prompt": CANARY})
    operator, job = log.said()
    assert CANARY not in json.dumps([operator, job])
    assert (operator["operation"], operator["account"]) == ("agency.create", ACCOUNT)
    assert operator["facts"] == {"account": ACCOUNT, "name": "n"}
    assert (job["operation"], job["resources"]) == ("job.Completed", {"Job": "training/1/x"})
    assert job["facts"] == {"attempt": "1"}


def filled(shape, depth=0):
    """A request with the canary in every text and blob of the shape."""
    if depth > 6:
        return None
    match shape.type_name:
        case "structure":
            return {name: filled(member, depth + 1) for name, member in shape.members.items()}
        case "list":
            return [filled(shape.member, depth + 1)]
        case "map":
            return {CANARY: filled(shape.value, depth + 1)}
        case "blob":
            return CANARY.encode()
        case "string":
            return CANARY
        case "boolean":
            return True
    return 1


CATALOGUE = Catalogue()


@pytest.mark.parametrize("service", sorted(MEMBERS))
def test_only_the_listed_members_of_any_operation_are_recorded(service, trail, log):
    for name, operation in CATALOGUE.service(service).operations.items():
        shape = operation.input
        if shape is None:
            continue
        params = filled(shape)
        for member in MEMBERS[service]:
            if isinstance(params.get(member), str):
                params[member] = "named"
        made = call(f"{service}.{name}")
        trail.opened(made, params)
        trail.denied(made, params, "AccessDenied")
        trail.closed(made, 200, "")
    assert not any(CANARY.encode() in row[0] for row in log.rows)


@pytest.mark.parametrize("service", sorted(MEMBERS))
def test_no_listed_member_is_modelled_as_sensitive(service):
    for name, operation in CATALOGUE.service(service).operations.items():
        shape = operation.input
        for member in MEMBERS[service]:
            found = shape.members.get(member) if shape is not None else None
            assert found is None or not found.metadata.get("sensitive"), f"{name}.{member}"


def test_hostile_names_are_bounded_and_encodable():
    found = named_in(
        "s3.PutObject", {"Bucket": "b" * 10_000, "Key": "\ud800\x00\u202e", "ACL": "x"}
    )
    assert len(found["Bucket"]) == 1024
    assert found["Key"] == "?\x00\u202e"
    assert set(found) == {"Bucket", "Key"}


def test_hostile_notes_and_agents(trail, log):
    made = call(user_agent="\ud800" * 999, source_ip="x" * 999, request_id="\udfff" * 999)
    made.notes.audit.update({f"k{n}": "v" * 9999 for n in range(99)})
    trail.opened(made, {}).result(0)
    trail.closed(made, 500, "y" * 9999)
    for body, *_ in log.rows:
        assert decode(body).account == ACCOUNT
        assert len(body) < 40_000


def test_calls_that_never_close_do_not_pile_up(trail, monkeypatch):
    monkeypatch.setattr("bastide.audit.trail.OPEN_MAX", 10)
    for n in range(50):
        trail.opened(call(request_id=str(n)), {})
    assert len(trail._open) == 10


def test_how_many_more_were_rejected_is_one_record(trail, log):
    since = datetime(2026, 1, 1, tzinfo=UTC)
    trail.further_rejected("2001:db8::/64", 4711, since).result(0)
    (said,) = log.said()
    assert (said["kind"], said["account"], said["source_ip"]) == ("rejected", "", "2001:db8::/64")
    assert said["facts"] == {"further": "4711", "since": "2026-01-01T00:00:00+00:00"}
