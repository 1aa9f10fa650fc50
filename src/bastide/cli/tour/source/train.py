"""The data scientist's script of the tour: SageMaker script mode, scikit-learn, nothing of ours.

Trained by `SKLearn(entry_point="train.py").fit(...)`, served by `deploy()`.
"""

import argparse
import io
import json
import os
from pathlib import Path

import joblib
import pandas as pd
from sklearn.compose import make_column_transformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OrdinalEncoder, StandardScaler


def kinds_of(table: pd.DataFrame) -> dict[str, str]:
    """ "number" or "word" for each column that is not empty."""
    kinds = {}
    for name in table.columns[table.notna().any()]:
        is_number = pd.to_numeric(table[name].dropna(), errors="coerce").notna().all()
        kinds[name] = "number" if is_number else "word"
    return kinds


def typed(table: pd.DataFrame, kinds: dict[str, str]) -> pd.DataFrame:
    """The columns of `kinds`, the numbers among them as numbers: as at training, so at serving."""
    numbers = {name: pd.to_numeric(table[name]) for name, kind in kinds.items() if kind == "number"}
    return table[list(kinds)].assign(**numbers)


def build(words: list[str]):
    """A linear model when every column is a number, boosted trees when some are words."""
    if not words:
        return make_pipeline(SimpleImputer(), StandardScaler(), LogisticRegression(max_iter=2000))
    codes = OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1)
    encode = make_column_transformer((codes, words), remainder="passthrough")
    return make_pipeline(encode, HistGradientBoostingClassifier(random_state=0))


def train(folder: str, model_dir: str, target: str) -> None:
    table = pd.concat(pd.read_csv(path, dtype=str) for path in sorted(Path(folder).glob("*.csv")))
    features, labels = table.drop(columns=target), table[target]
    kinds = kinds_of(features)
    features = typed(features, kinds)
    print(f"rows={len(table)} columns={features.shape[1]} classes={labels.nunique()}", flush=True)
    model = build([name for name, kind in kinds.items() if kind == "word"])
    model.fit(features, labels)
    print(f"train:loss={log_loss(labels, model.predict_proba(features)):.4f}", flush=True)
    print(f"train:accuracy={model.score(features, labels):.4f}", flush=True)
    joblib.dump({"model": model, "kinds": kinds}, Path(model_dir) / "model.joblib")


def model_fn(model_dir):
    return joblib.load(Path(model_dir) / "model.joblib")


def input_fn(body, content_type):
    if content_type != "text/csv":
        raise ValueError(f"send text/csv with a header line, not {content_type}")
    text = body.decode() if isinstance(body, bytes) else body
    return pd.read_csv(io.StringIO(text), dtype=str)


def predict_fn(table, trained):
    return trained["model"].predict_proba(typed(table, trained["kinds"]))


def output_fn(prediction, accept):
    return json.dumps(prediction.tolist()), "application/json"


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--target", required=True)
    parser.add_argument("--train", default=os.environ.get("SM_CHANNEL_TRAIN"))
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR"))
    chosen = parser.parse_args()
    train(chosen.train, chosen.model_dir, chosen.target)
