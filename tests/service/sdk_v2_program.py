"""Runs in the SageMaker SDK v2's own venv: frameworks, models and predictors, as their users do.

`program.py HOME STEP ROLE`; it prints one line of JSON. Nothing here knows of Bastide.
"""

import json
import logging
import sys
from pathlib import Path

import boto3
import numpy as np
import sagemaker
from sagemaker.deserializers import CSVDeserializer, JSONDeserializer, NumpyDeserializer
from sagemaker.serializers import CSVSerializer, JSONSerializer, NumpySerializer
from sagemaker.sklearn import SKLearn, SKLearnModel
from sagemaker.xgboost import XGBoost

SKLEARN = """
import os, joblib, numpy as np
from sklearn.linear_model import LinearRegression
def model_fn(folder):
    return joblib.load(os.path.join(folder, "m.joblib"))
if __name__ == "__main__":
    data = np.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "t.csv"), delimiter=",")
    model = LinearRegression().fit(data[:, :2], data[:, 2])
    joblib.dump(model, os.path.join(os.environ["SM_MODEL_DIR"], "m.joblib"))
"""
XGB = """
import os, numpy as np, xgboost as xgb
def model_fn(folder):
    booster = xgb.Booster()
    booster.load_model(os.path.join(folder, "m.ubj"))
    return booster
def predict_fn(data, booster):
    return booster.predict(data if isinstance(data, xgb.DMatrix) else xgb.DMatrix(data))
if __name__ == "__main__":
    data = np.loadtxt(os.path.join(os.environ["SM_CHANNEL_TRAIN"], "t.csv"), delimiter=",")
    params = {"max_depth": 3, "eta": 0.5, "objective": "reg:squarederror"}
    booster = xgb.train(params, xgb.DMatrix(data[:, :2], data[:, 2]), 40)
    booster.save_model(os.path.join(os.environ["SM_MODEL_DIR"], "m.ubj"))
"""
ROWS = np.array([[0.2, 0.3], [0.8, 0.1]])
TRUTH = ROWS.sum(axis=1)  # what the data says: the sum of both columns
MACHINE = {"instance_type": "ml.m5.large", "instance_count": 1}
ONE = {"instance_type": "ml.m5.large", "initial_instance_count": 1}


def close(found):
    return bool(np.allclose(np.asarray(found, dtype=float).ravel(), TRUTH, atol=0.1))


def sklearn(home, session, role, train):
    (home / "sk.py").write_text(SKLEARN)
    estimator = SKLearn(
        entry_point=str(home / "sk.py"), role=role, framework_version="1.2-1", py_version="py3",
        sagemaker_session=session, **MACHINE,
    )  # fmt: skip
    estimator.fit({"train": train}, logs="None")
    name = estimator.latest_training_job.name
    attached = SKLearn.attach(name, sagemaker_session=session)
    predictor = attached.deploy(**ONE)
    facts = {}
    for kind, writes, reads in (
        ("csv", CSVSerializer(), CSVDeserializer()),
        ("json", JSONSerializer(), JSONDeserializer()),
        ("npy", NumpySerializer(), NumpyDeserializer()),
    ):
        predictor.serializer, predictor.deserializer = writes, reads
        facts[kind] = close(predictor.predict(ROWS))
    predictor.delete_model()
    predictor.delete_endpoint()
    model = SKLearnModel(
        model_data=attached.model_data, role=role, entry_point=str(home / "sk.py"),
        framework_version="1.2-1", py_version="py3", sagemaker_session=session,
    )  # fmt: skip
    second = model.deploy(**ONE, serializer=JSONSerializer(), deserializer=JSONDeserializer())
    facts["model"] = close(second.predict(ROWS.tolist()))
    second.delete_endpoint()
    return facts


def xgboost(home, session, role, train):
    (home / "xg.py").write_text(XGB)
    estimator = XGBoost(
        entry_point=str(home / "xg.py"), role=role, framework_version="1.7-1",
        sagemaker_session=session, **MACHINE,
    )  # fmt: skip
    estimator.fit({"train": train}, logs="None")
    predictor = estimator.deploy(**ONE, serializer=CSVSerializer(), deserializer=JSONDeserializer())
    facts = {"image": "sagemaker-xgboost" in estimator.training_image_uri()}
    facts["csv"] = close(predictor.predict(ROWS))
    predictor.delete_endpoint()
    return facts


def main(home, step, role):
    logging.disable(logging.WARNING)
    # With AWS_ENDPOINT_URL alone, a bucket must be named: the SDK asks STS at AWS's own address for
    # the account to name its default bucket after.
    bucket = f"sdk-{step}"
    where = {"LocationConstraint": boto3.session.Session().region_name}
    boto3.client("s3").create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
    session = sagemaker.Session(default_bucket=bucket)
    rng = np.random.default_rng(7)
    features = rng.random((2000, 2))
    table = np.column_stack([features, features.sum(axis=1)])
    np.savetxt(home / "t.csv", table, delimiter=",")
    train = session.upload_data(str(home / "t.csv"), key_prefix=f"sdk/{step}")
    train = train.rsplit("/", 1)[0]
    facts = {"sklearn": sklearn, "xgboost": xgboost}[step](home, session, role, train)
    print(f"\n{json.dumps(facts)}")  # the SDK ends its row of dots without a line's end


main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
