"""Training jobs of a `world`, which is a training site on fakes."""

import json

from bastide.training.training_jobs import job_id
from tests.sagefakes import IMAGE, ONE, ROLE, call

CREATE = call("sagemaker.CreateTrainingJob")


def request(name="Job-1", **more):
    return {
        "TrainingJobName": name,
        "RoleArn": ROLE,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "loss", "Regex": "loss=([0-9.]+)"}],
        },
        "HyperParameters": {"sagemaker_submit_directory": json.dumps("s3://bkt/code/s.tar.gz")},
        "InputDataConfig": [
            {
                "ChannelName": "train",
                "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://bkt/in/"}},
            }
        ],
        "OutputDataConfig": {"S3OutputPath": "s3://bkt/out"},
        "ResourceConfig": {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        **more,
    }


def created(world, **more):
    world.api.create_training_job(CREATE, request(**more))
    return world.jobs.find(job_id(ONE, more.get("name", "Job-1"), "U"))


def finished(world, tmp_path, **more):
    world.objects.held |= {(ONE, "bkt", "in/a"): b"x", (ONE, "bkt", "code/s.tar.gz"): b""}
    job = created(world, **more)
    (launch,) = world.kind.prepare(job, tmp_path)
    return job, launch.home
