"""Whether a question finds its own passage: PubMedQA's questions among its abstracts.

`--data`: `ori_pqal.json`, a file of that form, or a folder that has it. The model is asked through
InvokeModel, and the index as Retrieve asks it: by meaning, by words, and by both.
"""

import json
import tempfile
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from bench.common import Report
from tests.index_kit import KB, index_at
from tests.labels_kit import US

from bastide.knowledge.index.index import Index
from bastide.knowledge.index.model import Chunk, Mode, Query
from evals.region import Asked, region_for
from evals.report import add_estimate, add_rate, begin, options, sampled

MODEL = "minilm-l6-v2"
NAME = "ori_pqal.json"
TEXTS_PER_CALL = 24
PUT = 100
K = 10
TARGET = 0.97


def pairs_of(data: Path) -> list[tuple[str, str]]:
    """Questions, each with its abstract."""
    found = sorted(data.rglob(NAME))[0] if data.is_dir() else data
    rows = json.loads(found.read_text()).values()
    return [(row["QUESTION"], " ".join(row["CONTEXTS"])) for row in rows]


def vectors_of(client: Any, model_id: str, texts: Sequence[str], kind: str) -> np.ndarray:
    made: list[list[float]] = []
    for start in range(0, len(texts), TEXTS_PER_CALL):
        part = list(texts[start : start + TEXTS_PER_CALL])
        body = {"texts": part, "input_type": kind, "truncate": "END"}
        answer = client.invoke_model(modelId=model_id, body=json.dumps(body))
        made += json.loads(answer["body"].read())["embeddings"]
    return np.array(made, np.float32)


def ranks(index: Index, questions: Sequence[str], vectors: np.ndarray, how: str) -> list[int]:
    """Of each question's own passage, from 1; 0 where it is not among the first."""
    found = []
    for number, (question, vector) in enumerate(zip(questions, vectors, strict=True)):
        asked = None if how == "words" else vector
        mode = Mode.SEMANTIC if how == "meaning" else Mode.HYBRID
        query = Query(kb=KB, text=question, sees=(US.lowest.text,), vector=asked, k=K, mode=mode)
        ids = [hit.chunk.id for hit in index.search(query)]
        found.append(ids.index(str(number)) + 1 if str(number) in ids else 0)
    return found


def score(report: Report, asked: Asked, pairs: Sequence[tuple[str, str]]) -> None:
    questions, passages = [q for q, _ in pairs], [p for _, p in pairs]
    client = asked.client("bedrock-runtime")
    of_passages = vectors_of(client, asked.model_id, passages, "search_document")
    of_questions = vectors_of(client, asked.model_id, questions, "search_query")
    with tempfile.TemporaryDirectory() as folder:
        index = index_at(Path(folder))
        for start in range(0, len(pairs), PUT):
            part = range(start, min(start + PUT, len(pairs)))
            index.put(KB, [
                Chunk(id=str(n), document_id=str(n), text=passages[n], label=US.lowest,
                      vector=of_passages[n])
                for n in part
            ])  # fmt: skip
        for how in ("meaning", "words", "both"):
            told(report, how, ranks(index, questions, of_questions, how))
        index.close()


def told(report: Report, how: str, found: Sequence[int]) -> None:
    target = {"target": TARGET} if how == "both" else {}
    add_rate(report, f"by {how}, R@1", sum(rank == 1 for rank in found), len(found), **target)
    add_rate(report, f"by {how}, R@{K}", sum(rank > 0 for rank in found), len(found))
    add_estimate(report, f"by {how}, MRR@{K}", found, mean_reciprocal)


def mean_reciprocal(found: Sequence[int]) -> float:
    return sum(1 / rank for rank in found if rank) / len(found)


def evaluate(chosen: Namespace) -> Report:
    report = begin("retrieval", chosen)
    pairs = sampled(pairs_of(chosen.data), chosen.limit, chosen.seed)
    with region_for(chosen.model) as asked:
        score(report, asked, pairs)
    return report


def main() -> None:
    chosen = options(__doc__ or "", model=MODEL).parse_args()
    evaluate(chosen).print(chosen.json)


if __name__ == "__main__":
    main()
