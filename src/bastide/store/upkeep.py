"""What is done to stored objects behind the operations: the sweep at start, and re-wrapping."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.store import records
from bastide.store.blobs import Blobs
from bastide.store.model import Blob, Held
from bastide.store.ports import Kek, Keyring
from bastide.store.sealed import Tampered, wrap_aad

REWRAP_BATCH = 100  # one commit: calls wait no longer than for it


@dataclass(frozen=True, slots=True, kw_only=True)
class Upkeep:
    database: Database
    blobs: Blobs
    keyring: Keyring

    def start(self) -> int:
        """Before the first call: make the folders, remove what a crash left; how many files."""
        self.blobs.prepare()

        def known(blob_ids: Sequence[str]) -> set[str]:
            return self.database.read(lambda c: records.known_blobs(c, blob_ids))

        return self.blobs.sweep(known)

    def held(self, account: str = "") -> dict[str, Held]:
        """What each KEK of `account`, or of all accounts, opens."""
        return self.database.read(lambda c: records.held(c, account))

    def rewrap(self, account: str, label: str, older: Sequence[str]) -> Iterator[int]:
        """Move the DEKs that the `older` KEKs of (account, label) wrap under its current one, batch
        by batch; how many each time. No blob changes, and an end half-way leaves all readable."""
        kek = self.keyring.current(account, label)
        for old in older:
            while batch := self._under(account, old):
                wrapped = [(blob, self._rewrapped(blob, kek)) for blob in batch]
                self.database.write(partial(_exchange, kek_id=kek.id, wrapped=wrapped))
                yield len(batch)

    def _under(self, account: str, kek_id: str) -> list[Blob]:
        return self.database.read(lambda c: records.blobs_under(c, account, kek_id, REWRAP_BATCH))

    def _rewrapped(self, blob: Blob, kek: Kek) -> bytes:
        aad = wrap_aad(blob.account, blob.label, blob.object_id, blob.part)
        try:
            dek = self.keyring.unwrap(self.keyring.by_id(blob.kek_id), blob.wrapped, aad)
        except ValueError:
            raise Tampered(f"the data key of object {blob.object_id} was changed") from None
        return self.keyring.wrap(kek, dek, aad)


def _exchange(
    connection: Connection, *, kek_id: str, wrapped: Sequence[tuple[Blob, bytes]]
) -> None:
    for blob, dek in wrapped:
        records.rewrap_blob(connection, blob, kek_id, dek)
