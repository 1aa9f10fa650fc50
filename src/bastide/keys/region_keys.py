"""The region's own keys: wrapped by the master key, and in the clear only in this process."""

import secrets
import threading

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from bastide.db.database import Database
from bastide.keys import records
from bastide.keys.master import Master
from bastide.keys.records import RegionKey

KEY_SIZE = 32


class RegionKeys:
    """All versions; what is new is sealed under the newest."""

    def __init__(
        self,
        database: Database,
        master: Master,
        former: Master | None = None,
        first: bytes | None = None,
    ) -> None:
        """`former`: what wrapped them until now. `first`: the first key, where a region of version
        0.1 has one already."""
        self._database = database
        self._master = master
        self._keys: dict[int, bytes] = {}
        self._purposes: dict[tuple[int, str], bytes] = {}
        self._lock = threading.Lock()
        for held in database.read(records.region_keys_of):
            self._keys[held.version] = self._unwrapped(held, former)
        if not self._keys:
            self._add(first or secrets.token_bytes(KEY_SIZE))

    @property
    def newest(self) -> int:
        return max(self._keys)

    def renew(self) -> int:
        """A new version; what older ones sealed still opens."""
        with self._lock:
            return self._add(secrets.token_bytes(KEY_SIZE))

    def of(self, version: int, purpose: str) -> bytes:
        """The key for one purpose. KeyError for a version that there is not."""
        found = self._purposes.get((version, purpose))
        if found is None:
            info = b"bastide/keyring/" + purpose.encode()
            found = HKDF(SHA256(), KEY_SIZE, salt=None, info=info).derive(self._keys[version])
            self._purposes[version, purpose] = found
        return found

    def _unwrapped(self, held: RegionKey, former: Master | None) -> bytes:
        aad = _aad(held.version)
        if held.master == self._master.id:
            return self._master.unwrap(held.wrapped, aad)
        if former is None or held.master != former.id:
            raise ValueError(f"The region's keys were wrapped by {held.master}, which is not here.")
        key = former.unwrap(held.wrapped, aad)
        moved = RegionKey(held.version, self._master.id, self._master.wrap(key, aad))
        self._database.write(lambda c: records.rewrap_region_key(c, moved))
        self._database.scrub()
        return key

    def _add(self, key: bytes) -> int:
        version = max(self._keys, default=0) + 1
        made = RegionKey(version, self._master.id, self._master.wrap(key, _aad(version)))
        self._database.write(lambda c: records.add_region_key(c, made))
        self._keys[version] = key
        return version


def _aad(version: int) -> bytes:
    return b"bastide-region-key|1|" + str(version).encode()
