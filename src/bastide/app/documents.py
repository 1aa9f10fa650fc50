"""Documents in conversations, read in a cage of their own: no ingestion waits for them."""

import asyncio
from dataclasses import dataclass

from bastide.app.workshop import Workshop
from bastide.jobs.worker import Worker
from bastide.kernel.errors import invalid, unsupported
from bastide.knowledge import caged_reader
from bastide.knowledge.caged_reader import CagedReader
from bastide.knowledge.reading import Unreadable

KINDS = ("html", "pdf", "docx", "xlsx", "pptx")


@dataclass(frozen=True, slots=True)
class CagedDocuments:
    """`inference.ports.DocumentReader`."""

    worker: Worker

    async def text(self, operation: str, kind: str, data: bytes) -> str:
        if kind not in KINDS:
            raise unsupported(operation, f"document.format={kind}")
        try:
            reader = CagedReader(self.worker)
            return await asyncio.to_thread(reader.read, data, f"document.{kind}", "")
        except Unreadable as error:
            raise invalid(f"A document cannot be read. {error}") from error

    def close(self) -> None:
        self.worker.close()


def open_documents(workshop: Workshop) -> CagedDocuments:
    return CagedDocuments(
        Worker(
            walls=workshop.cage_for("documents"),
            module=caged_reader.MODULE,
            memory_bytes=caged_reader.MEMORY_BYTES,
        )
    )
