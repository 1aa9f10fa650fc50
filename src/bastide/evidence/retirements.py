"""Retire old audit records, once a security officer and an auditor have signed for exactly these.

In this order, each durable before the next: the approval is used up; the records are in a file
beside the log; a record of the log, under a signed checkpoint, says so; their bodies go. Leaf
hashes stay, and with them the tree, every checkpoint and every proof. What a crash leaves undone
is done at the next start: nothing is gone before the log says so, and nothing comes back.

The file is as the log itself is: plain, for its owner only, in the region's own folder. It has to
be read when the keys that it could be sealed under are long destroyed.
"""

import gzip
import hashlib
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import msgspec
from sqlalchemy import Connection

from bastide.audit import records
from bastide.audit import retirement_records as retirements
from bastide.audit.log import MerkleLog
from bastide.audit.retirement_records import Agreed
from bastide.audit.trail import AuditTrail
from bastide.db import Database, durable
from bastide.evidence.model import Trail
from bastide.kernel.approvals import Approvals, Kind
from bastide.kernel.clock import Clock, epoch_ms, moment
from bastide.kernel.errors import Unavailable, invalid
from bastide.kernel.file_digest import sha256_of
from bastide.kernel.merkle import leaf_hash
from bastide.kernel.receipts import entry
from bastide.kernel.retirement import MARK, OPERATION, Retired, Retirement, header, is_about

logger = logging.getLogger(__name__)
_PAGE = 5_000  # of one transaction: others wait for it
_LEVEL = 6
Row = dict[str, Any]


class Deliveries(Protocol):
    """What trails have to copy before it is gone."""

    def deliver(self) -> object: ...

    def undelivered(self, size: int) -> list[Trail]:
        """The trails that have something to tell of the first `size` records."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Retire what is older than `before`, or what comes no later than the record `up_to`."""

    requester: str
    before: datetime | None = None
    up_to: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Retirements:
    """`folder`: where the files go. `keep`: younger records stay, whoever signs."""

    database: Database
    log: MerkleLog
    trail: AuditTrail
    clock: Clock
    approvals: Approvals
    deliveries: Deliveries
    folder: Path
    keep: timedelta
    _turn: Lock = field(default_factory=Lock)

    def retire(self, asked: Asked) -> Row:
        """NotApproved until two officers have signed; after that, what was retired."""
        with self._alone():
            self._finish()
            what = self._chosen(asked)
            self._check_delivered(what)
            kind, action = Kind.AUDIT_RETIREMENT, what.action()
            request = self.approvals.request(kind, action, asked.requester)
            self.approvals.carry_out(
                kind, action, asked.requester, lambda c: self._agree(c, what, request)
            )
            done = self._finish()[-1]
            return {
                "first": what.first, "last": what.size - 1, "records": what.size - what.first,
                "request": request, "file": str(self.folder / what.file_name),
                "sha256": done.file_sha256,
            }  # fmt: skip

    def finish(self) -> None:
        """What was approved and a crash, or a full disk, left undone."""
        with self._alone():
            self._finish()

    def _finish(self) -> list[Retired]:
        return [self._carry_on(agreed) for agreed in self.database.read(retirements.unfinished)]

    def _carry_on(self, agreed: Agreed) -> Retired:
        what = agreed.what
        file_sha256 = self._sha256(what) if agreed.recorded else self._written(what)
        said = Retired(what=what, request=agreed.request, file_sha256=file_sha256)
        if not agreed.recorded:
            written = self.trail.operator(OPERATION, said.facts()).result()
            self.log.vouch(written + 1)
            self.database.write(lambda c: retirements.set_recorded(c, what))
        for first in range(what.first, what.size, _PAGE):
            self.database.write(partial(_drop, first=first, size=min(first + _PAGE, what.size)))
        self.database.write(lambda c: retirements.set_done(c, what))
        logger.warning("audit records %d to %d were retired", what.first, what.size - 1)
        return said

    def _chosen(self, asked: Asked) -> Retirement:
        """Exactly what to retire. ServiceError where that is nothing, or too young."""
        first = self.database.read(retirements.end)
        oldest_kept = self.database.read(lambda c: self._younger(c, first, self._kept_since()))
        if asked.before is not None:
            before = asked.before
            size = self.database.read(lambda c: self._younger(c, first, before))
        else:
            size = (asked.up_to or 0) + 1
        if size <= first:
            raise invalid(f"Nothing to retire: the log begins with record {first}.")
        if size > oldest_kept:
            raise invalid(
                f"Records are kept for {self.keep.days} days, and no approval shortens that: "
                f"record {oldest_kept} is the first that is younger."
            )
        return self.database.read(lambda c: _retirement(c, first, size))

    def _kept_since(self) -> datetime:
        return self.clock.now() - self.keep

    def _younger(self, c: Connection, first: int, since: datetime) -> int:
        """The first record that is not older than `since`; the log's end where all are."""
        found = retirements.first_younger(c, first, epoch_ms(since))
        return records.size(c) if found is None else found

    def _check_delivered(self, what: Retirement) -> None:
        self.deliveries.deliver()
        left = self.deliveries.undelivered(what.size)
        if left:
            named = ", ".join(
                f"{one.name} of {one.account} ({one.error or 'waits'})" for one in left
            )
            raise invalid(f"First these trails must be delivered, or stopped: {named}.")

    def _agree(self, c: Connection, what: Retirement, request: str) -> None:
        """In the transaction that uses up the approval: is it still what was signed, and old?"""
        oldest_kept = self._younger(c, what.first, self._kept_since())
        if retirements.end(c) != what.first or what.size > oldest_kept:
            raise invalid("The log has changed meanwhile. Say it again.")
        retirements.agree(c, what, request)

    def _written(self, what: Retirement) -> str:
        """The records in their file, durable; its hash. One that a crash left is made anew."""
        durable.folder(self.folder)
        path = self.folder / what.file_name
        aside = path.with_name(f".{path.name}.tmp")
        try:
            with open(aside, "wb", opener=_private) as raw:
                with gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed:
                    packed.write(header(self.log.verifier.name, what))
                    for page in _pages(self.database, what):
                        packed.write(b"".join(body + b"\n" for _, body, _ in page))
                raw.flush()
                os.fsync(raw.fileno())
            aside.replace(path)
        except OSError as error:
            raise Unavailable(f"{path} cannot be written.") from error
        durable.sync_folder(self.folder)
        return self._sha256(what)

    def _sha256(self, what: Retirement) -> str:
        try:
            return sha256_of(self.folder / what.file_name)
        except OSError:  # it was taken elsewhere, after the log told its hash
            return ""

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._turn.acquire(blocking=False):
            raise Unavailable("Records are being retired. Try again when that is done.")
        try:
            yield
        finally:
            self._turn.release()


def _retirement(c: Connection, first: int, size: int) -> Retirement:
    """Reads and checks each record: what is not what was signed must not go."""
    digest = hashlib.sha256()
    for at in range(first, size, _PAGE):
        for index, body, stored in records.leaves_from(c, at, min(_PAGE, size - at)):
            _check(index, body, stored)
            digest.update(stored)
    newest = moment(retirements.time_of(c, size - 1)).isoformat(timespec="milliseconds")
    return Retirement(first=first, size=size, newest=newest, hashes_sha256=digest.hexdigest())


def _pages(database: Database, what: Retirement) -> Iterator[list[tuple[int, bytes, bytes]]]:
    """The records, which must still be those that were signed."""
    digest = hashlib.sha256()
    for at in range(what.first, what.size, _PAGE):
        limit = min(_PAGE, what.size - at)
        page = database.read(partial(records.leaves_from, first=at, limit=limit))
        for index, body, stored in page:
            _check(index, body, stored)
            digest.update(stored)
        yield page
    if digest.hexdigest() != what.hashes_sha256:
        raise invalid("The records are not those that were signed: bastide audit verify.")


def _check(index: int, body: bytes, stored: bytes) -> None:
    if leaf_hash(entry(index, body)) != stored or b"\n" in body:
        raise invalid(f"Record {index} is not what its hash says: bastide audit verify.")


def _drop(c: Connection, first: int, size: int) -> None:
    """Records about retirements stay: they say why the others are gone."""
    page = records.leaves_from(c, first, size - first)
    marked = [(index, body) for index, body, _ in page if MARK in body]
    kept = [index for index, body in marked if is_about(msgspec.json.decode(body))]
    retirements.drop_bodies(c, first, size, kept)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
