"""Identity and policy, joined: who is it, and what may they."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from bastide.app.core import Core
from bastide.identity.access_keys import (
    AccessKeys,
    KeyMaker,
    KnownKeys,
    ServiceSpecificCredentials,
)
from bastide.identity.account import Account
from bastide.identity.agencies import Agencies
from bastide.identity.clearances import Clearances
from bastide.identity.credentials import KnownCredentials
from bastide.identity.directory import Directory, Memory
from bastide.identity.entities import Entities
from bastide.identity.groups import Groups
from bastide.identity.policies import ManagedPolicies
from bastide.identity.principals import PrincipalNames
from bastide.identity.roles import Roles
from bastide.identity.service_keys import ServiceKeys
from bastide.identity.service_roles import ServiceRoles
from bastide.identity.sessions import Sessions
from bastide.identity.simulation import Simulation
from bastide.identity.tokens import SessionTokens
from bastide.identity.users import Users
from bastide.kernel import arns
from bastide.kernel.call import Principal
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import Labelling
from bastide.kernel.regions import Region
from bastide.models.catalogue import Models
from bastide.policy.authorizer import PolicyAuthorizer
from bastide.policy.cedar.agency import AgencyPolicies
from bastide.policy.checks import PolicyChecks
from bastide.policy.explaining import Explainer
from bastide.policy.ports import KeyFacts, Stored
from bastide.policy.second import SecondEngine
from bastide.policy.sharing import Shared
from bastide.policy.walls import Walls
from bastide.policy.writing import Writing
from bastide.store.objects_api import ObjectSpace

TagsOf = Callable[[Principal, str, str | None], Mapping[str, str]]
LabelOf = Callable[[Principal, str, str | None], Label | None]
IsDelivered = Callable[[Principal, str], bool]
Identified = Callable[[Principal, str], str]


class ResourceSources:
    """What the authorizer asks about resources; their owners are made after it."""

    def __init__(self, labelling: Labelling) -> None:
        self.space: ObjectSpace | None = None
        self.catalogue: Models | None = None
        self.keys: KeyFacts | None = None
        # By service, or by `service:kind` where a service's kinds have several owners.
        self.tagged: dict[str, TagsOf] = {}
        self.labelled: dict[str, LabelOf] = {}
        self.identified_by: dict[str, Identified] = {}  # by kind of thing of Bedrock's
        self.delivered: IsDelivered | None = None
        self._labelling = labelling
        self._memory = Memory()

    def bucket_policy(self, principal: Principal, bucket: str) -> str | None:
        """From memory: it is asked for at every call of S3."""
        space = self.space
        assert space is not None
        key = (principal.account, principal.session, bucket)
        return self._memory.get(key, lambda: (space.bucket_policy(principal, bucket),))[0]

    def shared(self, principal: Principal, bucket: str) -> Shared | None:
        """Not from memory: a share that is revoked is gone with the next call."""
        assert self.space is not None
        return self.space.shared(principal, bucket)

    def forget_buckets(self, account: str) -> None:
        self._memory.forget(account)

    def tags(self, principal: Principal, resource: str, version: str | None) -> Mapping[str, str]:
        arn = arns.parse(resource)
        kind = f"{arn.service}:{arn.resource.partition('/')[0]}" if arn else ""
        read = self.tagged.get(kind) or (self.tagged.get(arn.service) if arn else None)
        return read(principal, resource, version) if read else {}

    def label(self, principal: Principal, resource: str, version: str | None) -> Label | None:
        """What no service gives a label of its own has its agency's default."""
        arn = arns.parse(resource)
        kind = f"{arn.service}:{arn.resource.partition('/')[0]}" if arn else ""
        read = self.labelled.get(kind) or (self.labelled.get(arn.service) if arn else None)
        if read is not None:
            return read(principal, resource, version)
        return self._labelling.of_account(principal.account)

    def identified(self, principal: Principal, kind: str, identifier: str) -> str:
        return self.identified_by[kind](principal, identifier)

    def is_delivered(self, principal: Principal, resource: str) -> bool:
        assert self.delivered is not None
        return self.delivered(principal, resource)

    def alias_target(self, principal: Principal, alias: str) -> str | None:
        return self._keys.alias_target(principal, alias)

    def key_aliases(self, principal: Principal, key_id: str) -> Sequence[str]:
        return self._keys.key_aliases(principal, key_id)

    def sealing_key(self, ciphertext: bytes) -> str | None:
        return self._keys.sealing_key(ciphertext)

    def key_policies(
        self, account: str, key_id: str, encryption: Mapping[str, str]
    ) -> Sequence[tuple[str, str]] | None:
        return self._keys.key_policies(account, key_id, encryption)

    @property
    def _keys(self) -> KeyFacts:
        assert self.keys is not None
        return self.keys

    def models(
        self, region: Region, principal: Principal, identifier: str
    ) -> tuple[str, tuple[str, ...]]:
        assert self.catalogue is not None
        return self.catalogue.arns(region, principal, identifier)


@dataclass(frozen=True, slots=True)
class BucketPolicyCheck:
    """Judges a bucket policy before the store keeps it, and shows what was kept."""

    checks: PolicyChecks
    names: PrincipalNames
    resources: ResourceSources

    def changed(self, account: str, bucket: str) -> None:
        self.resources.forget_buckets(account)

    def checked(self, account: str, bucket_arn: str, document: str) -> str:
        self.checks.check(document, "resource", "MalformedPolicy")
        return self.names.bound(account, document, "MalformedPolicy")

    def shown(self, account: str, document: str) -> str:
        return self.names.shown(account, document)


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The trusted core: who is it, and what may they."""

    directory: Directory
    labelling: Labelling
    clearances: Clearances
    authorizer: PolicyAuthorizer
    writing: Writing
    agency_policies: AgencyPolicies
    explainer: Explainer
    checks: PolicyChecks
    names: PrincipalNames
    resources: ResourceSources
    credentials: KnownCredentials
    roles: ServiceRoles
    service_keys: ServiceKeys
    agencies: Agencies
    handlers: dict[str, list[object]]


def open_identity(core: Core) -> Identity:
    directory = Directory(region=core.region, database=core.database)
    labelling = replace(core.labelling, default_of=directory.label_of)
    clearances = Clearances(directory=directory, labelling=labelling, clock=core.clock)
    resources = ResourceSources(labelling)
    agency_policies = AgencyPolicies.at(core.database, core.clock)
    engine = agency_policies.engine
    second = SecondEngine(decider=engine, ceiling=labelling.ceiling, clock=core.clock)
    walls = Walls(ceiling=labelling.ceiling)
    authorizer = PolicyAuthorizer(
        walls=walls,
        second=second,
        stored=Stored(principals=directory, resources=resources),
        clock=core.clock,
    )
    checks = PolicyChecks(authorizer=authorizer)
    entities = Entities(
        directory=directory, database=core.database, checks=checks, clock=core.clock, ids=core.ids
    )
    resources.tagged["iam"] = lambda who, arn, _: directory.tags_of(who.account, arn)
    names = PrincipalNames(directory=directory)
    maker = KeyMaker(
        sealer=core.keyring, clock=core.clock, ids=core.ids, known=KnownKeys(core.database)
    )
    tokens = SessionTokens(sealer=core.keyring, clock=core.clock, ids=core.ids)
    roles = ServiceRoles(directory=directory, checks=checks, clearances=clearances)
    return Identity(
        directory=directory,
        labelling=labelling,
        clearances=clearances,
        authorizer=authorizer,
        writing=Writing(walls=walls, second=second),
        agency_policies=agency_policies,
        explainer=Explainer(authorizer=authorizer, second=second, engine=engine),
        checks=checks,
        names=names,
        resources=resources,
        credentials=KnownCredentials(
            directory=directory, maker=maker, tokens=tokens, clearances=clearances
        ),
        roles=roles,
        service_keys=ServiceKeys(roles=roles, tokens=tokens),
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
            "sts": [
                Sessions(directory=directory, checks=checks, tokens=tokens, clearances=clearances)
            ],
        },
    )
