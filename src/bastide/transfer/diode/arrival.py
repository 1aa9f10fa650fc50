"""A bundle on its way, and how much of one there may be.

Until a trusted region's signatures in its envelope held, it is a stranger's (`statement` is None):
some few shards of it are kept, as datagrams do not wait for a signature to be checked.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bastide.transfer.diode.datagram import CHUNK, ENVELOPE, File
from bastide.transfer.model import Statement


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """`bytes_max`: of a bundle; on disk there may be twice that, of what was signed. Strangers'
    bundles have a room of their own, all of them together."""

    bytes_max: int
    bundles_max: int = 64  # of strangers' bundles, and of signed ones
    open_max: int = 32
    age_s: float = 7 * 86_400.0  # since the last datagram
    strange_bytes_max: int = 512 << 20  # envelopes are up to 128 MiB, and their parity
    strange_files_max: int = 32  # of each bundle
    strange_shards_max: int = 1024  # of each bundle's chunks
    strange_age_s: float = 3600.0

    def files_max(self, arrival: "Arrival") -> int:
        return self.strange_files_max + 2 * len(arrival.sizes)

    def has_enough(self, arrival: "Arrival", file: File) -> bool:
        """Whether no more of a chunk is kept before its bundle's signatures held."""
        is_early = arrival.is_strange and file.kind == CHUNK
        return is_early and arrival.early_shards >= self.strange_shards_max

    def is_over(self, arrival: "Arrival", now_s: float) -> bool:
        age_s = self.strange_age_s if arrival.is_strange else self.age_s
        return now_s - arrival.changed_s > age_s


@dataclass(slots=True, kw_only=True, eq=False)
class Arrival:
    """A bundle that is not whole yet. `source`: who sent the first of it."""

    digest: bytes
    source: str
    folder: Path
    changed_s: float
    statement: Statement | None = None
    sizes: dict[bytes, int] = field(default_factory=dict)  # of the chunks that the statement names
    envelope: str = ""  # the digest of the one that the statement came in
    whole: set[bytes] = field(default_factory=set)
    parts: dict[File, int] = field(default_factory=dict)  # what each takes on disk
    lacking: dict[bytes, tuple[int, int]] = field(default_factory=dict)
    whole_bytes: int = 0
    early_shards: int = 0  # of chunks, that came before the statement
    is_told: bool = False

    @property
    def bytes(self) -> int:
        return self.whole_bytes + sum(self.parts.values())

    @property
    def is_strange(self) -> bool:
        return self.statement is None

    def wants(self, file: File) -> bool:
        if file.kind == ENVELOPE:  # also where its bytes are here as a chunk: a stranger's trick
            return self.is_strange
        if file.digest in self.whole:
            return False
        return self.is_strange or self.sizes.get(file.digest) == file.shape.size

    def is_complete(self) -> bool:
        return self.statement is not None and self.sizes.keys() <= self.whole


def missing(arrival: Arrival) -> Iterator[str]:
    if arrival.statement is None:
        yield "the envelope"
        return
    for subject in arrival.statement.subject:
        digest = bytes.fromhex(subject.digest["sha256"])
        if digest in arrival.lacking:
            lacking, rows = arrival.lacking[digest]
            yield f"{subject.name} ({lacking} of {rows} rows)"
        elif digest not in arrival.whole:
            yield subject.name
