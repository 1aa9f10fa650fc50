"""Admitted weights on disk: `<folder>/<name>/{model.gguf,card.json}`, whole or not there. An
embedding model is `model.onnx`, with its tokenizer beside it.

Nothing is admitted whose size or sha256 differs from what was pinned; a folder gets its name by
one rename, after everything in it was synced.
"""

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bastide.db import durable
from bastide.kernel.clock import Clock, epoch_ms
from bastide.models.gguf import BadGguf, read_header
from bastide.models.model import Beside, Entry, Facts, ModelCard, ModelKind, NotAdmitted, Step

BLOCK_BYTES = 1 << 20
WEIGHTS = {ModelKind.TEXT: "model.gguf", ModelKind.EMBEDDING: "model.onnx"}
CARD, TOKENIZER = "card.json", "tokenizer.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    folder: Path
    clock: Clock

    def cards(self) -> dict[str, ModelCard]:
        """What is admitted, by name."""
        found = (self._card(path) for path in sorted(self.folder.glob(f"*/{CARD}")))
        return {card.name: card for card in found if card is not None}

    def partial(self, sha256: str) -> Path:
        """Where the pieces of these weights are gathered; it survives an interruption."""
        place = self.folder / ".partial" / sha256
        durable.folder(self.folder)
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        return place

    def incoming(self, one: Entry | Beside) -> Path:
        """Where an operator may lay a file that came by another way: `<sha256>.gguf`."""
        name = one.name if isinstance(one, Beside) else WEIGHTS[one.kind]
        return self.folder / "incoming" / f"{one.sha256}{Path(name).suffix}"

    def discard(self, sha256: str) -> None:
        shutil.rmtree(self.folder / ".partial" / sha256, ignore_errors=True)

    def admit(
        self, name: str, entry: Entry, file: Path, beside: Mapping[str, Path]
    ) -> Iterator[Step]:
        """Check `file` and what belongs beside it, then move them in. Raises NotAdmitted and leaves
        nothing behind."""
        yield from checked(file, entry.sha256, entry.size)
        for one in entry.beside:
            yield from checked(beside[one.name], one.sha256, one.size)
        facts = Facts(
            name=name,
            model_id=entry.model_id,
            title=entry.title,
            provider=entry.provider,
            sha256=entry.sha256,
            size=entry.size,
            licence=entry.licence,
            context_tokens=entry.context_tokens,
            kv_bytes_per_token=_kv_bytes_per_token(entry, file),
            admitted_ms=epoch_ms(self.clock.now()),
            kind=entry.kind,
            dimensions=entry.dimensions,
            beside={one.name: one.sha256 for one in entry.beside},
            languages=entry.languages,
            label=entry.label,
        )
        self._publish(facts, {WEIGHTS[entry.kind]: file, **beside})

    @contextmanager
    def lock(self) -> Iterator[None]:
        """One at a time changes the shelf; regions of one machine may share it."""
        durable.folder(self.folder)
        with durable.alone_in(self.folder):
            yield

    def _publish(self, facts: Facts, files: Mapping[str, Path]) -> None:
        aside = self.folder / ".partial" / f"{facts.sha256}.new"
        shutil.rmtree(aside, ignore_errors=True)
        aside.mkdir(mode=0o700)
        for name, file in files.items():
            file.chmod(0o444)  # an engine may have a uid of its own; the folders above are closed
            with file.open("rb") as content:
                os.fsync(content.fileno())
            file.rename(aside / name)
        durable.replace(aside / CARD, msgspec.json.encode(facts))
        place = self.folder / facts.name
        if place.exists():  # what lay there did not pass its check
            shutil.rmtree(place)
        aside.rename(place)
        durable.sync_folder(self.folder)

    def _card(self, path: Path) -> ModelCard | None:
        """None for what is torn, or not of its folder's name: the model is then not there."""
        try:
            facts = msgspec.json.decode(path.read_bytes(), type=Facts)
            weights = path.with_name(WEIGHTS[facts.kind])
            if facts.name != path.parent.name or weights.stat().st_size != facts.size:
                return None
        except (OSError, msgspec.DecodeError, UnicodeDecodeError):
            return None
        kept = {key: getattr(facts, key) for key in facts.__struct_fields__ if key != "languages"}
        return ModelCard(**kept, path=weights)


def _kv_bytes_per_token(entry: Entry, file: Path) -> int:
    """What the header of text weights says. An embedding model is admitted by its digest alone, and
    comes from the catalogue alone."""
    if entry.kind is ModelKind.EMBEDDING:
        return 0
    try:
        return read_header(file).kv_bytes_per_token
    except BadGguf as error:
        raise NotAdmitted(f"not an acceptable GGUF file: {error}") from error


def checked(file: Path, sha256: str, size: int) -> Iterator[Step]:
    """Read `file` to its end. Raises NotAdmitted unless size and digest are the pinned ones."""
    try:
        with file.open("rb") as weights:
            found = os.fstat(weights.fileno()).st_size
            if found != size:
                raise NotAdmitted(f"it has {found} bytes, not {size}")
            digest, done = hashlib.sha256(), 0
            while block := weights.read(BLOCK_BYTES):
                digest.update(block)
                done += len(block)
                yield {"step": "checking the digest", "done": done, "total": size}
    except OSError as error:
        raise NotAdmitted(f"it cannot be read: {error.strerror}") from error
    if digest.hexdigest() != sha256:
        raise NotAdmitted(f"its sha256 is {digest.hexdigest()}, not {sha256}")


def verify(card: ModelCard) -> None:
    """Check admitted weights once more, before they are run. Raises NotAdmitted."""
    assert card.path is not None, "a remote model has no weights here"
    for _ in checked(card.path, card.sha256, card.size):
        pass
    for name, sha256 in card.beside.items():
        file = card.path.with_name(name)
        size = file.stat().st_size if file.exists() else 0
        for _ in checked(file, sha256, size):
            pass
