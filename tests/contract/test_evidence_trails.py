"""Delivery under a clock of the test's own: hours, crashes, calls that go on, whose events."""

import gzip
import json
from dataclasses import replace

import pytest
from tests.labels_kit import US, at, labelling
from tests.receipts_kit import ACCOUNT, REGION, Ledger, call

from bastide.audit.digest_keys import open_digest_keys
from bastide.evidence import records
from bastide.evidence.delivery import Delivery
from bastide.evidence.trails import Trails
from bastide.kernel.call import Crossed
from bastide.kernel.errors import ServiceError, Unavailable

OTHER = "210987654321"
REQ = {"Name": "evidence", "S3BucketName": "b", "EnableLogFileValidation": True}


class FakeBucket:
    """One bucket; `fails` is what the next put raises, after it is there."""

    def __init__(self):
        self.held, self.fails, self.open, self.label = {}, None, True, "U"

    def has_bucket(self, who, bucket):
        return (who.account, bucket) == (ACCOUNT, "b")

    def put(self, who, bucket, key, chunks, content_type="", metadata=None):
        assert (who.account, bucket, content_type) == (ACCOUNT, "b", "application/json")
        assert who.session == US.parse(self.label)
        self.held[key] = b"".join(chunks), metadata
        if self.fails is not None:
            raise self.fails

    def permits_service(self, service, action, resource, context):
        assert (service.account, service.name) == (ACCOUNT, "cloudtrail.amazonaws.com")
        return self.open

    def documents(self, kind):
        return [
            json.loads(gzip.decompress(body))
            for key, (body, _) in sorted(self.held.items())
            if f"/{kind}/" in key
        ]

    def names(self):
        return [each["eventName"] for found in self.documents("CloudTrail")
                for each in found["Records"]]  # fmt: skip


class World(Ledger):
    def __init__(self, database, folder, keys):
        super().__init__(database, folder)
        self.bucket = FakeBucket()
        self.delivery = Delivery(
            region=REGION, database=database, clock=self.clock, objects=self.bucket,
            permits=self.bucket, labels=self.labels, labelling=labelling(), keys=keys,
        )  # fmt: skip
        self.trails = Trails(
            database=database, log=self.log, clock=self.clock, delivery=self.delivery
        )

    def ask(self, name, account=ACCOUNT, **req):
        operation = getattr(self.trails, name)
        return operation(call(f"cloudtrail.{name}", account), {"Name": "evidence", **req})

    def begin(self):
        self.ask("create_trail", **REQ)
        self.ask("start_logging")

    def did(self, operation, account=ACCOUNT, ends=True):
        """A call, and its end."""
        self.clock.advance(1)
        made = replace(call(f"iam.{operation}", account), request_id=f"{operation}{ends}")
        self.trail.opened(made, {}).result(30)
        if ends:
            self.trail.closed(made, 200, "")
        self.settle()
        return made


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    """One takes a second to make."""
    return open_digest_keys(tmp_path_factory.mktemp("digests"))


@pytest.fixture
def world(database, tmp_path, keys):
    made = World(database, tmp_path, keys)
    yield made
    made.log.close()


PLACE = f"AWSLogs/{ACCOUNT}/CloudTrail"


@pytest.mark.parametrize(
    ("name", "account", "delivered"),
    [
        ("b", ACCOUNT, True),
        (f"b/{PLACE}/{REGION.name}/2026/01/01/f.json.gz", ACCOUNT, True),
        (f"b/{PLACE}-Digest/{REGION.name}/2026/01/01/f.json.gz", ACCOUNT, True),
        (f"b/{PLACE}-Digest/{REGION.name}/2026/01/01/f.json.gz", "999999999999", False),
        ("b/note", ACCOUNT, False),
        (f"b/{PLACE}-Other/{REGION.name}/f", ACCOUNT, False),
        (f"b/x/{PLACE}/{REGION.name}/f", ACCOUNT, False),
        (f"b2/{PLACE}/{REGION.name}/f", ACCOUNT, False),
        ("bb", ACCOUNT, False),
        ("", ACCOUNT, False),
    ],
)
def test_where_a_trail_delivers(world, name, account, delivered):
    world.ask("create_trail", **REQ)
    who = call(account=account).principal
    assert world.delivery.is_delivered(who, f"arn:aws-us-gov:s3:::{name}") == delivered


def test_a_digest_for_each_hour_that_names_the_one_before(world):
    world.begin()
    world.did("CreateUser")
    world.delivery.deliver()
    assert world.bucket.documents("CloudTrail-Digest") == [], "the hour is not over"
    for _ in range(2):
        world.clock.advance(3600)
        world.delivery.deliver()
    first, second = world.bucket.documents("CloudTrail-Digest")
    assert first["digestStartTime"] == "2026-01-01T00:00:00Z"
    assert first["digestEndTime"] == second["digestStartTime"] == "2026-01-01T01:00:00Z"
    assert (len(first["logFiles"]), second["logFiles"]) == (1, [])
    assert first["previousDigestS3Object"] is None
    assert second["previousDigestS3Object"] == first["digestS3Object"]
    signed = world.bucket.held[first["digestS3Object"]][1]["signature"]
    assert second["previousDigestSignature"] == signed
    world.clock.advance(5 * 3600)
    world.delivery.deliver()
    assert world.bucket.documents("CloudTrail-Digest")[2]["digestEndTime"] == "2026-01-01T07:00:00Z"


def test_only_the_accounts_own_events_and_none_of_data_from_the_start_on(world):
    world.did("Before")
    world.begin()
    world.did("CreateUser")
    world.did("Theirs", OTHER)
    data = call("s3.PutObject")
    world.trail.opened(data, {}).result(30)
    world.trail.closed(data, 200, "")
    world.settle()
    world.delivery.deliver()
    assert world.bucket.names() == ["CreateUser"]
    world.ask("stop_logging")
    world.did("After")
    world.delivery.deliver()
    world.ask("start_logging")
    world.delivery.deliver()
    assert world.bucket.names() == ["CreateUser"]


def test_a_call_that_goes_on_is_waited_for_and_not_for_ever(world):
    world.begin()
    world.did("CreateUser")
    long = world.did("CreateRole", ends=False)
    world.did("DeleteUser")
    world.delivery.deliver()
    assert world.bucket.names() == ["CreateUser"]
    world.trail.closed(long, 409, "EntityAlreadyExists")
    world.settle()
    world.delivery.deliver()
    assert sorted(world.bucket.names()) == ["CreateRole", "CreateUser", "DeleteUser"]
    told = {each["eventName"]: each.get("errorCode") for found in
            world.bucket.documents("CloudTrail") for each in found["Records"]}  # fmt: skip
    assert told["CreateRole"] == "EntityAlreadyExists"
    world.did("GetUser", ends=False)
    world.delivery.deliver()
    assert "GetUser" not in world.bucket.names()
    world.clock.advance(601)
    world.delivery.deliver()
    assert "GetUser" in world.bucket.names()


def test_a_read_that_is_told_to_two_has_no_end_to_wait_for(world):
    world.begin()
    key = f"arn:aws-us-gov:kms:{REGION.name}:{OTHER}:key/k"
    world.trail.crossed(call().principal, Crossed(OTHER, key))
    world.trail.crossed(call(account=OTHER).principal, Crossed(ACCOUNT, key))
    world.settle()
    world.delivery.deliver()
    assert world.bucket.names() == ["Decrypt", "Decrypt"]


def test_a_crash_between_the_put_and_the_note_doubles_nothing(world):
    world.begin()
    world.did("CreateUser")
    for step in range(2):  # of the log file, of the digest
        world.clock.advance(3600 if step else 0)
        world.bucket.fails = Unavailable("the plug was pulled")
        with pytest.raises(Unavailable):
            world.delivery.deliver()
        world.bucket.fails = None
        world.did("DeleteUser")
        world.delivery.deliver()
    assert sorted(world.bucket.names()) == ["CreateUser", "DeleteUser", "DeleteUser"]
    (digest,) = world.bucket.documents("CloudTrail-Digest")
    named = [each["s3Object"] for each in digest["logFiles"]]
    assert len(named) == len(set(named))


def test_a_bucket_that_is_closed_gets_it_later(world):
    world.begin()
    world.did("CreateUser")
    world.bucket.open = False
    world.delivery.deliver()
    assert world.ask("get_trail_status")["LatestDeliveryError"] == "AccessDenied"
    assert world.bucket.held == {}
    world.bucket.open = True
    world.delivery.deliver()
    assert world.bucket.names() == ["CreateUser"]
    assert "LatestDeliveryError" not in world.ask("get_trail_status")


def test_a_trail_tells_what_the_session_that_made_it_may_read(world):
    world.begin()
    secret = call("iam.CreateRole")
    secret = replace(secret, principal=replace(secret.principal, **at("S")))
    world.trail.opened(secret, {"RoleName": "project-x"}).result(30)
    world.trail.closed(secret, 200, "")
    world.did("CreateUser")
    world.delivery.deliver()
    assert world.bucket.names() == ["CreateUser"]
    made = replace(secret, operation="cloudtrail.CreateTrail")
    world.trails.create_trail(made, {**REQ, "Name": "high", "S3KeyPrefix": "high"})
    with pytest.raises(ServiceError, match="TrailNotFound"):
        world.ask("get_trail", Name="high")
    arn = f"arn:aws-us-gov:cloudtrail:{REGION.name}:{ACCOUNT}:trail/high"
    assert world.delivery.label(call().principal, arn, None) is None
    key = f"arn:aws-us-gov:s3:::b/high/{PLACE}/{REGION.name}/f"
    assert not world.delivery.is_delivered(call().principal, key)
    assert world.delivery.is_delivered(secret.principal, key)
    assert world.delivery.label(secret.principal, arn, None) == US.parse("S")
    names = [each["Name"] for each in world.ask("describe_trails")["trailList"]]
    assert names == ["evidence"]
    world.trails.start_logging(made, {"Name": "high"})
    world.trail.opened(secret, {"RoleName": "project-y"}).result(30)
    world.trail.closed(secret, 200, "")
    world.did("DeleteUser")
    world.bucket.held.clear()
    world.bucket.label = "S"
    view = world.labels.view(US.parse("S"))
    high = world.database.read(lambda c: records.find(c, ACCOUNT, "high", view))
    world.delivery.deliver_one(high)
    assert sorted(world.bucket.names()) == ["CreateRole", "DeleteUser"]


def test_what_is_above_takes_neither_a_name_nor_a_place(world):
    made = call("cloudtrail.CreateTrail")
    high = replace(made, principal=replace(made.principal, **at("S")))
    for number in range(5):
        world.trails.create_trail(high, {**REQ, "Name": f"trail-{number}"})
    with pytest.raises(ServiceError, match="already has 5 trails"):
        world.trails.create_trail(high, {**REQ, "Name": "too-many"})
    for number in range(5):
        world.ask("create_trail", **{**REQ, "Name": f"trail-{number}"})
    world.ask("start_logging", Name="trail-0")
    world.ask("delete_trail", Name="trail-1")
    theirs = world.trails.get_trail_status(high, {"Name": "trail-0"})
    assert not theirs["IsLogging"]
    listed = world.trails.describe_trails(high, {})["trailList"]
    assert [each["Name"] for each in listed].count("trail-1") == 1


def test_what_is_refused(world):
    world.ask("create_trail", **REQ)
    for code, req in (
        ("TrailAlreadyExistsException", {}),
        ("S3BucketDoesNotExistException", {"S3BucketName": "none"}),
        ("InvalidTrailNameException", {"Name": "a/b"}),
        ("InvalidS3PrefixException", {"S3KeyPrefix": "x/"}),
        ("UnsupportedOperation", {"IsMultiRegionTrail": True}),
    ):
        with pytest.raises(ServiceError) as refused:
            world.ask("create_trail", **{**REQ, **req})
        assert refused.value.code == code
    world.bucket.open = False
    with pytest.raises(ServiceError, match="InsufficientS3BucketPolicy"):
        world.ask("create_trail", **{**REQ, "Name": "another"})
    world.bucket.open = True
    for number in range(4):
        world.ask("create_trail", **{**REQ, "Name": f"more-{number}"})
    with pytest.raises(ServiceError, match="MaximumNumberOfTrails"):
        world.ask("create_trail", **{**REQ, "Name": "too-many"})
    with pytest.raises(ServiceError, match="TrailNotFound"):
        world.ask("get_trail", OTHER)
    world.ask("delete_trail")
    assert (
        world.database.read(
            lambda c: records.find(c, ACCOUNT, "evidence", world.labels.view(US.lowest))
        )
        is None
    )
