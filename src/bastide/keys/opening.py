"""A region's keyring, opened: its database, its master key, and what an earlier version left.

Version 0.1 kept each family in a file of its own, sealed under the master key itself.
"""

import logging
from pathlib import Path

from sqlalchemy import Connection

from bastide.db import Database, durable, key_metadata
from bastide.db.migrate import KEY_VERSIONS, migrate
from bastide.keys import records
from bastide.keys.keyring import Keyring
from bastide.keys.master import FileMaster
from bastide.keys.pkcs11_master import Pkcs11Master
from bastide.keys.region_keys import RegionKeys

logger = logging.getLogger(__name__)


def open_keyring(folder: Path, url: str = "", token: Pkcs11Master | None = None) -> Keyring:
    """`folder` holds `master.key`, where no `token` holds the master key, and `keys.db`, where no
    `url` names another database for it."""
    durable.folder(folder)
    url = url or f"sqlite:///{folder / 'keys.db'}"
    migrate(url, KEY_VERSIONS)
    database = Database(url, key_metadata)
    database.start()
    is_new = not database.read(records.region_keys_of) and not _files(folder)
    path = folder / "master.key"
    in_file = path.exists() or token is None
    former = FileMaster.at(path, is_new=is_new) if in_file else None
    first = former.first_region_key() if former is not None and not is_new else None
    if token is None:
        assert former is not None
        keys = RegionKeys(database, former, first=first)
    else:
        keys = RegionKeys(database, token.make(is_new=is_new or former is not None), former, first)
        path.unlink(missing_ok=True)  # what it wrapped is wrapped by the token now
    _take_files(folder, database)
    return Keyring(database, keys)


def _files(folder: Path) -> list[Path]:
    return sorted((folder / "keks").glob("*.kek"))


def _take_files(folder: Path, database: Database) -> None:
    """Into the database, all or none; then the files go."""
    files = _files(folder)
    held = {path.stem: path.read_bytes() for path in files}

    def work(c: Connection) -> None:
        for stem, sealed in held.items():
            if records.find(c, stem) is None:
                records.add(c, stem, sealed)

    if held:
        database.write(work)
        logger.info("%s keys were taken from files into the key database", len(held))
    for path in files:
        path.unlink()
