"""The key that signs CloudTrail's digests, and the public halves of those that did before it.

A new key takes the place of the old one whose private half is gone then; what that signed is
checked with its public half, which stays listed with the time that it was valid for.
"""

import base64
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from bastide.audit.signing import (
    DIGESTS,
    DigestKey,
    DigestSigner,
    load_digest_signer,
    new_digest_key,
)
from bastide.db import durable
from bastide.kernel.errors import invalid

OLD = "digests.old"
OLD_MAX = 100


class _Kept(msgspec.Struct, frozen=True):
    """A line of `digests.old`: a public key (PKCS #1, DER), and its seconds since 1970."""

    public: str
    valid_from: int
    valid_until: int


@dataclass(slots=True)
class DigestKeys:
    """Those in a folder. Whoever rotates lets nobody sign meanwhile."""

    folder: Path
    signer: DigestSigner
    old: tuple[DigestKey, ...]

    def listed(self, start: datetime, end: datetime) -> list[DigestKey]:
        """Those that were valid at some time of a span."""
        found = (*self.old, self.signer.described)
        return [key for key in found if key.valid_from <= end and start <= key.valid_until]

    def check_room(self) -> None:
        if len(self.old) >= OLD_MAX:
            raise invalid(f"{OLD_MAX} old keys are kept, and there is no room for another.")

    def rotate(self, now: datetime) -> None:
        """First the old key's public half is kept, then the new key takes its place: a crash
        leaves the one or the other, whole, and what was signed by either can be checked."""
        self.check_room()
        ended = replace(self.signer.described, valid_until=now.replace(microsecond=0))
        kept = msgspec.json.encode([_kept(key) for key in (*self.old, ended)])
        durable.replace(self.folder / OLD, kept)
        durable.replace(self.folder / DIGESTS, new_digest_key())
        now_there = open_digest_keys(self.folder)
        self.signer, self.old = now_there.signer, now_there.old


def open_digest_keys(folder: Path) -> DigestKeys:
    """ValueError where a file is not what was written."""
    signer, path = load_digest_signer(folder), folder / OLD
    kept = msgspec.json.decode(path.read_bytes(), type=list[_Kept]) if path.exists() else []
    old = [_read(each) for each in kept]
    # A rotation that a crash broke off had said so already of the key that still signs.
    return DigestKeys(folder, signer, tuple(k for k in old if k.public != signer.public))


def _kept(key: DigestKey) -> _Kept:
    times = (int(key.valid_from.timestamp()), int(key.valid_until.timestamp()))
    return _Kept(base64.b64encode(key.public).decode(), *times)


def _read(kept: _Kept) -> DigestKey:
    return DigestKey(
        public=base64.b64decode(kept.public, validate=True),
        valid_from=datetime.fromtimestamp(kept.valid_from, UTC),
        valid_until=datetime.fromtimestamp(kept.valid_until, UTC),
    )
