"""The tour itself: runs in a venv that holds only AWS's clients, and imports nothing of Bastide.

Whatever stands here would run against AWS, given a bucket, a role and a model id.
"""

import argparse
import contextlib
import json
import logging
import time
from pathlib import Path

import boto3
import pandas as pd
import sagemaker
import table
from sagemaker.deserializers import JSONDeserializer
from sagemaker.serializers import CSVSerializer
from sagemaker.sklearn.estimator import SKLearn
from sklearn.datasets import load_breast_cancer
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split

ROWS_PER_CALL = 500
STEPS = 6


@contextlib.contextmanager
def step(seconds: dict[str, float], name: str, text: str):
    """Say what is done now; how long it took stands in `seconds` afterwards."""
    print(f"\n[{len(seconds) + 1}/{STEPS}] {text}", flush=True)
    started = time.monotonic()
    yield
    seconds[name] = round(time.monotonic() - started, 2)


def read(data: str | None, target: str | None) -> tuple[pd.DataFrame, str, str]:
    """The table, its target column, and what to call it."""
    if data is None or target is None:
        bundle = load_breast_cancer(as_frame=True)
        labelled = bundle.frame.assign(target=bundle.frame["target"].astype(str))
        return labelled, "target", "breast cancer (Wisconsin), 569 rows"
    found, notes = table.read(Path(data), target)
    title = f"{Path(data).name}, {len(found)} rows"
    return found, target, f"{title} ({notes})" if notes else title


def upload(bucket: str, train: pd.DataFrame) -> str:
    s3 = boto3.client("s3")
    if bucket not in [found["Name"] for found in s3.list_buckets()["Buckets"]]:
        region = s3.meta.region_name
        s3.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": region})
    s3.put_object(
        Bucket=bucket, Key="tour/train/train.csv", Body=train.to_csv(index=False).encode()
    )
    return f"s3://{bucket}/tour/train/"


def fit(session: sagemaker.Session, role: str, source: str, target: str, train_uri: str) -> SKLearn:
    estimator = SKLearn(
        entry_point="train.py",
        source_dir=source,
        framework_version="1.2-1",
        py_version="py3",
        instance_type="ml.m5.large",
        instance_count=1,
        role=role,
        sagemaker_session=session,
        hyperparameters={"target": target},
        metric_definitions=[{"Name": "train:loss", "Regex": "train:loss=([0-9.]+)"}],
        disable_profiler=True,
        base_job_name="tour",
    )
    estimator.fit({"train": train_uri}, logs="All", wait=True)
    return estimator


def predict(predictor, held_out: pd.DataFrame, target: str) -> float:
    """The AUC on rows that the training never saw; one-versus-rest for several classes."""
    features = held_out.drop(columns=target)
    scores: list[list[float]] = []
    for start in range(0, len(features), ROWS_PER_CALL):
        part = features.iloc[start : start + ROWS_PER_CALL]
        scores += predictor.predict(part.to_csv(index=False))
    labels = held_out[target]
    if len(scores[0]) == 2:
        return float(roc_auc_score(labels, [row[1] for row in scores]))
    return float(roc_auc_score(labels, scores, multi_class="ovr"))


def converse(model: str) -> dict[str, object]:
    """Both ways; what each took of the model."""
    bedrock = boto3.client("bedrock-runtime")
    question = [{"role": "user", "content": [{"text": "What is a training job? One sentence."}]}]
    started = time.monotonic()
    answer = bedrock.converse(
        modelId=model, messages=question, inferenceConfig={"maxTokens": 60, "temperature": 0.0}
    )
    print("Converse:      ", answer["output"]["message"]["content"][0]["text"].strip())
    print(f"               {answer['usage']} in {time.monotonic() - started:.1f} s")
    print("ConverseStream: ", end="", flush=True)
    stream = bedrock.converse_stream(
        modelId=model, messages=question, inferenceConfig={"maxTokens": 60, "temperature": 0.0}
    )
    streamed = {}
    for event in stream["stream"]:
        print(
            event.get("contentBlockDelta", {}).get("delta", {}).get("text", ""), end="", flush=True
        )
        streamed = event.get("metadata", {}).get("usage", streamed)
    print()
    return {"model": model, "converse": answer["usage"], "converse_stream": streamed}


def clean(predictor) -> None:
    predictor.delete_model()
    predictor.delete_endpoint()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--bucket", required=True)
    parser.add_argument("--role", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--source", required=True)
    parser.add_argument("--facts", required=True, help="a file for what was done, as JSON")
    parser.add_argument("--data")
    parser.add_argument("--target")
    chosen = parser.parse_args()
    rows, target, title = read(chosen.data, chosen.target)
    train, held_out = train_test_split(rows, test_size=0.25, random_state=0, stratify=rows[target])
    for chatty in ("sagemaker.config", "botocore"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    session = sagemaker.Session(default_bucket=chosen.bucket)

    seconds: dict[str, float] = {}
    with step(seconds, "upload", f"Upload {title} to S3"):
        train_uri = upload(chosen.bucket, train)
    with step(seconds, "train", "Train: SKLearn(...).fit(), the job's log below"):
        estimator = fit(session, chosen.role, chosen.source, target, train_uri)
    with step(seconds, "deploy", "Deploy: estimator.deploy()"):
        predictor = estimator.deploy(
            initial_instance_count=1,
            instance_type="ml.m5.large",
            serializer=CSVSerializer(),
            deserializer=JSONDeserializer(),
        )
        print()
    with step(seconds, "predict", "Predict: rows that the training never saw"):
        auc = predict(predictor, held_out, target)
        print(f"AUC on {len(held_out)} held-out rows: {auc:.4f}")
    with step(seconds, "converse", f"Talk to {chosen.model}"):
        talked = converse(chosen.model)
    with step(seconds, "clean", "Clean up the endpoint"):
        clean(predictor)
    facts = {
        "data": title,
        "train_rows": len(train),
        "held_out_rows": len(held_out),
        "auc": round(auc, 4),
        "training_job": estimator.latest_training_job.name,
        "model_data": estimator.model_data,
        "endpoint": predictor.endpoint_name,
        **talked,
        "seconds": seconds,
    }
    Path(chosen.facts).write_text(json.dumps(facts))


if __name__ == "__main__":
    main()
