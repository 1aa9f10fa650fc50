"""What sessions do with models: SageMaker's, their endpoints, and those that Converse asks."""

import io
import tarfile
from collections.abc import Callable, Iterator
from typing import Any

from tests.live import NAME
from tests.ni.memory import Memory, Step

MODELS, KINDS, ENDPOINTS = ("model-1", "model-2"), ("kind-1", "kind-2"), ("end-1", "end-2")
IMAGE = "414596584902.dkr.ecr.us-gov-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"
ABSENT = "s3://no-such-box/model.tar.gz"  # an endpoint of it fails before anything runs
SMOL = "bastide.smollm2-135m-instruct-v1:0"
PROFILE = f"us-gov.{SMOL}"
SHARED = "The convoy of the northern command leaves its depot by the old river road, and arrives"
PROMPTS = (f"{SHARED} at dawn.", f"{SHARED} at noon.", "Count to three.")
SECRET = f"{SHARED} at noon. So says the cable of the ambassador, who is to be believed."
ASKED_BELOW = f"{SHARED} at noon. So says the cable of the ambassador, they say."
SCRIPT = b"""
def model_fn(folder):
    return folder

def transform_fn(model, data, content_type, accept):
    return data, accept
"""
PAGES_MAX = 8


def asked(text: str, tokens_max: int = 2) -> Step:
    return "bedrock-runtime", "converse", {
        "modelId": SMOL,
        "messages": [{"role": "user", "content": [{"text": text}]}],
        "inferenceConfig": {"maxTokens": tokens_max, "temperature": 0.0},
    }  # fmt: skip


def counted(text: str) -> Step:
    converse = {"messages": [{"role": "user", "content": [{"text": text}]}]}
    return "bedrock-runtime", "count_tokens", {"modelId": SMOL, "input": {"converse": converse}}


def model(name: str, role_arn: str, data: str = ABSENT) -> Step:
    container = {"Image": IMAGE, "ModelDataUrl": data}
    return "sagemaker", "create_model", {
        "ModelName": name, "ExecutionRoleArn": role_arn, "PrimaryContainer": container,
    }  # fmt: skip


def kind(name: str, model_name: str) -> Step:
    """An endpoint's configuration."""
    variant = {
        "VariantName": "all", "ModelName": model_name, "InitialInstanceCount": 1,
        "InstanceType": "ml.t2.medium",
    }  # fmt: skip
    return "sagemaker", "create_endpoint_config", {
        "EndpointConfigName": name, "ProductionVariants": [variant],
    }  # fmt: skip


def endpoint(name: str, kind_name: str) -> Step:
    return "sagemaker", "create_endpoint", {"EndpointName": name, "EndpointConfigName": kind_name}


def whole(name: str, role_arn: str, data: str = ABSENT) -> tuple[Step, ...]:
    """A model, a configuration and an endpoint of that name."""
    return model(name, role_arn, data), kind(name, name), endpoint(name, name)


def described(name: str) -> Step:
    return "sagemaker", "describe_endpoint", {"EndpointName": name}


def invoked(name: str) -> Step:
    request = {"EndpointName": name, "Body": b"said", "ContentType": "text/csv"}
    return "sagemaker-runtime", "invoke_endpoint", request


def artifact() -> bytes:
    """What a container serves: it says what it was told."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("code/inference.py")
        member.size = len(SCRIPT)
        archive.addfile(member, io.BytesIO(SCRIPT))
    return packed.getvalue()


def tags(role_arn: str, noun: str, name: str) -> Step:
    account = role_arn.split(":")[4]
    arn = f"arn:aws-us-gov:sagemaker:{NAME}:{account}:{noun}/{name}"
    return "sagemaker", "list_tags", {"ResourceArn": arn}


def changed(role_arn: str, name: str) -> Iterator[Step]:
    """An endpoint that has failed, or that is not there. To no configuration: how far one is that
    is updated depends on the moment."""
    _, _, tagged = tags(role_arn, "endpoint", name)
    yield "sagemaker", "add_tags", {**tagged, "Tags": [{"Key": "colour", "Value": "red"}]}
    yield "sagemaker", "list_tags", tagged
    yield "sagemaker", "delete_tags", {**tagged, "TagKeys": ["colour"]}
    which, weights = {"EndpointName": name}, [{"VariantName": "all", "DesiredWeight": 1.0}]
    yield "sagemaker", "update_endpoint", {**which, "EndpointConfigName": "none"}
    yield "sagemaker", "update_endpoint_weights_and_capacities", {
        **which, "DesiredWeightsAndCapacities": weights,
    }  # fmt: skip
    yield "sagemaker-runtime", "invoke_endpoint_with_response_stream", {**which, "Body": b"said"}


def pages(memory: Memory, service: str, name: str, size: str, token: str) -> Iterator[Step]:
    """A list, one thing at a time."""
    yield service, name, {size: 1}
    for _ in range(PAGES_MAX):
        if not memory.next:
            return
        yield service, name, {size: 1, token: memory.next}


def lists(memory: Memory) -> Iterator[Step]:
    for name in ("list_models", "list_endpoint_configs", "list_endpoints"):
        yield from pages(memory, "sagemaker", name, "MaxResults", "NextToken")
        yield "sagemaker", name, {"SortBy": "Name", "SortOrder": "Ascending", "MaxResults": 100}
    yield from pages(memory, "bedrock", "list_inference_profiles", "maxResults", "nextToken")
    yield "bedrock", "list_foundation_models", {}


def changes() -> Iterator[Callable[[Any], Step]]:
    """Of `Doings`. Endpoints are not among them: how far one is depends on the moment."""
    yield from [lambda it: model(it.random.choice(MODELS), it.memory.role_arn)] * 2
    yield lambda it: kind(it.random.choice(KINDS), it.random.choice(MODELS))
    yield lambda it: ("sagemaker", "delete_model", {"ModelName": it.random.choice(MODELS)})
    yield lambda it: (
        "sagemaker", "delete_endpoint_config", {"EndpointConfigName": it.random.choice(KINDS)},
    )  # fmt: skip
    yield lambda it: ("sagemaker", "delete_endpoint", {"EndpointName": it.random.choice(ENDPOINTS)})
    yield lambda it: asked(it.random.choice(PROMPTS))


def looks() -> Iterator[Callable[[Any], Step]]:
    for name in ("list_models", "list_endpoint_configs", "list_endpoints"):
        yield lambda it, name=name: ("sagemaker", name, it.page("MaxResults"))
    yield lambda it: ("sagemaker", "describe_model", {"ModelName": it.random.choice(MODELS)})
    yield lambda it: (
        "sagemaker", "describe_endpoint_config", {"EndpointConfigName": it.random.choice(KINDS)},
    )  # fmt: skip
    yield lambda it: described(it.random.choice(ENDPOINTS))
    yield lambda it: invoked(it.random.choice(ENDPOINTS))
    yield lambda it: tags(it.memory.role_arn, "model", it.random.choice(MODELS))
    yield lambda it: tags(it.memory.role_arn, "endpoint", it.random.choice(ENDPOINTS))
    yield lambda it: asked(it.random.choice(PROMPTS), tokens_max=1)
    yield lambda it: counted(it.random.choice(PROMPTS))
    yield lambda it: ("bedrock", "list_foundation_models", {})
    yield lambda it: ("bedrock", "list_inference_profiles", it.page("maxResults"))
    yield lambda it: ("bedrock", "get_inference_profile", {"inferenceProfileIdentifier": PROFILE})
