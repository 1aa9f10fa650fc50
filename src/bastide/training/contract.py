"""What a container finds below /opt/ml and in its environment.

https://docs.aws.amazon.com/sagemaker/latest/dg/your-algorithms-training-algo-running-container.html
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from bastide.training.channels import config_of
from bastide.training.ports import Runtime

Params = Mapping[str, Any]
HOST = "algo-1"
GROUP = "homogeneousCluster"
SUBMIT = "sagemaker_submit_directory"
SOURCE = "/opt/ml/input/source/sourcedir.tar.gz"
FOLDERS = (
    "input/config", "input/data", "input/source", "model", "output/data", "checkpoints", "code",
)  # fmt: skip


def make_folders(home: Path) -> None:
    for name in FOLDERS:
        (home / name).mkdir(parents=True, exist_ok=True)


def write_config(home: Path, request: Params) -> None:
    """The files of /opt/ml/input/config."""
    mode = request["AlgorithmSpecification"]["TrainingInputMode"]
    instance = request["ResourceConfig"]["InstanceType"]
    files = {
        "hyperparameters": hyperparameters(request),
        "inputdataconfig": config_of(request.get("InputDataConfig") or [], mode),
        "resourceconfig": {
            "current_host": HOST,
            "current_instance_type": instance,
            "current_group_name": GROUP,
            "hosts": [HOST],
            "instance_groups": [
                {"instance_group_name": GROUP, "instance_type": instance, "hosts": [HOST]}
            ],
            "network_interface_name": "lo",
        },
    }
    for name, content in files.items():
        (home / "input/config" / f"{name}.json").write_text(json.dumps(content))


def hyperparameters(request: Params) -> dict[str, str]:
    """As given, but that a source archive in S3 is a local file: jobs have no network."""
    given = dict(request.get("HyperParameters") or {})
    if source_uri(request):
        given[SUBMIT] = json.dumps(SOURCE)
    return given


def source_uri(request: Params) -> str | None:
    """The s3:// URI of a script-mode job's source archive, if it has one. The SDK sends values
    as JSON strings, people send them bare."""
    text = (request.get("HyperParameters") or {}).get(SUBMIT, "")
    uri = unquoted(text)
    return uri if uri.startswith("s3://") else None


def unquoted(text: str) -> str:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return value if isinstance(value, str) else text


def argv_of(request: Params, runtime: Runtime) -> tuple[str, ...]:
    """`ContainerEntrypoint + ContainerArguments`; else `<image's entry point> train`; in an
    environment, the `train` of its sagemaker-training toolkit."""
    algorithm = request["AlgorithmSpecification"]
    arguments: Sequence[str] = algorithm.get("ContainerArguments") or ()
    if algorithm.get("ContainerEntrypoint"):
        return (*algorithm["ContainerEntrypoint"], *arguments)
    if runtime.python is not None:
        return (str(Path(runtime.python).parent / "train"), *arguments)
    return (*runtime.entrypoint, *(arguments or ("train",)))


def environ_of(request: Params, arn: str, region: str, runtime: Runtime) -> dict[str, str]:
    """The image's own, AWS's, the toolkit's names for plain containers, then what was asked."""
    name = request["TrainingJobName"]
    env = {
        "TRAINING_JOB_NAME": name,
        "TRAINING_JOB_ARN": arn,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_INPUT_DIR": "/opt/ml/input",
        "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config",
        "SM_OUTPUT_DIR": "/opt/ml/output",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
        "SM_CURRENT_HOST": HOST,
        "SM_HOSTS": json.dumps([HOST]),
        "SM_CURRENT_INSTANCE_TYPE": request["ResourceConfig"]["InstanceType"],
        "SM_NUM_GPUS": "0",
        "SM_CHANNELS": json.dumps(sorted(_channels(request))),
    }
    env |= {
        f"SM_CHANNEL_{each.upper()}": f"/opt/ml/input/data/{each}" for each in _channels(request)
    }
    return {**runtime.env, **env, **(request.get("Environment") or {})}


def _channels(request: Params) -> list[str]:
    return [channel["ChannelName"] for channel in request.get("InputDataConfig") or []]
