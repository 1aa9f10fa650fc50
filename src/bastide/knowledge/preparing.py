"""From a document to what the index takes: its text, split by portion and by strategy, embedded."""

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from bastide.kernel.call import Principal
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.scheme import Scheme
from bastide.kernel.shares import view_of
from bastide.knowledge.attributes import Attributes
from bastide.knowledge.chunking import Piece, pieces
from bastide.knowledge.index.model import Chunk
from bastide.knowledge.model import BaseRow, Document, Source
from bastide.knowledge.portions import Portion, portions
from bastide.knowledge.ports import Embedder, Reader
from bastide.knowledge.reading import Unreadable

CHUNKS_MAX = 20_000  # of a document
SIZE_MAX = 32_000_000  # characters of them: they overlap, and each may bring its parent
BATCH = 8  # a second of one core
URI = "x-amz-bedrock-kb-source-uri"
CHUNK_ID = "x-amz-bedrock-kb-chunk-id"
SOURCE_ID = "x-amz-bedrock-kb-data-source-id"
PORTION = "x-bastide-portion"
SPAN = "x-bastide-span"
PARENT = "x-bastide-parent"
KIND = "x-bastide-kind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """A document to be prepared. `ceiling` is the most that a portion of it may be marked."""

    base: BaseRow
    source: Source
    document: Document
    who: Principal
    content: bytes
    name: str
    media_type: str
    ceiling: Label
    attributes: Attributes


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparer:
    """`portions_are_apart`: a portion is found at its own label, not only at its document's."""

    reader: Reader
    embedder: Embedder
    scheme: Scheme
    portions_are_apart: bool = False

    def chunks(self, given: Given) -> Generator[bool, None, list[Chunk]]:
        """Yields between batches, so that others have their turn: True, as all of the document is
        in memory meanwhile. Raises Unreadable."""
        whose = view_of(given.document.account, given.document.label)
        text = self.reader.read(given.content, given.name, given.media_type, whose=whose)
        plain = list(self._plain(given, text))
        if not plain:
            raise Unreadable("It has no text.")
        found: list[Chunk] = []
        for first in range(0, len(plain), BATCH):
            yield True
            batch = plain[first : first + BATCH]
            vectors = self._embed(given, [_embedded(given, chunk) for chunk in batch])
            found += [
                replace(chunk, vector=vector) for chunk, vector in zip(batch, vectors, strict=True)
            ]
        return found

    def _plain(self, given: Given, text: str) -> Iterator[Chunk]:
        """Without their vectors."""
        own, counts, size = self.scheme.parse(given.document.label), Counter[Label](), 0
        for portion in portions(text, self.scheme, given.ceiling):
            span, chunking = (portion.start, portion.end), given.source.chunking
            apart = portion.label if self.portions_are_apart else None
            label = own if apart is None else apart
            for piece in pieces(text, span, chunking, lambda texts: self._embed(given, texts)):
                counts[label] += 1
                if counts.total() > CHUNKS_MAX:
                    raise Unreadable(f"It splits into more than {CHUNKS_MAX} pieces.")
                chunk = self._chunk(given, text, (portion, piece, label), counts)
                size += len(chunk.text) + len(chunk.metadata.get(PARENT, ""))
                if size > SIZE_MAX:
                    raise Unreadable(f"Its pieces have more than {SIZE_MAX} characters.")
                yield chunk

    def _chunk(
        self, given: Given, text: str, part: tuple[Portion, Piece, Label], counts: Counter[Label]
    ) -> Chunk:
        portion, piece, label = part
        document_id, said = id_of(given.document), text[piece.start : piece.end]
        metadata: dict[str, Any] = {
            SOURCE_ID: given.source.id,
            PORTION: (portion.label or given.ceiling).text,
        }
        if label.text == given.document.label:
            chunk_id = f"{document_id[:32]}-{counts.total()}"
            metadata |= {
                **given.attributes.values,
                **metadata,
                URI: given.document.uri,
                SPAN: f"{piece.start}-{piece.end}",
                KIND: given.document.kind,
            }
        else:
            # What is said of a document has the document's label, and so have its name, its
            # place and what else it holds: below, a portion has a name that tells its own text.
            chunk_id = f"{index_id(given.source.id, said, label.text)[:32]}-{counts[label]}"
            metadata |= {URI: chunk_id, KIND: "CUSTOM"}
        metadata[CHUNK_ID] = chunk_id
        if piece.parent is not None:
            metadata[PARENT] = text[slice(*piece.parent)]
        return Chunk(
            id=chunk_id, document_id=document_id, text=said, metadata=metadata, label=label
        )

    def _embed(self, given: Given, texts: Sequence[str]) -> Any:
        model, dimensions = given.base.model
        return self.embedder.embed(given.who, model, dimensions, texts)


def id_of(document: Document) -> str:
    return index_id(document.source, document.uri, document.label)


def index_id(source: str, uri: str, label: str) -> str:
    """Of one document at one label, in the index."""
    return sha256("\0".join((source, uri, label)).encode("utf-8", "surrogatepass")).hexdigest()


def key_of(uri: str) -> str:
    """Of a document's rows, at whatever label."""
    return sha256(uri.encode("utf-8", "surrogatepass")).hexdigest()


def _embedded(given: Given, chunk: Chunk) -> str:
    """With what is said of its document, if it is found where that is."""
    keys = given.attributes.embedded if chunk.label.text == given.document.label else ()
    return "\n".join([*(f"{key}: {given.attributes.values[key]}" for key in keys), chunk.text])
