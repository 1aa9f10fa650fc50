"""What a bundle is: an in-toto statement about chunks, and the items that lie in them end to end.

Every count and size that a stranger may choose is bounded here, before it is believed.
Source: https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md
"""

import re
from collections.abc import Mapping
from hashlib import sha256
from typing import Annotated, Literal

import msgspec

CHUNK_BYTES = 8 << 20
ITEMS_MAX = 100_000
BUNDLE_BYTES_MAX = 256 << 30
ENVELOPE_BYTES_MAX = 128 << 20
ENVIRONMENT: Literal["environment"] = "environment"
SETUP: Literal["agency-setup"] = "agency-setup"
IMAGE: Literal["image"] = "image"
HELD_BY_TWO = frozenset({ENVIRONMENT, SETUP, IMAGE})  # what will run, or says who may do what
DIGEST = re.compile(r"[0-9a-f]{64}")

Sha256 = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
Size = Annotated[int, msgspec.Meta(ge=0, le=BUNDLE_BYTES_MAX)]
Text = Annotated[str, msgspec.Meta(min_length=1, max_length=1024)]


class Refused(Exception):
    """The gate does not let this through; the text says why."""


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class Item(_Strict, frozen=True, kw_only=True, omit_defaults=True):
    """One object of an agency, the weights of a model, a file that an environment is built of, a
    container image, or what an agency is (`setup.py`). `name` is its key in the bucket; of an
    environment's file, `ENVIRONMENT/FILE`; of an image, the URI that it serves."""

    kind: Literal["object", "model", "environment", "agency-setup", "image"]
    name: Text
    size: Size
    sha256: Sha256
    label: Text
    headers: dict[str, str] = {}
    metadata: dict[str, str] = {}
    tags: dict[str, str] = {}
    provenance: dict[str, str] = {}


class Origin(_Strict, frozen=True, kw_only=True):
    """Where the items come from, in the sending region."""

    region: Text
    agency: str
    account: str
    bucket: str
    prefix: str


class Predicate(_Strict, frozen=True, kw_only=True):
    """`base` is the digest of the bundle that this one adds to, or ""; `id` makes two bundles of
    the same items two."""

    id: Text
    to: Text
    origin: Origin
    created: Text
    base: str
    size: Size
    chunk_bytes: Annotated[int, msgspec.Meta(ge=CHUNK_BYTES, le=64 << 20)]
    items: Annotated[list[Item], msgspec.Meta(max_length=ITEMS_MAX)]


class Subject(_Strict, frozen=True, kw_only=True):
    """A chunk, by the name of its file."""

    name: Text
    digest: dict[Literal["sha256"], Sha256]


class Statement(_Strict, frozen=True, kw_only=True):
    """What the sending region signs."""

    type_: Literal["https://in-toto.io/Statement/v1"] = msgspec.field(
        name="_type", default="https://in-toto.io/Statement/v1"
    )
    subject: list[Subject]
    predicate_type: Literal["urn:bastide:transfer:1"] = msgspec.field(
        name="predicateType", default="urn:bastide:transfer:1"
    )
    predicate: Predicate


class _ClaimedOrigin(msgspec.Struct, frozen=True):
    region: Text


class _ClaimedPredicate(msgspec.Struct, frozen=True):
    origin: _ClaimedOrigin


class _Claim(msgspec.Struct, frozen=True):
    predicate: _ClaimedPredicate


def chunk_name(number: int) -> str:
    return f"{number:08d}.chunk"


def encoded(statement: Statement) -> bytes:
    return msgspec.json.encode(statement)


def decoded(payload: bytes) -> Statement:
    """The statement in a payload. Raises Refused for one that does not add up."""
    try:
        statement = msgspec.json.decode(payload, type=Statement)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"the statement is malformed: {error}") from None
    predicate = statement.predicate
    if sum(item.size for item in predicate.items) != predicate.size:
        raise Refused("the items do not make up the bundle's size")
    chunks = -(-predicate.size // predicate.chunk_bytes)
    names = [subject.name for subject in statement.subject]
    if len(names) != chunks or names != [chunk_name(number) for number in range(chunks)]:
        raise Refused("the chunks do not make up the bundle's size")
    if any(set(subject.digest) != {"sha256"} for subject in statement.subject):
        raise Refused("a chunk has no digest")
    if len({(item.kind, item.name) for item in predicate.items}) != len(predicate.items):
        raise Refused("two items have one name")
    if predicate.base and not DIGEST.fullmatch(predicate.base):
        raise Refused("the base is no digest")
    return statement


def claimed_region(payload: bytes) -> str:
    """Who a statement says made it: all that is read of it before a signature held."""
    try:
        return msgspec.json.decode(payload, type=_Claim).predicate.origin.region
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"the statement is malformed: {error}") from None


def chunk_size(predicate: Predicate, number: int) -> int:
    """How many bytes chunk `number` must have."""
    return min(predicate.chunk_bytes, predicate.size - number * predicate.chunk_bytes)


def fingerprint(item: Item) -> str:
    """What must be equal for a delta to leave an item out: its bytes and all that is said of it."""
    return sha256(msgspec.json.encode(item, order="sorted")).hexdigest()


def row(digest: str, statement: Statement) -> dict[str, object]:
    """What `bastide transfer list` and `inspect` say of a bundle."""
    predicate = statement.predicate
    origin = predicate.origin
    return {
        "bundle": digest,
        "from": origin.region,
        "to": predicate.to,
        "agency": origin.agency,
        "source": _source(predicate),
        "items": len(predicate.items),
        "bytes": predicate.size,
        "labels": labels(predicate.items),
        "base": predicate.base,
        "created": predicate.created,
    }


def _source(predicate: Predicate) -> str:
    if predicate.origin.bucket:
        return f"{predicate.origin.bucket}/{predicate.origin.prefix}"
    for kind in (ENVIRONMENT, IMAGE, SETUP):
        if any(item.kind == kind for item in predicate.items):
            return f"{kind} {predicate.origin.prefix or predicate.origin.agency}"
    return "models"


def labels(items: "list[Item]") -> list[str]:
    return sorted({item.label for item in items})


def facts(digest: str, statement: Statement) -> Mapping[str, str]:
    """What both audit logs say of a bundle: they are joined by its digest."""
    told = row(digest, statement)
    return {name: str(told[name]) for name in ("bundle", "from", "to", "agency", "items", "bytes")}
