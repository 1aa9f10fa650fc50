"""Finding the group and the stream that a request names, or AWS's error for it."""

from typing import Any

from sqlalchemy import Connection

from bastide.kernel.arns import parse
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.logs import records
from bastide.logs.model import Group, Stream

Params = dict[str, Any]


def group_name(call: Call, req: Params) -> str:
    """By name, or by an ARN of the caller's own account; anybody else's is simply not there."""
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
    arn = parse(identifier)
    if arn is None:
        return str(identifier)
    if arn.account != call.account or arn.service != "logs":
        raise no_group()
    return arn.resource.removeprefix("log-group:").removesuffix(":*")


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
