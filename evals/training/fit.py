"""The training job itself: it runs in a region's sandbox, with numpy and the detectors' own
features beside it.

`SM_CHANNEL_TRAINING` holds `texts.jsonl` (a text, and for each name 1, 0 or null: not learned
from); the model folder gets `rows.npy` (a row for each hash), `biases.json` and nothing of the
texts.
"""

import json
import os
from pathlib import Path

import numpy as np

from bastide.guardrails.detect.linear import ROWS, features_of

EPOCHS = 6
RATE = 0.5
L2 = 2e-6
SEED = 7


def design(texts):
    """Each text's places and values."""
    return [features_of(text) for text in texts]


def fitted(rows, wanted, epochs=EPOCHS):
    """One logistic regression by Adagrad, both classes weighing the same; its weights and bias."""
    wanted = np.asarray(wanted, dtype=np.float32)
    positive = max(1.0, float(wanted.sum()))
    share = np.where(wanted > 0, 0.5 / positive, 0.5 / max(1.0, len(wanted) - positive)) * len(
        wanted
    )
    share = np.minimum(share, 20.0)
    weights, seen = np.zeros(ROWS), np.full(ROWS, 1e-3)
    bias, bias_seen = 0.0, 1e-3
    draw = np.random.default_rng(SEED)
    for _ in range(epochs):
        for at in draw.permutation(len(rows)):
            places, values = rows[at]
            odds = 1 / (1 + np.exp(-np.clip(values @ weights[places] + bias, -50, 50)))
            slope = (odds - wanted[at]) * share[at]
            step = slope * values + L2 * len(rows) * 0.01 * weights[places]
            seen[places] += step * step
            weights[places] -= RATE * step / np.sqrt(seen[places])
            bias_seen += slope * slope
            bias -= RATE * slope / np.sqrt(bias_seen)
    return weights.astype(np.float32), float(bias)


def main():
    items = [
        json.loads(line)
        for line in (Path(os.environ["SM_CHANNEL_TRAINING"]) / "texts.jsonl").open()
    ]
    names = sorted({name for item in items for name in item["wanted"]})
    rows, columns, biases = design([item["text"] for item in items]), [], []
    for name in names:
        known = [at for at, item in enumerate(items) if item["wanted"].get(name) is not None]
        weights, bias = fitted(
            [rows[at] for at in known], [items[at]["wanted"][name] for at in known]
        )
        print(f"{name}: {len(known)} texts", flush=True)
        columns.append(weights)
        biases.append(bias)
    folder = Path(os.environ["SM_MODEL_DIR"])
    np.save(folder / "rows.npy", np.stack(columns, axis=1), allow_pickle=False)
    (folder / "biases.json").write_text(json.dumps({"names": names, "biases": biases}))


if __name__ == "__main__":
    main()
