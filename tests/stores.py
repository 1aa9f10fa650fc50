"""A whole store on each database, with an in-memory keyring and an access port that can refuse."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bastide.db.database import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.kernel.call import BytesBody, Call, EmptyBody, Principal, PrincipalKind
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import SystemIds
from bastide.kernel.regions import Region
from bastide.store.attributes import Attributes
from bastide.store.blobs import Blobs
from bastide.store.bucket_encryption import BucketEncryption
from bastide.store.bucket_facts import BucketFacts
from bastide.store.bucket_policy import BucketPolicies
from bastide.store.buckets import Buckets
from bastide.store.content import Buffers, Content
from bastide.store.copies import Copies
from bastide.store.listing import Listing
from bastide.store.multipart import Multipart
from bastide.store.objects import Objects
from bastide.store.objects_api import ObjectSpace
from bastide.store.requests import Doors
from bastide.store.shares import Shares
from bastide.store.shelf import Shelf
from bastide.store.tagging import Tagging
from bastide.store.upkeep import Upkeep
from bastide.store.versioning import Versioning
from tests.labels_kit import US, at, labelling

REGION = Region("us-gov-west-1", "aws-us-gov", "amazonaws.com")
ALICE, BOB = "111111111111", "222222222222"


@dataclass(frozen=True)
class FakeKek:
    id: str
    key: bytes


@dataclass
class FakeKeyring:
    keks: dict = field(default_factory=dict)
    now: dict = field(default_factory=dict)

    def current(self, account, label):
        return self.now.get((account, label)) or self.rotate(account, label)

    def rotate(self, account, label):
        kek = FakeKek(f"{account}/{label}/{len(self.keks)}", os.urandom(32))
        self.keks[kek.id] = self.now[account, label] = kek
        return kek

    def by_id(self, kek_id):
        return self.keks[kek_id]

    def wrap(self, kek, dek, aad):
        nonce = os.urandom(12)
        return nonce + AESGCM(kek.key).encrypt(nonce, dek, aad)

    def unwrap(self, kek, wrapped, aad):
        return AESGCM(kek.key).decrypt(wrapped[:12], wrapped[12:], aad)

    def seal(self, purpose, plain, aad=b""):
        return self.wrap(self.current("region", purpose), plain, aad)

    def open(self, purpose, sealed, aad=b""):
        try:
            return self.unwrap(self.current("region", purpose), sealed, aad)
        except InvalidTag:
            raise ValueError("tampered") from None


@dataclass
class FakeObjectKeys:
    """Keys by their ARNs, made on first use; those in `gone` open nothing, and those in `closed`
    let no service in."""

    keys: FakeKeyring = field(default_factory=FakeKeyring)
    gone: set = field(default_factory=set)
    closed: set = field(default_factory=set)
    asked: list = field(default_factory=list)

    def arn(self, who, name):
        return f"arn:key/{name}"

    def could_be(self, who, key_arn):
        return "foreign" not in key_arn

    def check(self, who, action, key_arn, bucket, key):
        self.asked.append((action, key_arn, bucket, key))

    def check_shared(self, who, owner, key_arn, bucket, key):
        self.asked.append((owner, key_arn, bucket, key))

    def check_service(self, service, action, key_arn, bucket, key):
        if key_arn in self.closed:
            raise ServiceError("AccessDenied", f"{service.name} may not use it.", status=403)
        self.check(service, action, key_arn, bucket, key)

    def seal(self, account, key_arn, bucket, key, dek):
        kek = self.keys.current(account, key_arn)
        return key_arn.encode() + b"|" + self.keys.wrap(kek, dek, bucket.encode() + key)

    def open(self, account, bucket, key, sealed):
        name, _, wrapped = sealed.partition(b"|")
        if name.decode() in self.gone:
            raise ServiceError("KMS.DisabledException", "It is disabled.", status=400)
        kek = self.keys.current(account, name.decode())
        return self.keys.unwrap(kek, wrapped, bucket.encode() + key)


@dataclass
class FakeAccess:
    refused: set = field(default_factory=set)
    asked: set = field(default_factory=set)  # (action, version)
    version: str | None = None

    def standing(self, call, params):
        return replace(self, version=params.get("VersionId"))

    def of_version(self, version):
        return self

    def permits(self, action, resource):
        self.asked.add((action, self.version))
        return action not in self.refused and (action, resource) not in self.refused


@dataclass
class FakeWriting:
    """Both engines, of which a test says what they refuse."""

    refused: set = field(default_factory=set)
    asked: list = field(default_factory=list)

    def permits(self, who, action, resource, label, *, is_new):
        self.asked.append((action, resource, label.text, is_new))
        return action not in self.refused


@dataclass
class FakeDocuments:
    forgotten: list = field(default_factory=list)

    def checked(self, account, bucket_arn, document):
        return document

    def shown(self, account, document):
        return document

    def changed(self, account, bucket):
        self.forgotten.append((account, bucket))


def a_principal(account=ALICE, marking="U"):
    return Principal(
        account=account, arn=f"arn:aws-us-gov:iam::{account}:user/u", user_id="U",
        kind=PrincipalKind.USER, issuer_arn="i", name="u", access_key_id="AKIA", **at(marking),
    )  # fmt: skip


class Store:
    """Every handler of S3, and `call(account, operation, …)` to use them as the wire would, in a
    session at `marking`."""

    marking = "U"

    def __init__(self, database: Database, root: Path, keyring=None, blobs=None) -> None:
        clock, ids = ManualClock(datetime(2026, 1, 1, tzinfo=UTC)), SystemIds()
        self.database, self.clock = database, clock
        self.keyring = keyring or FakeKeyring()
        self.access = FakeAccess()
        self.hashing = ThreadPoolExecutor(2)
        self.blobs = blobs or Blobs(root)
        self.content = Content(
            blobs=self.blobs, keyring=self.keyring, clock=clock, ids=ids, hashing=self.hashing,
            buffers=Buffers(), object_keys=FakeObjectKeys(),
        )  # fmt: skip
        self.labels = LabelsInUse(database, US)
        self.writing = FakeWriting()
        self.shelf = shelf = Shelf(
            region=REGION,
            writing=self.writing,
            database=database,
            content=self.content,
            clock=clock,
            ids=ids,
            labelling=labelling(),
            labels=self.labels,
        )
        self.shares = Shares(
            database=database, labels=self.labels, labelling=labelling(), clock=clock
        )
        doors = Doors(database=database, labels=self.labels, access=self.access, shares=self.shares)
        self.upkeep = Upkeep(database=database, blobs=self.blobs, keyring=self.keyring)
        self.space = ObjectSpace(
            shelf=shelf, shares=self.shares, region=REGION, crossed=lambda who, what: None
        )
        documents = FakeDocuments()
        self.handlers = [
            Buckets(
                database=database, doors=doors, shelf=shelf, keyring=self.keyring, clock=clock,
                ids=ids, documents=documents,
            ),
            Objects(shelf=shelf, doors=doors),
            Attributes(shelf=shelf, doors=doors),
            BucketEncryption(shelf=shelf, doors=doors),
            BucketFacts(shelf=shelf, doors=doors),
            Copies(shelf=shelf, doors=doors),
            Multipart(shelf=shelf, doors=doors),
            Listing(database=database, doors=doors, keyring=self.keyring),
            Tagging(shelf=shelf, doors=doors, documents=documents),
            BucketPolicies(database=database, doors=doors, documents=documents),
            Versioning(database=database, doors=doors),
        ]  # fmt: skip
        self.upkeep.start()

    def call(self, method, account=ALICE, body=None, notes=None, **req):
        stream = EmptyBody() if body is None else body
        stream = BytesBody(stream) if isinstance(stream, bytes) else stream
        call = Call(
            operation=f"s3.{method}", region=REGION, principal=a_principal(account, self.marking),
            request_id="r", time=self.clock.now(), body=stream,
        )  # fmt: skip
        self.notes = call.notes
        for handler in self.handlers:
            if hasattr(handler, method):
                return getattr(handler, method)(call, req)
        raise AssertionError(method)

    def bucket(self, name="bucket", account=ALICE):
        where = {"LocationConstraint": REGION.name}
        self.call("create_bucket", account, Bucket=name, CreateBucketConfiguration=where)
        return name

    def put(self, key, body=b"", bucket="bucket", account=ALICE, **req):
        return self.call("put_object", account, body, Bucket=bucket, Key=key, **req)

    def get(self, key, bucket="bucket", account=ALICE, **req):
        answer = self.call("get_object", account, Bucket=bucket, Key=key, **req)
        return b"".join(answer["Body"])

    def files(self):
        return sorted(
            path.name for path in self.blobs.path("00").parent.parent.rglob("*") if path.is_file()
        )

    def close(self):
        self.hashing.shutdown()


def refused(code, status=None):
    """What a store must answer with that error."""

    class Refusal:
        def __enter__(self):
            self.raises = pytest.raises(ServiceError)
            self.caught = self.raises.__enter__()
            return self.caught

        def __exit__(self, *error):
            done = self.raises.__exit__(*error)
            assert self.caught.value.code == code
            if status:
                assert self.caught.value.status == status
            return done

    return Refusal()


def complete(store, named, parts, **more):
    return store.call(
        "complete_multipart_upload", MultipartUpload={"Parts": parts}, **named, **more
    )
