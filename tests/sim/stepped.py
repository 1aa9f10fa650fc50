"""What the runner stands on, without a thread and without a clock of its own: nothing happens
but when the simulation says so."""

from concurrent.futures import Future

from sqlalchemy import create_engine, delete
from sqlalchemy.pool import StaticPool

from bastide.db.schema import metadata
from bastide.jobs import records

TABLES = [records.jobs, records.transitions, records.effects, records.told, records.uids]
WORKERS = 16


class SteppedDatabase:
    """The real tables in SQLite. A write commits where it is called; one that is only submitted
    commits later, in order, or never if a crash comes first."""

    def __init__(self, tables=TABLES):
        self.engine = create_engine("sqlite://", poolclass=StaticPool)
        self.tables = tables
        metadata.create_all(self.engine, tables=tables)
        self.waiting, self.writes = [], 0

    def read(self, work):
        with self.engine.connect() as connection:
            return work(connection)

    def write(self, work):
        self.flush()
        return self._commit(work)

    def submit(self, work):
        self.waiting.append(work)
        return Future()

    def flush(self):
        waiting, self.waiting = self.waiting, []
        for work in waiting:
            self._commit(work)

    def crash(self, kept):
        """The first `kept` of those that wait became durable; the others are lost."""
        self.waiting = self.waiting[:kept]
        self.flush()

    def clear(self):
        self.waiting = []
        with self.engine.begin() as connection:
            for table in self.tables:
                connection.execute(delete(table))

    def _commit(self, work):
        self.writes += 1
        with self.engine.begin() as connection:
            return work(connection)


class SteppedWorkers:
    """Tasks that wait until one of them is done; as many are at hand as there are threads."""

    def __init__(self):
        self.tasks = []

    def submit(self, _agency, task):
        self.tasks.append(task)

    def one(self, chance):
        """Take one of those that a thread could be at."""
        if not self.tasks:
            return None
        return self.tasks.pop(chance.randrange(min(len(self.tasks), WORKERS)))
