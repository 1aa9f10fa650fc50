"""A document into the index, in place of what it said before."""

from collections.abc import Callable, Generator
from dataclasses import dataclass

from bastide.kernel.errors import ServiceError
from bastide.knowledge.index.model import Kb
from bastide.knowledge.model import Document
from bastide.knowledge.ports import Index
from bastide.knowledge.preparing import Given, Preparer, id_of
from bastide.knowledge.reading import NotYet


@dataclass(frozen=True, slots=True, kw_only=True)
class Indexing:
    index: Index
    preparer: Preparer

    def begin(self, given: Given) -> None:
        """Before anything is written of a document: its role may call the model, and its agency
        has something left of it. AccessDeniedException, NotYet."""
        embedder, (model, _) = self.preparer.embedder, given.base.model
        embedder.allow(given.who, model)
        try:
            embedder.begin(given.who, model)
        except ServiceError as error:
            if error.code != "ThrottlingException":
                raise  # a model that went away comes back by nobody's waiting
            raise NotYet(error.message, error.retry_after_s or 1.0) from error

    def put(self, given: Given, stands: Callable[[], bool]) -> Generator[bool, None, bool]:
        """Its row must be there already: what is in the index is always some row's. Raises
        Unreadable, and nothing has changed then. False where what it belongs to went away while it
        was read (`stands`): who took that out has been here, and comes no second time."""
        chunks = yield from self.preparer.chunks(given)
        if not stands():
            return False
        self.index.put(Kb(given.base.account, given.base.id), chunks)
        return True

    def forget(self, document: Document) -> None:
        self.index.remove(Kb(document.account, document.base), [id_of(document)])
