"""The same work for every protocol layer: two calls, and how a step is timed.

Run by each peer in its own venv, so nothing of Bastide is imported here.
"""

import json
import statistics
import time
from collections.abc import Callable

ROUNDS = 7
CALLS = 300

CONVERSE_PATH = "/model/anthropic.claude-3-5-sonnet-20240620-v1%3A0/converse"
TOOL = {
    "toolSpec": {
        "name": "weather",
        "description": "The weather of a city",
        "inputSchema": {"json": {"type": "object", "properties": {"city": {"type": "string"}}}},
    }
}
CONVERSE = {
    "messages": [
        {"role": "user", "content": [{"text": "hi " * 100}]},
        {
            "role": "assistant",
            "content": [
                {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Paris"}}}
            ],
        },
        {
            "role": "user",
            "content": [{"toolResult": {"toolUseId": "t1", "content": [{"json": {"a": 1}}]}}],
        },
    ],
    "system": [{"text": "be nice"}],
    "inferenceConfig": {"maxTokens": 100, "temperature": 0.5},
    "toolConfig": {"tools": [TOOL]},
}
CONVERSE_ANSWER = {
    "output": {"message": {"role": "assistant", "content": [{"text": "Hello " * 50}]}},
    "stopReason": "end_turn",
    "usage": {"inputTokens": 10, "outputTokens": 5, "totalTokens": 15},
    "metrics": {"latencyMs": 12},
}
TRAINING = {
    "TrainingJobName": "tj",
    "RoleArn": "arn:aws:iam::123456789012:role/SageMakerRole",
    "AlgorithmSpecification": {
        "TrainingImage": "img",
        "TrainingInputMode": "File",
        "MetricDefinitions": [{"Name": "loss", "Regex": "loss=(.*)"}],
    },
    "HyperParameters": {str(i): str(i) for i in range(10)},
    "InputDataConfig": [
        {
            "ChannelName": "train",
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": "S3Prefix",
                    "S3Uri": "s3://b/k",
                    "S3DataDistributionType": "FullyReplicated",
                }
            },
        }
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://b/o"},
    "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 30},
    "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    "Tags": [{"Key": "a", "Value": "b"}],
}
TRAINING_ANSWER = {"TrainingJobArn": "arn:aws:sagemaker:us-east-1:123456789012:training-job/tj"}
CONVERSE_BODY = json.dumps(CONVERSE).encode()
TRAINING_BODY = json.dumps(TRAINING).encode()


def timed_us(step: Callable[[], object]) -> float:
    """The median over rounds of one call of `step`, in microseconds."""
    for _ in range(50):
        step()
    rounds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for _ in range(CALLS):
            step()
        rounds.append((time.perf_counter() - started) / CALLS * 1e6)
    return statistics.median(rounds)
