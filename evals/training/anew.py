"""The linear models made anew without some of the texts, as an evaluation needs them; in
process."""

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bastide.guardrails.detect.linear import Linear
from evals.training.fit import design, fitted
from evals.training.texts import Example


@dataclass(frozen=True, slots=True)
class Fold:
    """A model, and which groups it was made without."""

    number: int
    folds: int
    model: Linear

    def holds_out(self, group: str) -> bool:
        return zlib.crc32(group.encode()) % self.folds == self.number


def without_each(items: Sequence[Example], names: Sequence[str], folds: int) -> Iterator[Fold]:
    rows = design([item.text for item in items])
    of = [zlib.crc32(item.group.encode()) % folds for item in items]
    for number in range(folds):
        columns, biases = [], []
        for name in names:
            known = [
                at for at, item in enumerate(items) if of[at] != number and name in item.wanted
            ]
            wanted = [items[at].wanted[name] for at in known]
            weights, bias = fitted([rows[at] for at in known], wanted)
            columns.append(weights)
            biases.append(bias)
        made = Linear(tuple(names), np.stack(columns, axis=1), np.array(biases, dtype=np.float32))
        yield Fold(number, folds, made)
