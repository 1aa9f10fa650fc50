"""Fetch a model of the catalogue, or take a local file, and admit it if its digest is right."""

import logging
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bastide.models.gguf import BadGguf, read_header
from bastide.models.model import (
    Beside,
    Entry,
    FetchFailed,
    LocalFile,
    ModelCard,
    NotAdmitted,
    Source,
    Step,
)  # fmt: skip
from bastide.models.shelf import Shelf, checked, verify
from bastide.models.sources import Fetch

logger = logging.getLogger(__name__)
JOINED = "joined"
SPACE_FACTOR = 2.2  # the parts and what is joined from them lie side by side for a while


@dataclass(frozen=True, slots=True, kw_only=True)
class Puller:
    shelf: Shelf

    def pull(self, name: str, entry: Entry) -> Iterator[Step]:
        """Try each source in turn. Raises FetchFailed with every source's reason."""
        with self.shelf.lock():
            if self._is_here(name, entry):
                self._discard(entry)  # left by one that failed after all was done
                return
            yield from self._all_of(name, entry)
            self._discard(entry)

    def _is_here(self, name: str, entry: Entry) -> bool:
        card = self.shelf.cards().get(name)
        beside = {one.name: one.sha256 for one in entry.beside}
        if card is None or card.sha256 != entry.sha256 or card.beside != beside:
            return False
        try:
            verify(card)
        except NotAdmitted:
            logger.warning("the weights of %s were changed on disk; fetching them anew", name)
            return False
        return True

    def _all_of(self, name: str, entry: Entry) -> Iterator[Step]:
        """What belongs beside the weights first, so that they are admitted with all of it."""
        beside: dict[str, Path] = {}
        for one in entry.beside:
            yield from self._first_that_works(one, partial(_checked, one))
            beside[one.name] = self.shelf.partial(one.sha256) / JOINED
        admit = partial(self.shelf.admit, name, entry, beside=beside)
        yield from self._first_that_works(entry, admit)

    def _first_that_works(
        self, entry: Entry | Beside, accept: Callable[[Path], Iterator[Step]]
    ) -> Iterator[Step]:
        place = self.shelf.partial(entry.sha256)
        self._need_space(place, entry)
        reasons: list[str] = []
        for source in self._sources(entry):
            try:
                target = place / JOINED
                yield from Fetch(entry=entry, folder=place, target=target).steps(source)
                yield from accept(target)
            except FetchFailed as error:
                reasons.append(str(error))
            except NotAdmitted as error:
                reasons.append(f"refused: {error}")
                self.shelf.discard(entry.sha256)
                place = self.shelf.partial(entry.sha256)
            else:
                return
        raise FetchFailed("; ".join(reasons) or "the model has no source")

    def _discard(self, entry: Entry) -> None:
        for sha256 in (entry.sha256, *(one.sha256 for one in entry.beside)):
            self.shelf.discard(sha256)

    def _sources(self, entry: Entry | Beside) -> list[Source]:
        incoming = self.shelf.incoming(entry)
        local: list[Source] = [LocalFile(path=str(incoming))] if incoming.exists() else []
        return [*local, *entry.sources]

    def _need_space(self, place: Path, entry: Entry | Beside) -> None:
        have = sum(file.stat().st_size for file in place.rglob("*") if file.is_file())
        free = shutil.disk_usage(place).free
        if free + have < entry.size * SPACE_FACTOR:
            raise FetchFailed(f"{free >> 20} MiB are free; this takes {entry.size >> 19} MiB")


def _checked(one: Beside, file: Path) -> Iterator[Step]:
    return checked(file, one.sha256, one.size)


def local_entry(file: Path, card: ModelCard) -> Entry:
    """A local GGUF file as an entry of the catalogue. Raises NotAdmitted."""
    try:
        header = read_header(file)
        size = file.stat().st_size
    except OSError as error:
        raise NotAdmitted(f"{file} cannot be read: {error.strerror}") from error
    except BadGguf as error:
        raise NotAdmitted(f"{file.name} is not an acceptable GGUF file: {error}") from error
    limits = [n for n in (card.context_tokens, header.context_tokens) if n > 0]
    return Entry(
        model_id=card.model_id,
        title=card.title,
        provider=card.provider,
        sha256=card.sha256,
        size=size,
        licence=card.licence,
        context_tokens=min(limits, default=0),
        sources=[LocalFile(path=str(file))],
        label=card.label,
    )
