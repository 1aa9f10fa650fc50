"""Agencies, IAM and STS joined with real policies, for tests of their handler methods."""

import json
from dataclasses import dataclass, replace

import pytest

from bastide.identity.access_keys import AccessKeys, KeyMaker, KnownKeys, ServiceSpecificCredentials
from bastide.identity.account import Account
from bastide.identity.agencies import Agencies
from bastide.identity.clearances import Clearances
from bastide.identity.credentials import KnownCredentials
from bastide.identity.directory import Directory
from bastide.identity.entities import Entities
from bastide.identity.groups import Groups
from bastide.identity.model import Agency
from bastide.identity.policies import ManagedPolicies
from bastide.identity.principals import PrincipalNames
from bastide.identity.roles import Roles
from bastide.identity.service_roles import ServiceRoles
from bastide.identity.sessions import Sessions
from bastide.identity.simulation import Simulation
from bastide.identity.tokens import SessionTokens
from bastide.identity.users import Users
from bastide.kernel.call import Call
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import SeededIds
from bastide.kernel.regions import Region
from bastide.keys.opening import open_keyring
from bastide.policy.authorizer import PolicyAuthorizer
from bastide.policy.checks import PolicyChecks
from bastide.policy.ports import NoResourceFacts, Stored
from bastide.policy.walls import Walls
from tests.cedar_kit import second_engine
from tests.labels_kit import CEILING, labelling

REGION = Region("us-gov-west-1", "aws-us-gov", "amazonaws.com")
SERVICE = "sagemaker.amazonaws.com"
JOB = "arn:aws-us-gov:sagemaker:us-gov-west-1:111122223333:training-job/j"


def policy(action="*", resource="*", effect="Allow", **more):
    statement = {"Effect": effect, "Action": action, "Resource": resource, **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def trust(principal, **more):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@dataclass
class Site:
    """Everything joined as `app.py` joins it."""

    clock: ManualClock
    directory: Directory
    checks: PolicyChecks
    authorizer: PolicyAuthorizer
    entities: Entities
    maker: KeyMaker
    tokens: SessionTokens

    def __post_init__(self):
        entities, maker = self.entities, self.maker
        self.agencies = Agencies(entities=entities, maker=maker)
        self.users = Users(entities=entities)
        self.groups = Groups(entities=entities)
        self.names = PrincipalNames(directory=self.directory)
        self.roles = Roles(entities=entities, names=self.names)
        self.account = Account(entities=entities, names=self.names)
        self.policies = ManagedPolicies(entities=entities)
        self.keys = AccessKeys(entities=entities, maker=maker)
        self.service_keys = ServiceSpecificCredentials(entities=entities, maker=maker)
        self.clearances = clearances = Clearances(
            directory=self.directory,
            labelling=replace(labelling(), default_of=self.directory.label_of),
            clock=self.clock,
        )
        self.sessions = Sessions(
            directory=self.directory, checks=self.checks, tokens=self.tokens, clearances=clearances
        )
        self.simulation = Simulation(directory=self.directory, checks=self.checks)
        self.credentials = KnownCredentials(
            directory=self.directory, maker=maker, tokens=self.tokens, clearances=clearances
        )
        self.service_roles = ServiceRoles(
            directory=self.directory, checks=self.checks, clearances=clearances
        )

    def administrator(self, name):
        agency = self.agencies.find(name) or self.agencies.create(name)
        key_id, _ = self.agencies.administrator_keys(agency)
        found = self.credentials.find(key_id, None, self.clock.now())
        assert found is not None
        return found.principal

    def call(self, principal, operation="iam.X"):
        return Call(
            operation=operation,
            region=REGION,
            principal=principal,
            request_id="r",
            time=self.clock.now(),
        )

    def session(self, answer):
        made = answer["Credentials"]
        return self.credentials.find(made["AccessKeyId"], made["SessionToken"], self.clock.now())

    def user(self, admin, name, *documents):
        """A new user's principal."""
        call = self.call(admin)
        self.users.create_user(call, {"UserName": name})
        for index, document in enumerate(documents):
            self.users.put_user_policy(
                call, {"UserName": name, "PolicyName": f"p{index}", "PolicyDocument": document}
            )
        key = self.keys.create_access_key(call, {"UserName": name})["AccessKey"]
        return self.credentials.find(key["AccessKeyId"], None, self.clock.now()).principal


def refused(code, work, *args, **more):
    with pytest.raises(ServiceError) as caught:
        work(*args, **more)
    assert caught.value.code == code, caught.value
    return caught.value


def site_at(database, folder):
    clock, ids, keyring = ManualClock(), SeededIds(1), open_keyring(folder / "keys")
    directory = Directory(region=REGION, database=database)
    authorizer = PolicyAuthorizer(
        walls=Walls(ceiling=CEILING),
        second=second_engine(),
        stored=Stored(principals=directory, resources=NoResourceFacts()),
    )
    checks = PolicyChecks(authorizer=authorizer)
    entities = Entities(directory=directory, database=database, checks=checks, clock=clock, ids=ids)
    return Site(
        clock=clock,
        directory=directory,
        checks=checks,
        authorizer=authorizer,
        entities=entities,
        maker=KeyMaker(sealer=keyring, clock=clock, ids=ids, known=KnownKeys(database)),
        tokens=SessionTokens(sealer=keyring, clock=clock, ids=ids),
    )


class FewAgencies(Agencies):
    """Agencies of which nobody asks more than their names and accounts."""

    def __init__(self, accounts):
        object.__setattr__(self, "accounts", accounts)

    def list(self):
        return [Agency(name=name, account_id=n, created_ms=0) for name, n in self.accounts.items()]

    def find(self, name):
        found = [one for one in self.list() if name in (one.name, one.account_id)]
        return found[0] if found else None
