"""Documents in conversations, read in a cage of their own: no ingestion waits for them."""

from dataclasses import dataclass
from functools import partial

from bastide.app.workshop import Workshop
from bastide.jobs.worker import Worker
from bastide.kernel.call import Call
from bastide.kernel.errors import invalid, unsupported
from bastide.knowledge import caged_reader
from bastide.knowledge.caged_reader import CagedReader
from bastide.knowledge.reading import Unreadable
from bastide.wire.pool import Pool

THREADS = 8
TIMEOUT_S = 20.0  # of one document: who waits behind it has its turn in time
KINDS = ("html", "pdf", "docx", "xlsx", "pptx")


@dataclass(frozen=True, slots=True)
class CagedDocuments:
    """`inference.ports.DocumentReader`. `threads` wait for the reader: each agency, at each of its
    labels, in its share."""

    reader: CagedReader
    threads: Pool

    async def text(self, call: Call, kind: str, data: bytes) -> str:
        if kind not in KINDS:
            raise unsupported(call.operation, f"document.format={kind}")
        read = partial(self.reader.read, whose=call.whose)
        try:
            return await self.threads.run(call.whose, read, data, f"document.{kind}", "")
        except Unreadable as error:
            raise invalid(f"A document cannot be read. {error}") from error

    def close(self) -> None:
        self.reader.worker.close()
        self.threads.close()


def open_documents(workshop: Workshop) -> CagedDocuments:
    worker = Worker(
        walls=workshop.cage_for("documents"),
        module=caged_reader.MODULE,
        memory_bytes=caged_reader.MEMORY_BYTES,
    )
    reader = CagedReader(worker=worker, timeout_s=TIMEOUT_S)
    return CagedDocuments(reader, Pool(THREADS, "documents"))
