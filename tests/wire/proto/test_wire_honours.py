"""Members that are set and not honoured are refused by name; a path that is none is our mistake."""

import pytest

from bastide.kernel.operation import Honours
from bastide.wire.honours import checker
from tests.wire.proto.asking import CATALOGUE, told

JOB = CATALOGUE.operation("sagemaker.CreateTrainingJob")
HONOURED = frozenset(
    {"TrainingJobName", "HyperParameters", "InputDataConfig.DataSource.S3DataSource.S3Uri",
     "InputDataConfig.ChannelName", "EnableNetworkIsolation", "StoppingCondition"}
)  # fmt: skip
CHECK = checker(JOB, Honours(HONOURED, {"Tags": "kept"}))


def channel(**members):
    return {"InputDataConfig": [{"ChannelName": "a"}, {"ChannelName": "b", **members}]}


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"TrainingJobName": "a", "Tags": [{"Key": "k"}], "HyperParameters": {"Anything": "x"}},
        {"EnableManagedSpotTraining": False, "VpcConfig": {}, "RoleArn": "", "Environment": None},
        channel(DataSource={"S3DataSource": {"S3Uri": "s3://a"}}, RecordWrapperType=None),
        {"StoppingCondition": {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 2}},
    ],
)
def test_what_is_honoured_or_not_set_passes(params):
    CHECK(params)


@pytest.mark.parametrize(
    ("params", "member"),
    [
        ({"VpcConfig": {"Subnets": ["a"]}}, "VpcConfig"),
        ({"EnableManagedSpotTraining": True}, "EnableManagedSpotTraining"),
        ({"RetryStrategy": {"MaximumRetryAttempts": 0}}, "RetryStrategy"),
        (channel(InputMode="Pipe"), "InputDataConfig.InputMode"),
        (
            channel(DataSource={"S3DataSource": {"S3DataType": "S3Prefix"}}),
            "InputDataConfig.DataSource.S3DataSource.S3DataType",
        ),
        (channel(DataSource={"FileSystemDataSource": {"x": 0}}),
         "InputDataConfig.DataSource.FileSystemDataSource"),
    ],
)  # fmt: skip
def test_what_is_set_and_not_honoured_is_named(params, member):
    error = told(CHECK, params)
    assert (error.code, error.status) == ("UnsupportedOperation", 501)
    assert error.message == (
        f"The member {member} of sagemaker.CreateTrainingJob is not supported here."
    )


def test_zero_is_a_value():
    check = checker(CATALOGUE.operation("sagemaker.ListModels"), Honours(frozenset()))
    assert "MaxResults" in told(check, {"MaxResults": 0}).message


def test_maps_are_transparent():
    operation = CATALOGUE.operation("sagemaker.CreateMonitoringSchedule")
    path = "MonitoringScheduleConfig.MonitoringJobDefinition.Environment"
    check = checker(operation, Honours(frozenset({path})))
    environment = {"Environment": {"A": "b"}}
    check({"MonitoringScheduleConfig": {"MonitoringJobDefinition": environment}})
    config = CATALOGUE.operation("sagemaker.CreateModelQualityJobDefinition")
    checker(config, Honours(frozenset({"ModelQualityAppSpecification.Environment"})))


@pytest.mark.parametrize(
    "path",
    ["TrainingJobname", "HyperParameters.a", "InputDataConfig.S3Uri", "TrainingJobName.x", ""],
)
def test_a_path_that_the_model_has_not_is_a_mistake(path):
    with pytest.raises(ValueError, match="has no input member"):
        checker(JOB, Honours(frozenset({path})))


def test_an_operation_without_input_honours_nothing():
    operation = CATALOGUE.operation("sts.GetCallerIdentity")
    checker(operation, Honours(frozenset()))({})
