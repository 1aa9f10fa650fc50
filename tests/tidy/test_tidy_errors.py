"""Every error has a name that AWS gives it: one that the operation declares, that its service
documents for any operation, or that stands below with its reason."""

import re

import pytest
from botocore import xform_name
from tests.tidy.code_walk import codes_in, modules, operations, reached

from bastide.wire.model import Catalogue

CATALOGUE = Catalogue()
SERVICES = {
    "agents": ("bedrock-agent", "bedrock-agent-runtime"),
    "evidence": ("cloudtrail",),
    "functions": ("lambda",),
    "guardrails": ("bedrock", "bedrock-runtime"),
    "identity": ("iam", "sts"),
    "inference": ("bedrock-runtime", "bedrock-mantle"),
    "jobs": ("sagemaker",),
    "kms": ("kms",),
    "knowledge": ("bedrock-agent", "bedrock-agent-runtime"),
    "logs": ("logs", "cloudwatch"),
    "models": ("bedrock",),
    "runtimes": ("bedrock-agentcore", "bedrock-agentcore-control"),
    "serving": ("sagemaker", "sagemaker-runtime"),
    "store": ("s3",),
    "training": ("sagemaker",),
}
# Of no service: what answers for all of them, and the operators' API, which is not AWS's.
APART = ("app", "audit", "cli", "db", "environments", "kernel", "keys", "operators",
         "policy", "transfer", "wire")  # fmt: skip
# Any operation of any service: the honest answer of DESIGN.md, and AWS's "Common Error Types".
COMMON = {"UnsupportedOperation", "AccessDenied", "AccessDeniedException", "ValidationError",
          "ValidationException", "InvalidClientTokenId", "ThrottlingException"}  # fmt: skip
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html: 96 of 116 declare none.
S3 = {
    "AccessControlListNotSupported", "BadDigest", "BadRequest", "BucketNotEmpty", "EntityTooLarge",
    "EntityTooSmall", "IllegalLocationConstraintException", "InvalidArgument", "InvalidBucketName",
    "InvalidLocationConstraint", "InvalidPart", "InvalidPartNumber", "InvalidPartOrder",
    "InvalidRange", "InvalidRequest", "InvalidStorageClass", "InvalidTag", "InvalidURI",
    "KMS.NotFoundException", "KeyTooLongError", "MalformedPolicy", "MalformedXML",
    "MetadataTooLarge", "MethodNotAllowed",
    "NoSuchBucket", "NoSuchBucketPolicy", "NoSuchCORSConfiguration", "NoSuchKey",
    "NoSuchLifecycleConfiguration", "NoSuchTagSet", "NoSuchUpload", "NoSuchVersion",
    "ServiceUnavailable",
    "NoSuchWebsiteConfiguration", "NotModified", "ObjectLockConfigurationNotFoundError",
    "OwnershipControlsNotFoundError", "PreconditionFailed", "ReplicationConfigurationNotFoundError",
    "TooManyBuckets",
}  # fmt: skip
# What one operation answers beyond its model; "out of reach" is what the walk cannot see.
BEYOND = {
    ("iam.CreateRole", "NoSuchEntity"): "a boundary that does not exist, as AWS answers it",
    ("iam.CreateGroup", "InvalidInput"): "out of reach: a group has no tags",
    **{
        ("bedrock-runtime.CountTokens", f"Model{what}Exception"): "out of reach: told otherwise"
        for what in ("Error", "NotReady", "Timeout")
    },
}
# Modules that take a code from who calls them, and all that they are given.
GIVEN = {
    "bastide.identity.principals": {
        "MalformedPolicyDocument",
        "MalformedPolicy",
        "MalformedPolicyDocumentException",
    },
    "bastide.inference.converse": {"ModelErrorException", "ModelStreamErrorException"},
    "bastide.inference.engine_client": {"ModelErrorException", "ModelStreamErrorException"},
    "bastide.logs.metrics": {"InvalidParameterValue", "ValidationError"},
    "bastide.logs.tokens": {"InvalidParameterException", "InvalidParameterValue"},
    "bastide.store.bucket_facts": S3,
}


def context_of(module):
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else ""


def documented(services):
    return COMMON | (S3 if "s3" in services else set())


def of_aws(services, name):
    """The operations of that name; a context may serve two of one name."""
    return [
        CATALOGUE.operation(f"{service}.{each}")
        for service in services
        for each in CATALOGUE.service(service).names
        if xform_name(each) == name
    ]


def undeclared(place, name):
    """The codes that the walk finds from an operation and its model does not have."""
    services = SERVICES[context_of(place[0])]
    found = of_aws(services, name)
    declared = {code for each in found for code in each.errors} | documented(services)
    codes = set().union(*(codes_in(each) for each in reached(place))) - {""}
    return {(found[0].full_name, code) for code in codes - declared}


def test_every_folder_is_a_service_or_apart():
    assert {context_of(name) for name in modules()} - {""} <= SERVICES.keys() | set(APART)


@pytest.mark.parametrize(("place", "name"), operations(), ids=lambda each: str(each))
def test_an_operation_fails_by_the_names_of_its_model(place, name):
    assert undeclared(place, name) - BEYOND.keys() == set()


def test_what_is_beyond_the_models_is_no_more_than_that():
    found = set().union(*(undeclared(place, name) for place, name in operations()))
    assert BEYOND.keys() <= found, "the list may only shrink"


@pytest.mark.parametrize("name", [each for each in modules() if context_of(each) in SERVICES])
def test_what_no_operation_is_seen_to_reach_has_a_name_of_its_service(name):
    services = SERVICES[context_of(name)]
    known = {code for each in services for code in CATALOGUE.service(each).errors}
    codes = set().union(*(codes_in((name, each)) for each in modules()[name].functions))
    assert ("" in codes) == (name in GIVEN), "say in GIVEN which codes it is given"
    assert codes - {""} - known - documented(services) == set()
    assert GIVEN.get(name, set()) - known - COMMON - S3 == set()


def test_codes_that_are_given_stand_in_the_text():
    for name, codes in GIVEN.items():
        context = "".join(
            module.path.read_text()
            for each, module in modules().items()
            if context_of(each) in (context_of(name), "app")
        )
        written = set(re.findall(r'"([A-Z][A-Za-z]+)"', context))
        assert codes - written - S3 == set(), name


def test_the_walk_sees_what_is_far_away():
    """From an operation, through a field's class, into another module's function."""
    far = reached(("bastide.identity.roles", "Roles.list_roles"))
    assert ("bastide.identity.pages", "page") in far
    assert len(operations()) > 180
