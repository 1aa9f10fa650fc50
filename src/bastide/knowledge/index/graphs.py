"""When a partition gets a graph of neighbours, and where that is kept: sealed, in the index's file.

One thread builds them, one after the other; until a graph is there, and for what came after it,
everything is compared.
"""

import logging
import threading
from concurrent.futures import ThreadPoolExecutor

from bastide.knowledge.index import graph, records
from bastide.knowledge.index.opened import Opened
from bastide.knowledge.index.partition import View
from bastide.knowledge.index.sealing import Tampered

logger = logging.getLogger(__name__)
GRAPH_FROM = 100_000
FRESH = 0.8  # of the rows are in the graph, and of those in it are alive
_PLACE = b"graph"


class Graphs:
    def __init__(self, file: records.File, graph_from: int) -> None:
        self._file = file
        self._from = graph_from
        self._builder = ThreadPoolExecutor(1, "knowledge-graphs")
        self._lock = threading.Lock()
        self._closed = False

    def of(self, one: Opened, view: View) -> graph.Graph | None:
        """That of a large partition, where it is there; else it is begun."""
        if view.vectors is None or len(view.ids) < self._from:
            return None
        made = one.graph
        if made is None or not _is_fresh(made, view):
            self._begin(one)
        return made

    def load(self, one: Opened) -> None:
        """Rows that were removed since are in it, and are not here: then it is of no use."""
        kept = self._file.read(lambda db: records.graph(db, one.row.id))
        view = one.partition.view()
        if kept is None or view.vectors is None:
            return
        covers, last, sealed = kept
        if covers > len(view.ids) or int(view.ids[covers - 1]) != last:
            return
        try:
            saved = one.key.open(sealed, _PLACE)
        except Tampered:
            logger.error("a graph of a knowledge base does not authenticate; it is built anew")
            return
        one.graph = graph.loaded(view.vectors.shape[1], covers, saved)

    def close(self) -> None:
        self._closed = True
        self._builder.shutdown(cancel_futures=True)

    def wait(self) -> None:
        """Until what was begun is done."""
        self._builder.submit(lambda: None).result()

    def _begin(self, one: Opened) -> None:
        with self._lock:
            if one.building or self._closed:
                return
            one.building = True
        self._builder.submit(self._build, one)

    def _build(self, one: Opened) -> None:
        try:
            view = one.partition.view()
            assert view.vectors is not None
            made = graph.build(view.vectors, lambda: not self._closed)
            if made is not None:
                one.graph = made
                sealed = one.key.seal(made.saved(), _PLACE)
                place = (made.covers, int(view.ids[made.covers - 1]))
                self._file.write(lambda db: records.keep_graph(db, one.row.id, place, sealed))
        finally:
            one.building = False


def _is_fresh(made: graph.Graph, view: View) -> bool:
    alive = int(view.alive[: made.covers].sum())
    return made.covers >= FRESH * len(view.ids) and alive >= FRESH * made.covers
