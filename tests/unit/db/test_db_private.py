"""The files of a database are its owner's alone, whatever the umask was."""

import os
import stat

from sqlalchemy import text

from bastide.db import Database


def test_a_database_and_its_log_are_private(tmp_path):
    path = tmp_path / "region.db"
    path.touch(mode=0o644)  # as one made before was
    path.chmod(0o644)
    database = Database(f"sqlite:///{path}")
    database.start()
    database.write(lambda c: c.execute(text("CREATE TABLE t (x INTEGER)")))
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in os.listdir(tmp_path)}
    database.close()
    assert modes == {"region.db": 0o600, "region.db-wal": 0o600, "region.db-shm": 0o600}
