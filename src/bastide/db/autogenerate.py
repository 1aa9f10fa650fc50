"""`python -m bastide.db.autogenerate [--keys] "what changed"`: write the next migration.

Compares a database at the newest revision with the tables that all contexts declare, on SQLite.
Read what it wrote before it is committed; ruff formats it.
"""

import argparse
import importlib
import pkgutil
import tempfile
from pathlib import Path

from alembic import command
from alembic.script import ScriptDirectory

import bastide
from bastide.db.engines import new_engine, writer_of
from bastide.db.migrate import KEY_VERSIONS, config, migrate


def load_tables() -> list[str]:
    """Import every context's `records.py` and `*_records.py`, which put their tables on
    `metadata`. By name: this folder lies below all contexts and imports none of them."""
    found = []
    for package in pkgutil.iter_modules(bastide.__path__, "bastide."):
        folder = Path(bastide.__path__[0]) / package.name.rpartition(".")[2]
        found += [f"{package.name}.{path.stem}" for path in sorted(folder.glob("*records.py"))]
    for name in found:
        importlib.import_module(name)
    return found


def generate(message: str, versions: Path | None = None) -> Path:
    """Write the next revision, numbered after the last one. Answers its file."""
    load_tables()
    with tempfile.TemporaryDirectory() as scratch:
        url = f"sqlite:///{scratch}/now.db"
        migrate(url, versions)
        engine = new_engine(url)
        try:
            with writer_of(engine).begin() as connection:
                settings = config(connection, versions)
                head = ScriptDirectory.from_config(settings).get_current_head()
                number = f"{int(head or 0) + 1:04}"
                script = command.revision(settings, message, autogenerate=True, rev_id=number)
        finally:
            engine.dispose()
    assert script is not None
    assert not isinstance(script, list)
    return Path(script.path)


def main() -> None:
    parser = argparse.ArgumentParser(description="Write the next database migration.")
    parser.add_argument("message", help="what changed, in a few words")
    parser.add_argument("--keys", action="store_true", help="of the key database")
    asked = parser.parse_args()
    print(generate(asked.message, KEY_VERSIONS if asked.keys else None))


if __name__ == "__main__":
    main()
