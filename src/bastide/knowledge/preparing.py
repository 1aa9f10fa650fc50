"""From a document to what the index takes: its text, split by portion and by strategy, embedded."""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from bastide.kernel.call import Principal
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.scheme import Scheme
from bastide.knowledge.attributes import Attributes
from bastide.knowledge.chunking import Piece, pieces
from bastide.knowledge.index.model import Chunk
from bastide.knowledge.model import BaseRow, Document, Source
from bastide.knowledge.portions import Portion, portions
from bastide.knowledge.ports import Embedder, Reader
from bastide.knowledge.reading import Unreadable

CHUNKS_MAX = 20_000  # of a document
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

    def chunks(self, given: Given) -> Generator[None, None, list[Chunk]]:
        """Yields between batches, so that others have their turn. Raises Unreadable."""
        text = self.reader.read(given.content, given.name, given.media_type)
        plain = list(self._plain(given, text))
        if not plain:
            raise Unreadable("It has no text.")
        found: list[Chunk] = []
        for first in range(0, len(plain), BATCH):
            yield
            batch = plain[first : first + BATCH]
            vectors = self._embed(given, [_embedded(given.attributes, c.text) for c in batch])
            found += [
                replace(chunk, vector=vector) for chunk, vector in zip(batch, vectors, strict=True)
            ]
        return found

    def _plain(self, given: Given, text: str) -> Iterator[Chunk]:
        """Without their vectors."""
        own, count = self.scheme.parse(given.document.label), 0
        for portion in portions(text, self.scheme, given.ceiling):
            span, chunking = (portion.start, portion.end), given.source.chunking
            for piece in pieces(text, span, chunking, lambda texts: self._embed(given, texts)):
                count += 1
                if count > CHUNKS_MAX:
                    raise Unreadable(f"It splits into more than {CHUNKS_MAX} pieces.")
                yield self._chunk(given, text, (portion, piece, own), count)

    def _chunk(
        self, given: Given, text: str, part: tuple[Portion, Piece, Label], number: int
    ) -> Chunk:
        portion, piece, own = part
        document_id = id_of(given.document)
        chunk_id = f"{document_id[:32]}-{number}"
        metadata: dict[str, Any] = {
            **given.attributes.values,
            URI: given.document.uri,
            CHUNK_ID: chunk_id,
            SOURCE_ID: given.source.id,
            PORTION: (portion.label or given.ceiling).text,
            SPAN: f"{piece.start}-{piece.end}",
            KIND: given.document.kind,
        }
        if piece.parent is not None:
            metadata[PARENT] = text[slice(*piece.parent)]
        apart = self.portions_are_apart and portion.label is not None
        return Chunk(
            id=chunk_id,
            document_id=document_id,
            text=text[piece.start : piece.end],
            metadata=metadata,
            label=portion.label if apart and portion.label is not None else own,
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


def _embedded(attributes: Attributes, text: str) -> str:
    said = [f"{key}: {attributes.values[key]}" for key in attributes.embedded]
    return "\n".join([*said, text])
