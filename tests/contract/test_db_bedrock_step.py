"""The steps that Bedrock's models, functions, memories and runtimes came with, over rows that were
there before them."""

import shutil

import pytest
from sqlalchemy import MetaData
from tests.contract.test_db_labels_step import run
from tests.contract.test_db_migrate import differences, engine_of, filled, rows

from bastide.agents import memory_records, session_records
from bastide.agents import records as agent_records
from bastide.agents.model import Part, Status
from bastide.agents.session_records import Key
from bastide.db import Database
from bastide.db.migrate import SCRIPTS, migrate
from bastide.models import import_records, logging_records, provisioned_records

ONE = "111122223333"
BEFORE = "0021"
AGENT = {"account": ONE, "agent_id": "AGENT00001", "label": "S"}
SESSION = Key(account=ONE, label="S", agent_id="AGENT00001", alias_id="ALIAS00001", id="talk")


def at(url, last, folder):
    """Go up to a step; answers the tables as they are then."""
    versions = folder / last
    versions.mkdir()
    for path in (SCRIPTS / "versions").glob("0*.py"):
        if path.name[:4] <= last:
            shutil.copy(path, versions)
    migrate(url, versions)
    found = MetaData()
    with engine_of(url) as engine:
        found.reflect(engine)
    return {name: table for name, table in found.tables.items() if name != "alembic_version"}


@pytest.fixture
def before(database_url, tmp_path):
    """An agent with all that is its own, and a conversation with it."""
    tables = at(database_url, BEFORE, tmp_path)

    def put(table, **values):
        filled(database_url, tables[table], **values)

    put(
        "bedrock_agents", account=ONE, id="AGENT00001", label="S", name="ann", status="PREPARED",
        latest=1, asked='{"agentName": "ann"}', failures="[]", prepared='{"agent": {}}',
    )  # fmt: skip
    put("bedrock_agent_parts", **AGENT, id="P", name="p", kind="action-group", asked='{"a": 1}')
    put("bedrock_agent_versions", **AGENT, number=1, definition='{"agent": {}}')
    put(
        "bedrock_agent_aliases", **AGENT, id="ALIAS00001", name="live", version="1",
        asked="{}", history="[]",
    )  # fmt: skip
    put("bedrock_agent_sessions", **SESSION.values, turn=3, expires_ms=9, sealed=b"said")
    return database_url


@pytest.fixture
def after(before):
    migrate(before)
    database = Database(before)
    database.start()
    yield database
    database.close()


def test_what_was_there_is_read_as_it_was(after):
    _agents_are_as_they_were(after)
    _what_is_new_is_empty(after)
    _a_conversation_goes_on_and_belongs_to_no_memory(after)


def _agents_are_as_they_were(after):
    read = after.read
    found = read(lambda c: agent_records.find(c, ONE, "AGENT00001", ["S"]))
    assert (found.name, found.status, found.tags) == ("ann", Status.PREPARED, {})
    assert found.asked == {"agentName": "ann"}
    (part,) = read(lambda c: agent_records.parts_of(c, ONE, "AGENT00001"))
    assert (part.kind, part.asked) == (Part.ACTION_GROUP, {"a": 1})
    (version,) = read(lambda c: agent_records.versions_of(c, ONE, "AGENT00001"))
    assert version.definition == {"agent": {}}
    (alias,) = read(lambda c: agent_records.aliases_of(c, ONE, "AGENT00001"))
    assert (alias.name, alias.version, alias.tags) == ("live", "1", {})


def _a_conversation_goes_on_and_belongs_to_no_memory(after):
    assert after.read(lambda c: session_records.find(c, SESSION, 1)) == (3, b"said")
    turned = session_records.Turned(expires_ms=99, sealed=b"more", memory_id="m")
    assert after.write(lambda c: session_records.save(c, SESSION, 3, turned))
    assert after.read(lambda c: session_records.find(c, SESSION, 1)) == (4, b"more")
    assert after.read(lambda c: session_records.late(c, SESSION, "m", 100, 9)) == ["talk"]


def _what_is_new_is_empty(after):
    assert after.read(import_records.unfinished) == []
    assert after.read(import_records.known_models) == set()
    assert list(after.read(logging_records.every)) == []
    assert list(after.read(provisioned_records.every)) == []
    assert after.read(lambda c: memory_records.count(c, ONE, "S")) == 0


def test_every_row_of_every_table_outlives_every_step(database_url, tmp_path):
    """One row in each table as soon as it is made, and all of them as they were at the end."""
    steps = sorted(path.name[:4] for path in (SCRIPTS / "versions").glob("0*.py"))
    kept = {}
    for step in [step for step in steps if step >= BEFORE]:
        tables = at(database_url, step, tmp_path)
        for name, table in tables.items():
            if name not in kept:
                if not rows(database_url, table):
                    filled(database_url, table)
                kept[name] = rows(database_url, table)
    assert differences(database_url) == []
    assert len(kept) > 60
    for name, table in tables.items():
        now = rows(database_url, table)
        assert [
            {key: row[key] for key in was} for row, was in zip(now, kept[name], strict=True)
        ] == (kept[name]), name
    ((tags,),) = run(database_url, "SELECT tags FROM bedrock_agents")
    assert tags == "{}"
