"""The index of all knowledge bases of a region: one sealed file, and partitions in memory.

A partition is one label of one knowledge base. A question is asked of those whose labels its
session sees, and of nothing else; there is no filter that could be forgotten afterwards.
"""

import threading
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import apsw

from bastide.kernel.labels.label import Label
from bastide.knowledge.index import filters, records, sealing
from bastide.knowledge.index.graphs import GRAPH_FROM, Graphs
from bastide.knowledge.index.model import RESULTS_MAX, Chunk, Hit, Kb, Query
from bastide.knowledge.index.opened import InMemory, Opened
from bastide.knowledge.index.ranking import Ranked, Seen, ranked
from bastide.knowledge.index.sealing import Keyring, PartitionKey, Searched, Shredded

MEMORY_BYTES = 2 << 30
LOCKS = 64
Removed = dict[int, list[int]]  # partition → ids of chunks


class Index:
    """Safe to use from many threads. `parse` reads a marking."""

    def __init__(
        self,
        path: Path,
        *,
        keyring: Keyring,
        parse: Callable[[str], Label],
        memory_bytes: int = MEMORY_BYTES,
        graph_from: int = GRAPH_FROM,
    ) -> None:
        self._file = records.File(path)
        self._keyring = keyring
        self._memory = InMemory(memory_bytes, parse)
        self._graphs = Graphs(self._file, graph_from)
        self._locks = [threading.RLock() for _ in range(LOCKS)]

    def put(self, kb: Kb, chunks: Sequence[Chunk]) -> None:
        """All of them, or none: they take the place of what their documents had. ValueError where a
        vector is none, or of another length than those beside it."""
        by_label: dict[str, list[tuple[Chunk, Searched]]] = {}
        for chunk in chunks:
            pair = (chunk, sealing.searched(chunk))
            by_label.setdefault(chunk.label.text, []).append(pair)
        documents = list(dict.fromkeys(chunk.document_id for chunk in chunks))
        with self._changing(kb):
            keys = {label: self._key(kb, label) for label in by_label}
            sealed = {
                label: [keys[label][1].sealed(chunk, searched) for chunk, searched in pairs]
                for label, pairs in by_label.items()
            }
            lengths = {label: _dimensions(keys[label][0], by_label[label]) for label in by_label}

            def work(db: apsw.Connection) -> tuple[Removed, list[tuple[records.Row, list[int]]]]:
                gone = self._removed(db, kb, documents)
                made = []
                for label, (row, _) in keys.items():
                    kept = row if row.id else records.add_partition(db, row)
                    records.measure(db, kept.id, lengths[label])
                    made.append((kept, records.add(db, kept.id, sealed[label])))
                return gone, made

            gone, made = self._file.write(work)
            self._forget_rows(gone)
            for row, ids in made:
                self._grow(row, ids, by_label[row.label])

    def remove(self, kb: Kb, document_ids: Sequence[str]) -> None:
        """At every label of the knowledge base."""
        with self._changing(kb):
            self._forget_rows(self._file.write(lambda db: self._removed(db, kb, document_ids)))

    def drop(self, kb: Kb) -> None:
        """Its keys go too: what a copy of the chunks still has is never read again."""
        with self._changing(kb):

            def work(db: apsw.Connection) -> list[records.Row]:
                rows = records.partitions(db, kb.key)
                for row in rows:
                    records.drop_partition(db, row.id)
                return rows

            for row in self._file.write(work):
                self._memory.forget(row.id)
            self._file.scrub()

    def search(self, query: Query) -> list[Hit]:
        """ValidationException for what is no filter."""
        if not 0 < query.k <= RESULTS_MAX:
            raise ValueError(f"1 to {RESULTS_MAX} results")
        tree = filters.read(query.filter) if query.filter else None
        rows = self._file.read(lambda db: records.seen(db, query.kb.key, list(query.sees)))
        opened = [one for row in rows if (one := self._opened(query.kb, row)) is not None]
        seen = [self._seen(query.kb, one, tree) for one in opened]
        found = ranked(query, seen)
        self._memory.make_room()
        return self._hits(opened, seen, found)

    def close(self) -> None:
        self._graphs.close()
        self._file.close()

    def _changing(self, kb: Kb) -> threading.RLock:
        """Held by who changes what is there, and by who reads all of it into memory."""
        return self._locks[hash(kb) % LOCKS]

    def _key(self, kb: Kb, label: str) -> tuple[records.Row, PartitionKey]:
        """Of a partition that may be new: its row has no id yet. One whose key was shredded begins
        anew."""
        for row in self._file.read(lambda db: records.seen(db, kb.key, [label])):
            try:
                return row, sealing.key_of(self._keyring, row)
            except Shredded:
                self._memory.forget(row.id)
                self._file.write(partial(records.drop_partition, partition=row.id))
        row = sealing.new_partition(self._keyring, kb, label)
        return row, sealing.key_of(self._keyring, row)

    def _removed(self, db: apsw.Connection, kb: Kb, documents: Sequence[str]) -> Removed:
        found = {}
        for row in records.partitions(db, kb.key):
            try:
                key = sealing.key_of(self._keyring, row)
            except Shredded:
                continue  # and nobody will read what is left of it
            found[row.id] = records.remove(db, row.id, [key.document(each) for each in documents])
        return found

    def _forget_rows(self, gone: Mapping[int, list[int]]) -> None:
        for partition, ids in gone.items():
            one = self._memory.find(partition)
            if one is not None and ids:
                one.partition.remove(ids)

    def _grow(
        self, row: records.Row, ids: list[int], pairs: Sequence[tuple[Chunk, Searched]]
    ) -> None:
        one = self._memory.find(row.id)
        if one is None:
            return
        if one.partition.attributes is not None:
            first = len(one.partition.view().ids)
            one.partition.attributes.add(first, [chunk.metadata for chunk, _ in pairs])
        one.partition.add(ids, [searched for _, searched in pairs])

    def _opened(self, kb: Kb, row: records.Row) -> Opened | None:
        """None where the agency's key for the label is no more."""
        try:
            key = sealing.key_of(self._keyring, row)
        except Shredded:
            self._memory.forget(row.id)
            return None
        one = self._memory.find(row.id)
        if one is None:
            with self._changing(kb):
                one = self._memory.find(row.id) or self._loaded(row, key)
        return one

    def _loaded(self, row: records.Row, key: PartitionKey) -> Opened:
        one, after = Opened(row, key), 0
        ids: list[int] = []
        found: list[Searched] = []
        while page := self._file.read(partial(records.page, partition=row.id, after=after)):
            after = page[-1][0]
            ids += [id_ for id_, _, _ in page]
            found += [key.searched(document, sealed) for _, document, sealed in page]
        one.partition.add(ids, found)
        self._graphs.load(one)
        self._memory.keep(one)
        return one

    def _seen(self, kb: Kb, one: Opened, tree: filters.Tree | None) -> Seen:
        if tree is None:
            view = one.partition.view()
            return Seen(view, None, self._graphs.of(one, view))
        attributes = one.partition.attributes
        if attributes is None:  # else nobody waits for what is put, be it above
            with self._changing(kb):
                attributes = one.partition.attributes or one.partition.learn(self._metadata(one))
        view = one.partition.view()  # rows come after their attributes
        return Seen(view, attributes.mask(tree, len(view.ids)), None)

    def _metadata(self, one: Opened) -> list[Mapping[str, object]]:
        """Of each row; nothing of those that were removed."""
        ids = one.partition.view().ids.tolist()
        bodies = self._file.read(lambda db: records.bodies(db, ids))
        return [one.key.body(*each, "").metadata if each else {} for each in bodies]

    def _hits(self, opened: Sequence[Opened], seen: Sequence[Seen], found: Ranked) -> list[Hit]:
        ids = [int(seen[place.part].view.ids[place.row]) for place, _ in found]
        bodies = self._file.read(lambda db: records.bodies(db, ids))
        hits = []
        for (place, score), body in zip(found, bodies, strict=True):
            if body is not None:  # else it was removed meanwhile
                one = opened[place.part]
                hits.append(Hit(one.key.body(*body, one.row.label), score))
        return hits


def _dimensions(row: records.Row, pairs: Sequence[tuple[Chunk, Searched]]) -> int:
    """Of a partition's vectors, with these. ValueError where they differ."""
    found = {len(searched.vector) // 4 for _, searched in pairs if searched.vector}
    found |= {row.dimensions} if row.dimensions else set()
    if len(found) > 1:
        raise ValueError("the vectors of one knowledge base have one length")
    return found.pop() if found else 0
