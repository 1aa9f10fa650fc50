"""Finding the group and the stream that a request names, or AWS's error for it."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.logs import records
from bastide.logs.model import Group, Stream

Params = dict[str, Any]


def group_name(call: Call, req: Params) -> str:
    """By name: an ARN of the caller's own account was made one before the policies were asked
    (policy/names.py), and any other names no group."""
    name, identifier = req.get("logGroupName"), req.get("logGroupIdentifier")
    if name and identifier:
        raise ServiceError(
            "InvalidParameterException",
            "Only one of logGroupName and logGroupIdentifier can be specified.",
        )
    if name:
        return str(name)
    if not identifier:
        raise ServiceError("InvalidParameterException", "A log group must be specified.")
    return str(identifier)


def named_group(call: Call, req: Params) -> str:
    """The group behind a `resourceArn`, in the one spelling that policies are asked about
    (policy/names.py): of this region and of the caller's own account, or none at all."""
    name = str(req["resourceArn"]).partition(":log-group:")[2]
    if req["resourceArn"] != arns.regional(call.region, "logs", call.account, f"log-group:{name}"):
        raise ServiceError("ResourceNotFoundException", "The specified resource does not exist.")
    return name


def group_tags(database: Database, account: str, arn: str) -> Mapping[str, str]:
    """The tags of the group that an ARN names, of itself or of a stream in it."""
    name = arn.partition(":log-group:")[2].partition(":")[0]
    found = database.read(lambda c: records.find_group(c, account, name))
    return found.tags if found else {}


def the_group(c: Connection, call: Call, name: str) -> Group:
    found = records.find_group(c, call.account, name)
    if found is None:
        raise no_group()
    return found


def the_stream(c: Connection, group: Group, name: str) -> Stream:
    found = records.find_stream(c, group, name)
    if found is None:
        raise ServiceError("ResourceNotFoundException", "The specified log stream does not exist.")
    return found


def no_group() -> ServiceError:
    return ServiceError("ResourceNotFoundException", "The specified log group does not exist.")
