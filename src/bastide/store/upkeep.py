"""What is done to stored objects behind the operations: the sweep at start, and re-wrapping."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.store import records
from bastide.store.blobs import Blobs
from bastide.store.model import Blob
from bastide.store.ports import Kek, Keyring
from bastide.store.sealed import wrap_aad

REWRAP_BATCH = 500


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

    def rewrap(self, account: str, label: str) -> int:
        """Move the DEKs of (account, label) under its current KEK; how many. No blob changes."""
        kek = self.keyring.current(account, label)
        moved = 0
        while batch := self._under_old_keys(account, label, kek.id):
            wrapped = [(blob, self._rewrapped(blob, kek)) for blob in batch]

            def work(connection: Connection, pairs: list[tuple[Blob, bytes]] = wrapped) -> None:
                for blob, dek in pairs:
                    records.rewrap_blob(connection, blob, kek.id, dek)

            self.database.write(work)
            moved += len(batch)
        return moved

    def _under_old_keys(self, account: str, label: str, kek_id: str) -> list[Blob]:
        return self.database.read(
            lambda c: records.blobs_under_old_keys(c, account, label, kek_id, REWRAP_BATCH)
        )

    def _rewrapped(self, blob: Blob, kek: Kek) -> bytes:
        aad = wrap_aad(blob.account, blob.label, blob.object_id, blob.part)
        dek = self.keyring.unwrap(self.keyring.by_id(blob.kek_id), blob.wrapped, aad)
        return self.keyring.wrap(kek, dek, aad)
