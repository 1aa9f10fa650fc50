"""How likely a passage answers a question: from how near they are, and the words that they share.

A passage's score depends on nothing but the question and itself. The weights were fitted (logistic
regression) on 350 questions of PubMedQA, each with its own abstract and the nearest other one;
fitted on half of them, 94 % of the other half were told apart, with a Brier score of 0.045.
"""

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bastide.knowledge.index.lexical import words_of
from bastide.knowledge.index.vectors import cosines

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

NEARNESS, SHARED, BIAS = 10.0, 9.2, -9.7
LEAST = 1e-6


def relevance(
    query: str, vector: "Vectors", texts: Sequence[str], vectors: "Vectors"
) -> list[float]:
    """For each text a score in (0, 1). Vectors have length 1."""
    import numpy as np

    asked = words_of(query).keys()
    nearness = cosines(vectors, np.arange(len(texts)), vector).tolist()
    shares = [len(asked & words_of(text).keys()) / max(1, len(asked)) for text in texts]
    return [
        _probability(NEARNESS * near + SHARED * share + BIAS)
        for near, share in zip(nearness, shares, strict=True)
    ]


def _probability(evidence: float) -> float:
    return min(1 - LEAST, max(LEAST, 1 / (1 + math.exp(-evidence))))
