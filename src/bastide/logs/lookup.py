"""Finding the group and the stream that a request names, or AWS's error for it.

What a session does not dominate is not there for it; what it changes has its own label.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.view import View
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What policies ask about groups and streams, by ARN, as a principal sees them."""

    database: Database
    labels: LabelsInUse

    def tags(self, who: Principal, arn: str, version: str | None) -> Mapping[str, str]:
        """The tags of the group that an ARN names, of itself or of a stream in it."""
        group, _ = self._named(who, arn)
        return group.tags if group else {}

    def label(self, who: Principal, arn: str, version: str | None) -> Label | None:
        """The label of the group or the stream that an ARN names."""
        group, stream = self._named(who, arn)
        found = stream if ":log-stream:" in arn else group
        return who.session.scheme.parse(found.label) if found else None

    def marked(self, account: str, arn: str) -> Sequence[str]:
        """The markings of all groups that have an ARN, for operators."""
        name = arn.partition(":log-group:")[2].partition(":")[0]
        return self.database.read(lambda c: records.labels_of(c, account, name))

    def _named(self, who: Principal, arn: str) -> tuple[Group | None, Stream | None]:
        name, _, stream = arn.partition(":log-group:")[2].partition(":log-stream:")
        view = self.labels.view(who.session)

        def read(c: Connection) -> tuple[Group | None, Stream | None]:
            group = records.find_group(c, who.account, name.partition(":")[0], view)
            return group, records.find_stream(c, group, stream) if group and stream else None

        return self.database.read(read)


def the_group(c: Connection, call: Call, name: str, view: View) -> Group:
    found = records.find_group(c, call.account, name, view)
    if found is None:
        raise no_group()
    return found


def own_group(c: Connection, call: Call, name: str, view: View) -> Group:
    """The group, if the session may change it: a lower one would tell downwards."""
    found = the_group(c, call, name, view)
    _check_own(found.label, view)
    return found


def the_stream(c: Connection, group: Group, name: str) -> Stream:
    found = records.find_stream(c, group, name)
    if found is None:
        raise ServiceError("ResourceNotFoundException", "The specified log stream does not exist.")
    return found


def own_stream(c: Connection, group: Group, name: str) -> Stream:
    """The stream, if the viewer of its group may change it."""
    found = the_stream(c, group, name)
    _check_own(found.label, group.view)
    return found


def no_group() -> ServiceError:
    return ServiceError("ResourceNotFoundException", "The specified log group does not exist.")


def _check_own(label: str, view: View) -> None:
    if label != view.own:
        message = f"A session at {view.own} cannot change what is at {label}."
        raise ServiceError("AccessDeniedException", message, status=400)
