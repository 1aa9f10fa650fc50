"""Officers, requests and signatures in the database."""

import json
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    Row,
    Select,
    String,
    Table,
    Text,
    func,
    insert,
    select,
    update,
)

from bastide.db.schema import metadata
from bastide.kernel import arns
from bastide.kernel.approvals import Kind
from bastide.kernel.statements import Verdict
from bastide.policy.approval_model import Officer, Request, Role, Signed

officers = Table(
    "officers",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("roles", Text, nullable=False),
    Column("public_key", Text, nullable=False),
    Column("fingerprint", String(64), nullable=False, unique=True),  # one key is one person
    Column("known_as", Text, nullable=False),
    Column("suspended", Integer, nullable=False),
    Column("enrolled_ms", BigInteger, nullable=False),
)
requests = Table(
    "approval_requests",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("action", Text, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("requester", Text, nullable=False),
    Column("nonce", String(64), nullable=False),
    Column("created_ms", BigInteger, nullable=False),
    Column("expires_ms", BigInteger, nullable=False),
    Column("wait_ms", BigInteger, nullable=False),
    Column("ended", String(8), nullable=False),
    Column("ended_ms", BigInteger, nullable=False),
)
Index("ix_approval_requests_digest", requests.c.digest)
Index("ix_approval_requests_created", requests.c.created_ms)
signatures = Table(
    "approval_signatures",
    metadata,
    Column("request", String(36), primary_key=True),
    Column("officer", String(64), primary_key=True),
    Column("verdict", String(16), primary_key=True),
    Column("reason", Text, nullable=False),
    Column("signature", Text, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which requests to list, the newest first. `open_at_ms`: only those still open then."""

    limit: int
    open_at_ms: int | None = None
    kind: Kind | None = None


def all_officers(c: Connection) -> dict[str, Officer]:
    rows = c.execute(select(officers).order_by(officers.c.enrolled_ms, officers.c.name))
    return {row.name: _officer(row) for row in rows}


def add_officer(c: Connection, officer: Officer, fingerprint: str) -> None:
    c.execute(
        insert(officers).values(
            name=officer.name,
            roles=json.dumps(sorted(officer.roles)),
            public_key=officer.public_key,
            fingerprint=fingerprint,
            known_as=json.dumps(officer.known_as),
            suspended=int(officer.suspended),
            enrolled_ms=officer.enrolled_ms,
        )
    )


def set_suspended(c: Connection, name: str, suspended: bool) -> None:
    changed = update(officers).where(officers.c.name == name)
    c.execute(changed.values(suspended=int(suspended)))


def add_request(c: Connection, request: Request) -> None:
    c.execute(
        insert(requests).values(
            id=request.id,
            kind=request.kind.value,
            action=request.action,
            digest=request.digest,
            requester=request.requester,
            nonce=request.nonce,
            created_ms=request.created_ms,
            expires_ms=request.expires_ms,
            wait_ms=request.wait_ms,
            ended=request.ended,
            ended_ms=request.ended_ms,
        )
    )


def store(c: Connection, before: Request, after: Request) -> None:
    """What signing or using made of a request."""
    for one in after.signatures[len(before.signatures) :]:
        c.execute(
            insert(signatures).values(
                request=after.id,
                officer=one.officer,
                verdict=one.verdict.value,
                reason=one.reason,
                signature=one.signature,
                at_ms=one.at_ms,
            )
        )
    changed = update(requests).where(requests.c.id == after.id)
    c.execute(changed.values(ended=after.ended, ended_ms=after.ended_ms))


def find(c: Connection, region: str, request_id: str) -> Request | None:
    found = _requests(c, region, select(requests).where(requests.c.id == request_id))
    return found[0] if found else None


def find_open(c: Connection, like: Request) -> Request | None:
    """The newest request for the same as `like` that has not ended and not expired by then."""
    t = requests.c
    found = _requests(
        c,
        like.region,
        select(requests)
        .where(t.digest == like.digest, t.kind == like.kind.value, t.requester == like.requester)
        .where(t.ended == "", t.expires_ms > like.created_ms)
        .order_by(t.created_ms.desc())
        .limit(1),
    )
    return found[0] if found else None


def count_open(c: Connection, like: Request) -> int:
    """Of the agency that asks for `like`, or of the region's own people: what is open then."""
    t = requests.c
    still = (t.ended == "") & (t.expires_ms > like.created_ms)
    arn = arns.parse(like.requester)
    theirs = t.requester.like(f"arn:%::{arn.account}:%") if arn else t.requester.not_like("arn:%")
    query = select(func.count()).select_from(requests).where(still, theirs)
    return int(c.execute(query).scalar_one())


def listed(c: Connection, region: str, wanted: Wanted) -> list[Request]:
    query = select(requests)
    if wanted.open_at_ms is not None:
        query = query.where(requests.c.ended == "", requests.c.expires_ms > wanted.open_at_ms)
    if wanted.kind is not None:
        query = query.where(requests.c.kind == wanted.kind.value)
    return _requests(c, region, query.order_by(requests.c.created_ms.desc()).limit(wanted.limit))


def uncountersigned(c: Connection, region: str, limit: int) -> list[Request]:
    """Glass that was broken and that nobody stood for: however old, and also when refused."""
    t = requests.c
    open_ = select(requests).where(t.kind == Kind.BREAK_GLASS.value, t.ended != "used")
    return _requests(c, region, open_.order_by(t.created_ms).limit(limit))


def _officer(row: Row[Any]) -> Officer:
    return Officer(
        name=row.name,
        roles=frozenset(Role(one) for one in json.loads(row.roles)),
        public_key=row.public_key,
        known_as=tuple(json.loads(row.known_as)),
        suspended=bool(row.suspended),
        enrolled_ms=row.enrolled_ms,
    )


def _requests(c: Connection, region: str, query: Select[Any]) -> list[Request]:
    rows = c.execute(query).all()
    t = signatures.c
    own = select(signatures).where(t.request.in_([row.id for row in rows]))
    given: dict[str, list[Signed]] = {row.id: [] for row in rows}
    for one in c.execute(own.order_by(t.at_ms, t.officer)):
        given[one.request].append(
            Signed(
                officer=one.officer,
                verdict=Verdict(one.verdict),
                reason=one.reason,
                signature=one.signature,
                at_ms=one.at_ms,
            )
        )
    return [
        Request(
            region=region,
            kind=Kind(row.kind),
            signatures=tuple(given[row.id]),
            **{name: getattr(row, name) for name in _SAME},
        )
        for row in rows
    ]


_SAME = ("id", "action", "requester", "nonce", "created_ms", "expires_ms", "wait_ms", "ended",
         "ended_ms")  # fmt: skip
