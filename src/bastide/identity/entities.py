"""What users, roles and groups have in common: being made, removed, tagged, given policies."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar
from urllib.parse import quote

from sqlalchemy import Connection

from bastide.db import Database
from bastide.identity import builtin, group_records, policy_records, records
from bastide.identity.directory import Directory, read_entity
from bastide.identity.model import Entity, Kind, ManagedPolicy
from bastide.identity.pages import page
from bastide.identity.ports import Checks
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import Ids
from bastide.kernel.labels.labelling import TAG

T = TypeVar("T")
Params = Mapping[str, Any]
Answer = dict[str, Any]
# https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
ENTITIES_MAX = {Kind.USER: 5_000, Kind.ROLE: 1_000, Kind.GROUP: 300}
INLINE_SIZE_MAX = {Kind.USER: 2_048, Kind.ROLE: 10_240, Kind.GROUP: 5_120}
ATTACHED_MAX = 10
TAGS_MAX = 50
ID_PREFIX = {Kind.USER: "AIDA", Kind.ROLE: "AROA", Kind.GROUP: "AGPA"}
NO_LABEL = (
    f"{TAG} cannot be given to a user, role or policy: all of them lie at the agency's default "
    "label (bastide agency label). Up to where a user or role may see is its clearance (bastide "
    "clearance grant), and a session's label is a tag of AssumeRole."
)
_SPACE = str.maketrans("", "", " \t\r\n")


def document_size(text: str) -> int:
    """IAM does not count white space."""
    return len(text.translate(_SPACE))


def not_found(message: str) -> ServiceError:
    return ServiceError("NoSuchEntity", message, status=404)


def limit(message: str) -> ServiceError:
    return ServiceError("LimitExceeded", message, status=409)


def conflict(message: str) -> ServiceError:
    return ServiceError("DeleteConflict", message, status=409)


def tags_of(req: Params) -> dict[str, str]:
    """Of a user, role or policy. A label on one would change nothing, so none is taken."""
    tags = tags_in(req)
    fault = fault_of_tags(req) or (NO_LABEL if any(key.lower() == TAG for key in tags) else "")
    if fault:
        raise ServiceError("InvalidInput", fault, status=400)
    if len(tags) > TAGS_MAX:
        raise limit(f"The number of tags exceeds {TAGS_MAX}.")
    return tags


def tags_in(req: Params) -> dict[str, str]:
    return {str(tag["Key"]): str(tag["Value"]) for tag in req.get("Tags") or []}


def fault_of_tags(req: Params) -> str:
    """Why the tags of a request cannot be taken; "" if they can."""
    keys = [str(tag["Key"]).lower() for tag in req.get("Tags") or []]
    if len(set(keys)) != len(keys):
        return "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    if any(key.startswith("aws:") for key in keys):
        return "Tag keys cannot start with aws:."
    return ""


def tagged(old: Mapping[str, str], added: Mapping[str, str]) -> dict[str, str]:
    """A key is the same in any case, and keeps the case of who wrote it last."""
    tags = {**untagged(old, list(added)), **added}
    if len(tags) > TAGS_MAX:
        raise limit(f"The number of tags exceeds {TAGS_MAX}.")
    return tags


def untagged(old: Mapping[str, str], gone: Sequence[str]) -> dict[str, str]:
    lowered = {key.lower() for key in gone}
    return {key: value for key, value in old.items() if key.lower() not in lowered}


def tag_list(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"Key": key, "Value": tags[key]} for key in sorted(tags)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entities:
    """The work behind the operations of both; `directory` answers reads."""

    directory: Directory
    database: Database
    checks: Checks
    clock: Clock
    ids: Ids

    def new(self, call: Call, kind: Kind, name: str, req: Params) -> Entity:
        """An entity that is not stored yet."""
        path = req.get("Path") or "/"
        return Entity(
            account=call.account,
            kind=kind,
            name=name,
            path=path,
            id=ID_PREFIX[kind] + self.ids.word(17),
            arn=arns.iam(call.region, call.account, f"{kind.value}{path}{name}"),
            created_ms=epoch_ms(self.clock.now()),
            tags=tags_of(req),
            boundary=req.get("PermissionsBoundary") or "",
        )

    def add(self, entity: Entity) -> None:
        def work(connection: Connection) -> None:
            if entity.boundary:
                self.managed(connection, entity.account, entity.boundary)
            if records.find_entity(connection, entity.account, entity.kind, entity.name):
                noun = entity.kind.value.capitalize()
                message = f"{noun} with name {entity.name} already exists."
                raise ServiceError("EntityAlreadyExists", message, status=409)
            most = ENTITIES_MAX[entity.kind]
            if records.count_entities(connection, entity.account, entity.kind) >= most:
                raise limit(f"Cannot exceed quota for {entity.kind.value}s per account: {most}")
            records.insert_all(connection, records.entities, [records.entity_row(entity)])

        self.write(entity.account, work)

    def write(self, account: str, work: Callable[[Connection], T]) -> T:
        """Change an account; nothing that was read of it before is believed afterwards."""
        try:
            return self.database.write(work)
        finally:
            self.directory.memory.forget(account)

    def change(
        self, account: str, kind: Kind, name: str, work: Callable[[Connection, Entity], T]
    ) -> T:
        """Change something of an entity that must be there."""
        return self.write(account, lambda c: work(c, read_entity(c, account, kind, name)))

    def list(self, call: Call, kind: Kind, req: Params) -> tuple[Sequence[Entity], Answer]:
        prefix = req.get("PathPrefix") or "/"
        found = self.database.read(lambda c: records.list_entities(c, call.account, kind))
        kept = [entity for entity in found if entity.path.startswith(prefix)]
        return page(kept, req, lambda entity: entity.name.lower())

    def remove(self, call: Call, kind: Kind, name: str) -> None:
        def work(connection: Connection, entity: Entity) -> None:
            if records.inline_of(connection, entity):
                raise conflict("Cannot delete entity, must delete policies first.")
            if records.attached_to(connection, entity):
                raise conflict("Cannot delete entity, must detach all policies first.")
            if kind is Kind.GROUP and group_records.users_in(connection, call.account, name):
                raise conflict("Cannot delete entity, must remove users from group first.")
            if kind is Kind.USER:
                _check_unused(connection, entity)
            records.delete_entity(connection, entity)

        self.change(call.account, kind, name, work)

    def rename(self, call: Call, kind: Kind, req: Params) -> None:
        """`NewUserName`, `NewGroupName` and `NewPath`: whoever knows the name follows."""
        noun = kind.value.capitalize()

        def work(connection: Connection, before: Entity) -> None:
            name = req.get(f"New{noun}Name") or before.name
            path = req.get("NewPath") or before.path
            taken = records.find_entity(connection, call.account, kind, name)
            if taken is not None and taken.id != before.id:
                message = f"{noun} with name {name} already exists."
                raise ServiceError("EntityAlreadyExists", message, status=409)
            arn = arns.iam(call.region, call.account, f"{kind.value}{path}{name}")
            after = replace(before, name=name, path=path, arn=arn)
            group_records.rename(connection, before, after)

        self.change(call.account, kind, req[f"{noun}Name"], work)

    def bound(self, call: Call, kind: Kind, name: str, boundary: str) -> None:
        """Set the permissions boundary, or take it away ("")."""

        def work(connection: Connection, entity: Entity) -> None:
            if boundary:
                self.managed(connection, call.account, boundary)
            records.change_entity(connection, replace(entity, boundary=boundary))

        self.change(call.account, kind, name, work)

    def put_policy(self, call: Call, kind: Kind, name: str, req: Params) -> None:
        policy, text = req["PolicyName"], req["PolicyDocument"]
        self.checks.check(text, "identity")

        def work(connection: Connection, entity: Entity) -> None:
            others = records.inline_of(connection, entity)
            others[policy] = text
            most = INLINE_SIZE_MAX[kind]
            if sum(document_size(each) for each in others.values()) > most:
                raise limit(f"Maximum policy size of {most} bytes exceeded for {kind.value} {name}")
            records.put_inline(connection, entity, policy, text)

        self.change(call.account, kind, name, work)

    def get_policy(self, call: Call, kind: Kind, name: str, policy: str) -> str:
        """The document, percent-encoded as IAM answers it."""
        entity = self.directory.get(call.account, kind, name)
        found = self.database.read(lambda c: records.inline_of(c, entity)).get(policy)
        if found is None:
            raise not_found(f"The {kind.value} policy with name {policy} cannot be found.")
        return quote(found, safe="")

    def delete_policy(self, call: Call, kind: Kind, name: str, policy: str) -> None:
        def work(connection: Connection, entity: Entity) -> None:
            if not records.delete_inline(connection, entity, policy):
                raise not_found(f"The {kind.value} policy with name {policy} cannot be found.")

        self.change(call.account, kind, name, work)

    def policy_names(self, call: Call, kind: Kind, name: str, req: Params) -> Answer:
        entity = self.directory.get(call.account, kind, name)
        names = sorted(self.database.read(lambda c: records.inline_of(c, entity)))
        found, rest = page(names, req, str)
        return {"PolicyNames": list(found), **rest}

    def attach(self, call: Call, kind: Kind, name: str, arn: str) -> None:
        def work(connection: Connection, entity: Entity) -> None:
            self.managed(connection, call.account, arn)
            now = records.attached_to(connection, entity)
            if arn not in now and len(now) >= ATTACHED_MAX:
                raise limit(
                    f"Cannot exceed quota for PoliciesPer{kind.value.capitalize()}: {ATTACHED_MAX}"
                )
            records.attach(connection, entity, arn)

        self.change(call.account, kind, name, work)

    def managed(self, connection: Connection, account: str, arn: str) -> ManagedPolicy | None:
        """A policy of the account, or None for one of AWS's; NoSuchEntity for any other."""
        if builtin.name_of(self.directory.region, arn) is not None:
            return None
        found = policy_records.find_managed(connection, account, arn)
        if found is None:
            raise not_found(f"Policy {arn} does not exist or is not attachable.")
        return found

    def detach(self, call: Call, kind: Kind, name: str, arn: str) -> None:
        def work(connection: Connection, entity: Entity) -> None:
            if not records.detach(connection, entity, arn):
                raise not_found(f"Policy {arn} was not found.")

        self.change(call.account, kind, name, work)

    def attached(self, call: Call, kind: Kind, name: str, req: Params) -> Answer:
        entity = self.directory.get(call.account, kind, name)
        prefix = f":policy{req.get('PathPrefix') or '/'}"
        listed = self.database.read(lambda c: records.attached_to(c, entity))
        kept = sorted(arn for arn in listed if prefix in arn)
        found, rest = page(kept, req, str)
        rows = [{"PolicyName": arn.rpartition("/")[2], "PolicyArn": arn} for arn in found]
        return {"AttachedPolicies": rows, **rest}

    def tag(self, call: Call, kind: Kind, name: str, req: Params) -> None:
        added = tags_of(req)

        def work(connection: Connection, entity: Entity) -> None:
            tags = tagged(entity.tags, added)
            records.change_entity(connection, replace(entity, tags=tags))

        self.change(call.account, kind, name, work)

    def untag(self, call: Call, kind: Kind, name: str, req: Params) -> None:
        def work(connection: Connection, entity: Entity) -> None:
            tags = untagged(entity.tags, req["TagKeys"])
            records.change_entity(connection, replace(entity, tags=tags))

        self.change(call.account, kind, name, work)

    def tags(self, call: Call, kind: Kind, name: str, req: Params) -> Answer:
        entity = self.directory.get(call.account, kind, name)
        found, rest = page(tag_list(entity.tags), req, lambda tag: tag["Key"])
        return {"Tags": list(found), **rest}


def boundary_shown(entity: Entity) -> Answer:
    if not entity.boundary:
        return {}
    kind = "PermissionsBoundaryPolicy"
    shown = {"PermissionsBoundaryType": kind, "PermissionsBoundaryArn": entity.boundary}
    return {"PermissionsBoundary": shown}


def _check_unused(connection: Connection, user: Entity) -> None:
    if records.keys_of(connection, user.account, user.name) or records.service_keys_of(
        connection, user.account, user.name
    ):
        raise conflict("Cannot delete entity, must delete access keys first.")
    if group_records.groups_of(connection, user.account, user.name):
        raise conflict("Cannot delete entity, must remove user from all groups first.")
