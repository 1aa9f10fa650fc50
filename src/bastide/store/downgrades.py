"""Lower labels, once two officers have signed for exactly what is lowered.

An object is sealed under its label's key: its bytes are read, checked, and sealed anew below. In
one transaction the new version comes and the one above goes. Of a bucket the row's label changes,
what lies in it keeps its own. Nothing here asks a policy or shows content: it is the operators'.
"""

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from bastide.kernel.approvals import Approvals, Kind, digest_of
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import TAG
from bastide.kernel.labels.view import View
from bastide.store import bucket_records, errors, records
from bastide.store.content import Pieces
from bastide.store.digests import DEFAULT, FULL_OBJECT
from bastide.store.model import NULL_VERSION, Blob, Bucket, Doomed, Version
from bastide.store.names import check_version_id, key_bytes
from bastide.store.sealed import Place
from bastide.store.shelf import PUT_SIZE_MAX, NewObject, Shelf

SIGNED = "SHA256"  # of the bytes, in what officers sign
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What is to go from the marking `above` to `below`: a bucket, or an object with `key` in it,
    the latest of its label if no version is named."""

    account: str
    bucket: str
    above: str
    below: str
    requester: str
    key: str = ""
    version_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """`gone` of the bucket as seen from above, and what takes its place as seen from below."""

    high: Bucket
    gone: Version
    low: Bucket
    lowered: Version
    blob: Blob


@dataclass(frozen=True, slots=True, kw_only=True)
class Downgrades:
    """`forget_buckets`: what is remembered of an account's buckets may be wrong from now on."""

    shelf: Shelf
    approvals: Approvals
    forget_buckets: Callable[[str], None]

    def lower(self, asked: Asked) -> Row:
        """NotApproved until a reviewer and a releaser have signed for exactly this."""
        above, below = self._labels(asked)
        high = self._bucket(asked, self.shelf.labels.view(above))
        view = self.shelf.labels.at(below.text)
        if not asked.key:
            return self._lower_bucket(asked, high, view)
        if high.label not in view.seen:
            raise errors.invalid_request(f"Its bucket is {high.label}: lower that first.")
        return self._lower_object(asked, high, replace(high, view=view))

    def _lower_bucket(self, asked: Asked, bucket: Bucket, view: View) -> Row:
        if bucket.label != bucket.view.own:
            raise errors.invalid_request(f"The bucket is {bucket.label}, not {bucket.view.own}.")
        action = {
            **_action(bucket, view), "versioning": bucket.versioning,
            "said_sha256": digest_of(
                {"tags": bucket.tags, "policy": bucket.policy, "kms_key": bucket.kms_key}
            ),
        }  # fmt: skip

        def work(c: Connection) -> None:
            _check_name(c, bucket, view)
            if bucket_records.now(c, bucket) != bucket:
                raise _changed()
            tags = _retagged(bucket.tags, view)
            bucket_records.change(c, bucket.id, label=view.own, tags=tags)

        self.shelf.database.read(lambda c: _check_name(c, bucket, view))
        self.approvals.carry_out(Kind.DOWNGRADE, action, asked.requester, work)
        self.forget_buckets(bucket.account)
        return action

    def _lower_object(self, asked: Asked, high: Bucket, low: Bucket) -> Row:
        found = self._version(asked, high)
        self.shelf.database.read(lambda c: _check_key(c, low, found.key))
        move = self._sealed_below(high, low, found)
        action = {
            **_action(high, low.view), "key": asked.key, "version": found.version_id,
            "size": move.blob.size,
            "sha256": base64.b64decode(move.blob.checksums[SIGNED]).hex(),
            "said_sha256": digest_of(
                {
                    "headers": found.facts.headers, "metadata": found.facts.metadata,
                    "tags": found.facts.tags, "kms_key": found.facts.kms_key,
                }
            ),
        }  # fmt: skip
        try:
            placed, doomed = self.approvals.carry_out(
                Kind.DOWNGRADE, action, asked.requester, lambda c: self._exchange(c, move)
            )
        except ServiceError:  # after any other failure the row may be there: the sweep decides
            self.shelf.content.discard(move.blob)
            raise
        self.shelf.clear(doomed)
        return {**action, "version": placed.version_id}

    def _exchange(self, c: Connection, move: Move) -> tuple[Version, list[Doomed]]:
        gone, low = move.gone, move.low
        now = records.version(c, move.high, gone.key, gone.version_id)
        if now is None or (now.object_id, now.facts) != (gone.object_id, gone.facts):
            raise _changed()
        _check_key(c, low, gone.key)
        removed = records.remove_version(c, now)
        new = NewObject(
            who=None, bucket=low, key=gone.key, facts=move.lowered.facts,
            source=self.shelf.thing(move.high, gone),
        )  # fmt: skip
        placed, doomed = self.shelf.add(c, new, move.lowered)
        self.shelf.content.check_opens(move.blob)
        records.add_blob(c, move.blob)
        return placed, [removed, *doomed]

    def _sealed_below(self, high: Bucket, low: Bucket, found: Version) -> Move:
        """Durable, under the key of the lower label; no row names it yet. Where a KMS key seals it
        too, that goes on to: who reads it must be able to use that key."""
        facts, object_id = found.facts, self.shelf.ids.uuid()
        place = Place(
            account=low.account, label=low.view.own, bucket=low.name, key=found.key,
            object_id=object_id,
        )  # fmt: skip
        reader = self.shelf.reader(high, found)
        if reader is None:
            raise _changed()
        algorithm = next(iter(facts.checksums), DEFAULT)
        try:
            blob = self.shelf.content.store(
                place, Pieces(reader), {algorithm, SIGNED}, PUT_SIZE_MAX, facts.kms_key
            )
        finally:
            reader.close()
        sums = {algorithm: blob.checksums[algorithm]}
        said = replace(facts, tags=_retagged(facts.tags, low.view))
        said = said.with_checksums(sums, FULL_OBJECT)
        lowered = self.shelf.version_of(low, found.key, object_id, low.view.own, said)
        lowered = replace(lowered, size=blob.size, etag=blob.etag)
        return Move(high=high, gone=found, low=low, lowered=lowered, blob=blob)

    def _labels(self, asked: Asked) -> tuple[Label, Label]:
        parse = self.shelf.labelling.parse
        above, below = (parse(text, "InvalidArgument") for text in (asked.above, asked.below))
        if above == below or not above.dominates(below):
            raise errors.invalid_argument(f"{below} is not below {above}.")
        return above, below

    def _bucket(self, asked: Asked, view: View) -> Bucket:
        """As a session at the label above finds it."""
        find = bucket_records.find
        found = self.shelf.database.read(lambda c: find(c, asked.account, asked.bucket, view))
        if found is None:
            raise errors.no_such_bucket(asked.bucket)
        return found

    def _version(self, asked: Asked, bucket: Bucket) -> Version:
        check_version_id(asked.version_id)
        found = self.shelf.find(bucket, key_bytes(asked.key), asked.version_id)
        if found is None or found.is_marker or found.label != bucket.view.own:
            raise errors.invalid_request(f"There is no such object at {bucket.view.own}.")
        return found


def _action(bucket: Bucket, below: View) -> Row:
    return {
        "change": "lower label", "account": bucket.account, "bucket": bucket.name,
        "from": bucket.view.own, "to": below.own,
    }  # fmt: skip


def _check_name(c: Connection, bucket: Bucket, view: View) -> None:
    """A bucket takes no name from who sees it for the first time."""
    if bucket_records.find(c, bucket.account, bucket.name, view) is not None:
        raise errors.invalid_request(f"Another bucket of that name is there at {view.own}.")


def _check_key(c: Connection, low: Bucket, key: bytes) -> None:
    """Nothing below is overwritten: where no versions are kept, the key must be free."""
    bucket = bucket_records.now(c, low)
    if bucket is None:
        raise errors.no_such_bucket(low.name)
    there = records.version(c, low, key, NULL_VERSION)
    if bucket.versioning == "Enabled" or there is None or there.label != low.view.own:
        return
    if not there.is_marker:
        raise errors.invalid_request(f"Another object of that key is there at {low.view.own}.")


def _retagged(tags: Mapping[str, str], below: View) -> dict[str, str]:
    """A tag that says the label says the new one."""
    return {name: below.own if name == TAG else text for name, text in tags.items()}


def _changed() -> ServiceError:
    return errors.invalid_request("It was changed meanwhile. Say it again.")
