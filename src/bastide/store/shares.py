"""Shares: what one agency lets another read of one of its buckets, up to a label.

A share opens nothing by itself: the bucket's own policy must let the other agency in, and that
agency's policies its caller (`policy/sharing.py`). It is of one bucket, whatever is named so later.
Nothing of it is remembered between two calls, so that what is revoked is gone with the next one.
"""

from dataclasses import dataclass, replace
from hashlib import sha256

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.kernel.call import Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import invalid
from bastide.kernel.labels.labelling import Labelling
from bastide.policy.sharing import SUFFIX
from bastide.store import bucket_records
from bastide.store import share_records as records
from bastide.store.model import Bucket, Share
from bastide.store.names import key_bytes

_NAME_MAX = 24
_DIGITS = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """The shares of a region."""

    database: Database
    labels: LabelsInUse
    labelling: Labelling
    clock: Clock

    def bucket(self, who: Principal, alias: str) -> Bucket | None:
        """The bucket behind an alias, with what both the session and the share dominate in it."""

        def read(connection: Connection) -> Bucket | None:
            share = records.find(connection, alias)
            if share is None or share.reader != who.account:
                return None
            most = self.labelling.scheme.parse(share.label)
            view = self.labels.view(who.session.meet(most))
            found = bucket_records.by_id(connection, share.bucket_id, view)
            return found and replace(found, alias=alias, shared_prefix=share.prefix)

        return self.database.read(read)

    def offer(self, owner: str, bucket: str, reader: str, prefix: str, marking: str) -> Share:
        """What would be shared; it is nobody's yet."""
        if owner == reader:
            raise invalid("An agency shares nothing with itself.")
        key_bytes(prefix)
        label = self.labelling.parse(marking, "ValidationException")
        view = self.labels.view(label)
        found = self.database.read(lambda c: bucket_records.find(c, owner, bucket, view))
        if found is None:
            raise invalid(f"The agency has no bucket {bucket[:63]!r} at or below {label}.")
        return Share(
            alias=_alias(found, reader, prefix),
            owner=owner,
            reader=reader,
            bucket_id=found.id,
            bucket=found.name,
            prefix=prefix,
            label=self.labels.use(label),
            granted_ms=epoch_ms(self.clock.now()),
        )

    def of_account(self, account: str) -> list[Share]:
        return self.database.read(lambda c: records.of_account(c, account))

    def revoke(self, owner: str, alias: str) -> Share:
        gone = self.database.write(lambda c: records.remove(c, owner, alias))
        if gone is None:
            raise invalid(f"The agency has no share {alias[:63]!r}.")
        return gone


def _alias(bucket: Bucket, reader: str, prefix: str) -> str:
    """The same each time that the same is shared."""
    digest = sha256("|".join((bucket.id, reader, prefix)).encode()).hexdigest()[:_DIGITS]
    return f"{bucket.name[:_NAME_MAX].replace('.', '-')}-{digest}{SUFFIX}"
