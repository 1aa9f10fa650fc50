"""Identity and policy, joined: who is it, and what may they."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bastide.app.core import Core
from bastide.identity.access_keys import (
    AccessKeys,
    KeyMaker,
    KnownKeys,
    ServiceSpecificCredentials,
)
from bastide.identity.account import Account
from bastide.identity.agencies import Agencies
from bastide.identity.credentials import KnownCredentials
from bastide.identity.directory import Directory, Memory
from bastide.identity.entities import Entities
from bastide.identity.groups import Groups
from bastide.identity.policies import ManagedPolicies
from bastide.identity.principals import PrincipalNames
from bastide.identity.roles import Roles
from bastide.identity.service_roles import ServiceRoles
from bastide.identity.sessions import Sessions
from bastide.identity.simulation import Simulation
from bastide.identity.tokens import SessionTokens
from bastide.identity.users import Users
from bastide.kernel import arns
from bastide.kernel.regions import Region
from bastide.models.catalogue import Models
from bastide.policy.authorizer import PolicyAuthorizer
from bastide.policy.checks import PolicyChecks
from bastide.policy.ports import Stored
from bastide.store.objects_api import ObjectSpace

TagsOf = Callable[[str, str, str | None], Mapping[str, str]]


class ResourceSources:
    """What the authorizer asks about resources; their owners are made after it."""

    def __init__(self) -> None:
        self.space: ObjectSpace | None = None
        self.catalogue: Models | None = None
        self.tagged: dict[str, TagsOf] = {}  # by service
        self._memory = Memory()

    def bucket_policy(self, account: str, bucket: str) -> str | None:
        """From memory: it is asked for at every call of S3."""
        space = self.space
        assert space is not None
        found = self._memory.get((account, bucket), lambda: (space.bucket_policy(account, bucket),))
        return found[0]

    def forget_bucket(self, account: str, bucket: str) -> None:
        self._memory.forget_key((account, bucket))

    def tags(self, account: str, resource: str, version: str | None) -> Mapping[str, str]:
        arn = arns.parse(resource)
        read = self.tagged.get(arn.service) if arn else None
        return read(account, resource, version) if read else {}

    def models(self, region: Region, account: str, identifier: str) -> tuple[str, tuple[str, ...]]:
        assert self.catalogue is not None
        return self.catalogue.arns(region, account, identifier)


@dataclass(frozen=True, slots=True)
class BucketPolicyCheck:
    """Judges a bucket policy before the store keeps it, and shows what was kept."""

    checks: PolicyChecks
    names: PrincipalNames
    resources: ResourceSources

    def changed(self, account: str, bucket: str) -> None:
        self.resources.forget_bucket(account, bucket)

    def checked(self, account: str, bucket_arn: str, document: str) -> str:
        self.checks.check(document, "resource", "MalformedPolicy")
        return self.names.bound(account, document, "MalformedPolicy")

    def shown(self, account: str, document: str) -> str:
        return self.names.shown(account, document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The trusted core: who is it, and what may they."""

    directory: Directory
    authorizer: PolicyAuthorizer
    checks: PolicyChecks
    names: PrincipalNames
    resources: ResourceSources
    credentials: KnownCredentials
    roles: ServiceRoles
    agencies: Agencies
    handlers: dict[str, list[object]]


def open_identity(core: Core, resources: ResourceSources) -> Identity:
    directory = Directory(region=core.region, database=core.database)
    authorizer = PolicyAuthorizer(stored=Stored(principals=directory, resources=resources))
    checks = PolicyChecks(authorizer=authorizer)
    entities = Entities(
        directory=directory, database=core.database, checks=checks, clock=core.clock, ids=core.ids
    )
    resources.tagged["iam"] = lambda account, arn, _: directory.tags_of(account, arn)
    names = PrincipalNames(directory=directory)
    maker = KeyMaker(
        sealer=core.keyring, clock=core.clock, ids=core.ids, known=KnownKeys(core.database)
    )
    tokens = SessionTokens(sealer=core.keyring, clock=core.clock, ids=core.ids)
    return Identity(
        directory=directory,
        authorizer=authorizer,
        checks=checks,
        names=names,
        resources=resources,
        credentials=KnownCredentials(directory=directory, maker=maker, tokens=tokens),
        roles=ServiceRoles(directory=directory, checks=checks),
        agencies=Agencies(entities=entities, maker=maker),
        handlers={
            "iam": [
                Account(entities=entities, names=names),
                Groups(entities=entities),
                Users(entities=entities),
                Roles(entities=entities, names=names),
                ManagedPolicies(entities=entities),
                AccessKeys(entities=entities, maker=maker),
                ServiceSpecificCredentials(entities=entities, maker=maker),
                Simulation(directory=directory, checks=checks),
            ],
            "sts": [Sessions(directory=directory, checks=checks, tokens=tokens)],
        },
    )
