"""Tokens of pages by boto3: they go on for who was given them, and for nobody and nothing else."""

import base64
import json

import pytest
from botocore.exceptions import ClientError

LISTS = {
    "list_models": ("sagemaker", "MaxResults", "NextToken", "NextToken", "ValidationException"),
    "describe_log_groups": (
        "logs", "limit", "nextToken", "nextToken", "InvalidParameterException",
    ),
    "list_users": ("iam", "MaxItems", "Marker", "Marker", "ValidationError"),
    "list_aliases": ("kms", "Limit", "Marker", "NextMarker", "InvalidMarkerException"),
}  # fmt: skip
ONE, OTHER = "tokens-one", "tokens-two"
IMAGE = "414596584902.dkr.ecr.us-gov-west-1.amazonaws.com/sagemaker-scikit-learn:1.2-1-cpu-py3"


@pytest.fixture(scope="module")
def filled(region):
    """Two agencies that each have two of everything."""
    region.cli("env", "build", "sklearn")
    for agency in (ONE, OTHER):
        role = region.account(agency)["role_arn"]
        client = {name: region.client(name, agency) for name in ("sagemaker", "logs", "iam", "kms")}
        key = client["kms"].create_key()["KeyMetadata"]["KeyId"]
        for name in ("first", "second"):
            client["sagemaker"].create_model(
                ModelName=name, ExecutionRoleArn=role, PrimaryContainer={"Image": IMAGE}
            )
            client["logs"].create_log_group(logGroupName=name)
            client["iam"].create_user(UserName=name)
            client["kms"].create_alias(AliasName=f"alias/{name}", TargetKeyId=key)
    return region


@pytest.mark.parametrize("operation", LISTS)
def test_a_token_is_of_one_list_of_one_agency(filled, operation):
    service, size, given, told, code = LISTS[operation]
    mine, theirs = (getattr(filled.client(service, who), operation) for who in (ONE, OTHER))
    first = mine(**{size: 1})
    token = first[told]
    second = mine(**{size: 1, given: token})
    del first["ResponseMetadata"], second["ResponseMetadata"]
    assert first != second
    assert b"first" not in base64.urlsafe_b64decode(token)
    forged = base64.urlsafe_b64encode(b"first").decode()
    for ask, bad in ((theirs, token), (mine, forged), (mine, token[:-4]), (mine, "none")):
        with pytest.raises(ClientError) as caught:
            ask(**{size: 1, given: bad})
        assert caught.value.response["Error"]["Code"] == code


def test_the_longest_names_go_on_too(filled):
    """A Marker has at most 320 letters, and an ARN or a tag's key may be longer than its token."""
    iam, path = filled.client("iam", ONE), f"/{'p' * 510}/"
    allow = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [allow]})
    for name in "abc":
        iam.create_policy(PolicyName=name, Path=path, PolicyDocument=document)
    keys = [letter * 127 + "語" for letter in "äöü"]
    iam.create_user(UserName="tagged", Tags=[{"Key": key, "Value": "1"} for key in keys])
    for operation, rows, name, wanted, asked in (
        ("list_policies", "Policies", "PolicyName", list("abc"), {"Scope": "Local"}),
        (
            "get_account_authorization_details", "Policies", "PolicyName", list("abc"),
            {"Filter": ["LocalManagedPolicy"]},
        ),
        ("list_user_tags", "Tags", "Key", keys, {"UserName": "tagged"}),
    ):  # fmt: skip
        pages = iam.get_paginator(operation).paginate(**asked, PaginationConfig={"PageSize": 1})
        assert [each[name] for page in pages for each in page[rows]] == wanted
