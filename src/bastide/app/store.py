"""The object store, joined to its keys and to policy."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from bastide.app.core import Core
from bastide.app.identity import BucketPolicyCheck, Identity
from bastide.app.object_keys import KmsObjectKeys
from bastide.kernel.approvals import Approvals
from bastide.kms.vault import Vault
from bastide.store.attributes import Attributes
from bastide.store.blobs import Blobs
from bastide.store.bucket_encryption import BucketEncryption
from bastide.store.bucket_facts import BucketFacts
from bastide.store.bucket_policy import BucketPolicies
from bastide.store.buckets import Buckets
from bastide.store.content import Buffers, Content
from bastide.store.copies import Copies
from bastide.store.downgrades import Downgrades
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

STORE_HASHERS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Store:
    space: ObjectSpace
    upkeep: Upkeep
    downgrades: Downgrades
    shares: Shares
    handlers: dict[str, list[object]]


def open_store(core: Core, identity: Identity, vault: Vault, approvals: Approvals) -> Store:
    blobs = Blobs(core.home / "objects")
    upkeep = Upkeep(database=core.database, blobs=blobs, keyring=core.keyring)
    upkeep.start()
    content = Content(
        blobs=blobs,
        keyring=core.keyring,
        object_keys=KmsObjectKeys(
            vault=vault, access=identity.authorizer, crossed=core.trail.crossed
        ),
        clock=core.clock,
        ids=core.ids,
        hashing=ThreadPoolExecutor(STORE_HASHERS, "hashing"),
        buffers=Buffers(),
    )
    shelf = Shelf(
        region=core.region,
        writing=identity.writing,
        database=core.database,
        content=content,
        clock=core.clock,
        ids=core.ids,
        labelling=identity.labelling,
        labels=core.labels,
    )
    shares = Shares(
        database=core.database, labels=core.labels, labelling=identity.labelling, clock=core.clock
    )
    doors = Doors(
        database=core.database, labels=core.labels, access=identity.authorizer, shares=shares
    )
    database, keyring = core.database, core.keyring
    documents = BucketPolicyCheck(identity.checks, identity.names, identity.resources)
    buckets = Buckets(
        database=database,
        doors=doors,
        shelf=shelf,
        keyring=keyring,
        clock=core.clock,
        ids=core.ids,
        documents=documents,
    )
    handlers: list[object] = [
        buckets,
        Objects(shelf=shelf, doors=doors),
        Attributes(shelf=shelf, doors=doors),
        Copies(shelf=shelf, doors=doors),
        Listing(database=database, doors=doors, keyring=keyring),
        Multipart(shelf=shelf, doors=doors),
        Tagging(shelf=shelf, doors=doors, documents=documents),
        BucketPolicies(database=database, doors=doors, documents=documents),
        BucketEncryption(shelf=shelf, doors=doors),
        BucketFacts(shelf=shelf, doors=doors),
        Versioning(database=database, doors=doors),
    ]
    downgrades = Downgrades(
        shelf=shelf, approvals=approvals, forget_buckets=identity.resources.forget_buckets
    )
    return Store(
        space=ObjectSpace(
            shelf=shelf, shares=shares, region=core.region, crossed=core.trail.crossed
        ),
        shares=shares,
        upkeep=upkeep,
        downgrades=downgrades,
        handlers={"s3": handlers},
    )
