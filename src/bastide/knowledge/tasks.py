"""What there is to do for knowledge bases, as the database says it."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from functools import partial

from bastide.db.database import Database
from bastide.knowledge import records
from bastide.knowledge.handed import Handed
from bastide.knowledge.index.model import Kb
from bastide.knowledge.model import BaseRow, JobStatus, Source
from bastide.knowledge.ports import Index
from bastide.knowledge.preparing import index_id
from bastide.knowledge.sync import Sync
from bastide.knowledge.work import Task

PAGE = 500
OUR_FAULT = "The job failed for a reason of the region's own. Start it again."


@dataclass(frozen=True, slots=True, kw_only=True)
class Tasks:
    database: Database
    index: Index
    sync: Sync
    handed: Handed

    def wanted(self) -> Iterator[Task]:
        for base in self.database.read(records.deleting_bases):
            yield Task(
                (base.account, "the end", base.id), partial(self._end_base, base), _later, False
            )
        for source in self.database.read(records.deleting_sources):
            key = (source.account, "the end of a source", source.base, source.id)
            yield Task(key, partial(self._end_source, source), _later, False)
        for document in self.handed.waiting():
            where = (document.account, "a document", document.base, document.source)
            each = (*where, document.uri, document.label)
            yield Task(
                each, partial(self.handed.settle, document), partial(self.handed.fail, document)
            )
        for job in self.database.read(records.unfinished):
            give_up = partial(self.sync.end, job, JobStatus.FAILED, OUR_FAULT)
            named = (job.account, "a job", job.base, job.source, job.id)
            yield Task(named, partial(self.sync.run, job), give_up)

    def _end_base(self, base: BaseRow) -> Generator[bool, None, None]:
        """Its passages first: a row that is left says that there is more to do."""
        yield False
        self.index.drop(Kb(base.account, base.id))
        self.database.write(lambda c: records.drop_base(c, base.account, base.id))

    def _end_source(self, source: Source) -> Generator[bool, None, None]:
        after, kb = ("", ""), Kb(source.account, source.base)
        while True:
            page = self.database.read(
                lambda c, after=after: records.all_documents(  # type: ignore[misc]
                    c, source, after, PAGE
                )
            )
            self.index.remove(kb, [index_id(source.id, uri, label) for _, uri, label in page])
            if len(page) < PAGE:
                break
            after = (page[-1][0], page[-1][2])
            yield False
        self.database.write(lambda c: records.drop_source(c, source))


def _later() -> None:
    """What is to go is looked for again at the next poke, and at the next start."""
