"""Every operation that is here and names a thing is asked for by that thing's own ARN: were it
asked for as `*`, a Deny on the thing would not meet it."""

import re
from functools import cache
from pathlib import Path

import pytest
from botocore.session import get_session
from tests.policy_kit import Held, a_call

from bastide.policy import actions
from bastide.policy.ports import Stored

PAGE = Path(__file__).parents[3] / "docs" / "operations.md"  # golden, so it is true
NAMED = re.compile(r"(Name|Arn|ARN|Id|Identifier|Bucket|Key)\Z")
SERVICES = ("s3", "iam", "sts", "logs", "sagemaker", "sagemaker-runtime", "bedrock-runtime")
# These name no resource that they act on.
ON_EVERYTHING = {"iam.SimulateCustomPolicy"}


@cache
def model(service):
    return get_session().get_service_model(service)


def implemented():
    service = ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            service = line.removeprefix("## ")
        row = re.match(r"\| (\w+) \|", line)
        if row and service in SERVICES and row.group(1) != "operation":
            yield service, row.group(1)


@pytest.mark.parametrize(("service", "name"), list(implemented()))
def test_what_is_named_is_what_is_asked_for(service, name):
    shape = model(service).operation_model(name).input_shape
    members = shape.members.items() if shape else ()
    params = {
        member: "x" for member, of in members if of.type_name == "string" and NAMED.search(member)
    }
    if "CopySource" in params or "Copy" in name:
        params["CopySource"] = "x/x"
    held = Held()
    stored = Stored(principals=held, resources=held)
    needs = actions.needs_of(a_call(f"{service}.{name}"), params, stored)
    asked_as_everything = [need.action for need in needs if "*" in need.resources]
    if params and f"{service}.{name}" not in ON_EVERYTHING:
        assert asked_as_everything == []
