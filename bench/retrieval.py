"""How long a question takes among 100,000 chunks, and whether what is near is found.

The index itself is asked, as Retrieve asks it: vectors of 384 numbers and texts of 40 words, a
mixture as real embeddings are one (nearer to each other than chance would have them). `--data`
takes real ones instead: a .npy of float32 rows. A session that sees half of the labels is asked
beside one that sees all.
"""

import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
from tests.index_kit import KB, index_at
from tests.labels_kit import US

from bastide.knowledge.index.index import Index
from bastide.knowledge.index.model import Chunk, Mode, Query
from bench.common import Report, arguments, median_ms, quantile_ms

CHUNKS, DIMENSIONS, QUERIES, K = 100_000, 384, 200, 10
CENTRES, WORDS, TEXT_WORDS = 2_000, 20_000, 40
BATCH = 1_000
LABELS = ("U", "C", "S", "TS")
SEES = {"all labels": LABELS, "half of them": LABELS[:2]}


def vectors(count: int, seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = np.random.default_rng(0).standard_normal((CENTRES, DIMENSIONS))
    made = centres[random.integers(0, CENTRES, count)]
    made = made + 0.9 * random.standard_normal((count, DIMENSIONS))
    return np.asarray(made / np.linalg.norm(made, axis=1, keepdims=True), np.float32)


def text(random: np.random.Generator) -> str:
    """Words as common as in a language: by Zipf's law."""
    return " ".join(f"word{n % WORDS}" for n in random.zipf(1.3, TEXT_WORDS))


def fill(index: Index, rows: np.ndarray) -> float:
    random, labels = np.random.default_rng(1), [US.parse(each) for each in LABELS]
    started = time.perf_counter()
    for start in range(0, len(rows), BATCH):
        part = range(start, min(start + BATCH, len(rows)))
        index.put(KB, [
            Chunk(
                id=str(n), document_id=str(n), text=text(random), label=labels[n % len(labels)],
                metadata={"half": n // 4 % 2}, vector=rows[n],
            )
            for n in part
        ])  # fmt: skip
    return time.perf_counter() - started


def asked(index: Index, queries: np.ndarray, **how) -> tuple[list[float], list[set[str]], float]:
    """How long each question took, what it found, and the milliseconds of a core for one."""
    random = np.random.default_rng(2)
    samples, found, worked = [], [], time.thread_time()
    for vector in queries:
        query = Query(kb=KB, text=text(random), vector=vector, k=K, **how)
        started = time.perf_counter()
        hits = index.search(query)
        samples.append(time.perf_counter() - started)
        found.append({hit.chunk.id for hit in hits})
    return samples, found, (time.thread_time() - worked) * 1000 / len(queries)


def nearest(rows: np.ndarray, queries: np.ndarray, kept: np.ndarray) -> list[set[str]]:
    at = np.flatnonzero(kept)
    near = np.argsort(-(queries @ rows[at].T), axis=1)[:, :K]
    return [{str(n) for n in at[each]} for each in near]


def recall(found: list[set[str]], truth: list[set[str]]) -> float:
    return statistics.mean(len(a & b) / K for a, b in zip(found, truth, strict=True))


def measure(report: Report, name: str, index: Index, rows: np.ndarray, target: float) -> None:
    queries = vectors(QUERIES, 9)
    label_of = np.arange(len(rows)) % len(LABELS)
    for seen, labels in SEES.items():
        how = {"sees": tuple(US.parse(each).text for each in labels)}
        kept = label_of < len(labels)
        truth = nearest(rows, queries, kept)
        samples, found, core_ms = asked(index, queries, mode=Mode.SEMANTIC, **how)
        report.add(f"{name}, {seen}, p50", median_ms(samples), "ms", target=target, n=QUERIES)
        report.add(f"{name}, {seen}, p95", quantile_ms(samples, 0.95), "ms")
        report.add(f"{name}, {seen}, of one core", core_ms, "ms", n=QUERIES)
        report.add(
            f"{name}, {seen}, recall@{K}", recall(found, truth), "", target=0.99, bound=">=",
            n=QUERIES,
        )  # fmt: skip
    samples, _, _ = asked(index, queries, mode=Mode.HYBRID, **how)
    report.add(f"{name}, {seen}, with words, p50", median_ms(samples), "ms", n=QUERIES)
    where = {"equals": {"key": "half", "value": 1}}
    samples, found, _ = asked(index, queries, mode=Mode.SEMANTIC, filter=where, **how)
    truth = nearest(rows, queries, kept & (np.arange(len(rows)) // 4 % 2 == 1))
    report.add(f"{name}, {seen}, filtered, p50", median_ms(samples), "ms", n=QUERIES)
    report.add(
        f"{name}, {seen}, filtered, recall@{K}", recall(found, truth), "", target=0.99, bound=">=",
        n=QUERIES,
    )  # fmt: skip


def main() -> None:
    parser = arguments(__doc__ or "")
    parser.add_argument("--chunks", type=int, default=CHUNKS)
    parser.add_argument("--data", type=Path, help="a .npy of float32 rows")
    parser.add_argument("--no-graph", action="store_true", help="leave out the minutes of building")
    chosen = parser.parse_args()
    rows = np.load(chosen.data) if chosen.data else vectors(chosen.chunks, 7)
    report = Report("bench.retrieval")
    with tempfile.TemporaryDirectory() as folder:
        exact = index_at(Path(folder), graph_from=len(rows) + 1)
        took = fill(exact, rows)
        report.add("put, of chunks with vectors", len(rows) / took, "chunks/s", n=len(rows))
        started = time.perf_counter()
        asked(exact, rows[:1], mode=Mode.SEMANTIC, sees=tuple(US.parse(x).text for x in LABELS))
        report.add("the first question, all read in", time.perf_counter() - started, "s")
        measure(report, "exact", exact, rows, 60)
        exact.close()
        if not chosen.no_graph:
            indexed = index_at(Path(folder), graph_from=len(rows) // (2 * len(LABELS)))
            asked(indexed, rows[:1], mode=Mode.SEMANTIC, sees=[US.parse(x).text for x in LABELS])
            started = time.perf_counter()
            indexed._graphs.wait()
            report.add("the graphs are built", time.perf_counter() - started, "s")
            measure(report, "indexed", indexed, rows, 15)
            indexed.close()
    report.print(chosen.json)


if __name__ == "__main__":
    main()
