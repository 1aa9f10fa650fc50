"""Agencies, IAM and STS through their handler methods, with real policies, on both databases."""

import json
from dataclasses import dataclass, replace
from urllib.parse import unquote

import pytest

from bastide.identity.access_keys import AccessKeys, KeyMaker, ServiceSpecificCredentials
from bastide.identity.agencies import Agencies
from bastide.identity.credentials import KnownCredentials
from bastide.identity.directory import Directory
from bastide.identity.entities import Entities
from bastide.identity.policies import ManagedPolicies
from bastide.identity.principals import PrincipalNames
from bastide.identity.roles import Roles
from bastide.identity.service_roles import ServiceRoles
from bastide.identity.sessions import Sessions
from bastide.identity.simulation import Simulation
from bastide.identity.tokens import SessionTokens
from bastide.identity.users import Users
from bastide.kernel.call import Call, Principal, PrincipalKind
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import SeededIds
from bastide.kernel.regions import Region
from bastide.keys.keyring import Keyring
from bastide.policy.authorizer import PolicyAuthorizer, PolicyChecks
from bastide.policy.ports import NoResourceFacts, Stored

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
        self.names = PrincipalNames(directory=self.directory)
        self.roles = Roles(entities=entities, names=self.names)
        self.policies = ManagedPolicies(entities=entities)
        self.keys = AccessKeys(entities=entities, maker=maker)
        self.service_keys = ServiceSpecificCredentials(entities=entities, maker=maker)
        self.sessions = Sessions(directory=self.directory, checks=self.checks, tokens=self.tokens)
        self.simulation = Simulation(directory=self.directory, checks=self.checks)
        self.credentials = KnownCredentials(
            directory=self.directory, maker=maker, tokens=self.tokens
        )
        self.service_roles = ServiceRoles(directory=self.directory, checks=self.checks)

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


@pytest.fixture
def site(database, tmp_path):
    clock, ids, keyring = ManualClock(), SeededIds(1), Keyring(tmp_path / "keys")
    directory = Directory(region=REGION, database=database)
    authorizer = PolicyAuthorizer(stored=Stored(principals=directory, resources=NoResourceFacts()))
    checks = PolicyChecks(authorizer=authorizer)
    entities = Entities(directory=directory, database=database, checks=checks, clock=clock, ids=ids)
    return Site(
        clock=clock,
        directory=directory,
        checks=checks,
        authorizer=authorizer,
        entities=entities,
        maker=KeyMaker(sealer=keyring, clock=clock, ids=ids),
        tokens=SessionTokens(sealer=keyring, clock=clock, ids=ids),
    )


@pytest.fixture
def admin(site):
    return site.administrator("alpha")


def refused(code, work, *args):
    with pytest.raises(ServiceError) as caught:
        work(*args)
    assert caught.value.code == code, caught.value
    return caught.value


def test_an_agency_has_an_administrator_who_may_do_everything(site, admin):
    call = site.call(admin, "s3.CreateBucket")
    site.authorizer.authorize(call, {"Bucket": "b"})
    assert admin.arn == f"arn:aws-us-gov:iam::{admin.account}:user/administrator"
    refused("EntityAlreadyExists", site.agencies.create, "alpha")
    refused("EntityAlreadyExists", site.agencies.create, "beta", admin.account)
    refused("ValidationError", site.agencies.create, "../x")
    refused("ValidationError", site.agencies.create, "beta", "123")
    assert [each.name for each in site.agencies.list()] == ["alpha"]


def test_many_agencies(site):
    made = site.agencies.create_many(f"agency-{n}" for n in range(700))
    assert len({each.account_id for each in made}) == 700
    assert len(site.agencies.list()) == 700
    assert site.administrator("agency-699").account == made[-1].account_id


def test_a_user_s_life(site, admin):
    call = site.call(admin)
    site.users.create_user(
        call, {"UserName": "Ann", "Path": "/a/", "Tags": [{"Key": "t", "Value": "1"}]}
    )
    refused("EntityAlreadyExists", site.users.create_user, call, {"UserName": "ann"})
    got = site.users.get_user(call, {"UserName": "Ann"})["User"]
    assert got["Arn"].endswith(":user/a/Ann")
    assert got["Tags"] == [{"Key": "t", "Value": "1"}]
    named = {"UserName": "Ann"}
    keys = [site.keys.create_access_key(call, named)["AccessKey"] for _ in range(2)]
    refused("LimitExceeded", site.keys.create_access_key, call, named)
    now = site.clock.now()
    first = keys[0]["AccessKeyId"]
    assert site.credentials.find(first, None, now).secret == keys[0]["SecretAccessKey"]
    site.keys.update_access_key(call, named | {"AccessKeyId": first, "Status": "Inactive"})
    assert site.credentials.find(first, None, now) is None
    refused("DeleteConflict", site.users.delete_user, call, named)
    for key in keys:
        site.keys.delete_access_key(call, named | {"AccessKeyId": key["AccessKeyId"]})
    assert site.credentials.find(keys[1]["AccessKeyId"], None, now) is None
    site.users.delete_user(call, named)
    refused("NoSuchEntity", site.users.get_user, call, named)


def test_attached_policies_work_at_once(site, admin):
    bob, call = site.user(admin, "bob"), site.call(admin)
    put = site.call(bob, "s3.PutObject")
    params = {"Bucket": "b", "Key": "k"}
    error = refused("AccessDenied", site.authorizer.authorize, put, params)
    assert error.message == (
        f"User: {bob.arn} is not authorized to perform: s3:PutObject on resource: "
        "arn:aws-us-gov:s3:::b/k because no identity-based policy allows the s3:PutObject action"
    )
    managed = site.policies.create_policy(
        call, {"PolicyName": "P", "PolicyDocument": policy("s3:PutObject")}
    )["Policy"]["Arn"]
    for arn in (managed, "arn:aws-us-gov:iam::aws:policy/AmazonS3FullAccess"):
        site.users.attach_user_policy(call, {"UserName": "bob", "PolicyArn": arn})
        site.authorizer.authorize(put, params)
        refused("DeleteConflict", site.policies.delete_policy, call, {"PolicyArn": managed}) if (
            arn == managed
        ) else None
        site.users.detach_user_policy(call, {"UserName": "bob", "PolicyArn": arn})
        refused("AccessDenied", site.authorizer.authorize, put, params)
    site.policies.delete_policy(call, {"PolicyArn": managed})
    absent = {"UserName": "bob", "PolicyArn": managed}
    refused("NoSuchEntity", site.users.attach_user_policy, call, absent)


def test_roles_are_assumed_by_those_they_trust(site, admin):
    call = site.call(admin)
    made = site.roles.create_role(
        call,
        {
            "RoleName": "R",
            "AssumeRolePolicyDocument": trust(
                {"AWS": admin.account}, Condition={"StringEquals": {"sts:ExternalId": "x"}}
            ),
        },
    )["Role"]
    assert "sts:AssumeRole" in unquote(made["AssumeRolePolicyDocument"])
    site.roles.put_role_policy(
        call, {"RoleName": "R", "PolicyName": "p", "PolicyDocument": policy("s3:*")}
    )
    asked = {"RoleArn": made["Arn"], "RoleSessionName": "s"}
    sts = site.call(admin, "sts.AssumeRole")
    refused("AccessDenied", site.sessions.assume_role, sts, asked)
    asked |= {"ExternalId": "x", "Policy": policy("s3:GetObject")}
    site.authorizer.authorize(sts, asked)
    answer = site.sessions.assume_role(sts, asked)
    found = site.session(answer)
    assert found.secret == answer["Credentials"]["SecretAccessKey"]
    assert found.principal.arn == answer["AssumedRoleUser"]["Arn"]
    object_ = {"Bucket": "b", "Key": "k"}
    site.authorizer.authorize(site.call(found.principal, "s3.GetObject"), object_)
    narrowed = site.call(found.principal, "s3.PutObject")
    error = refused("AccessDenied", site.authorizer.authorize, narrowed, object_)
    assert "no session policy" in error.message
    made = answer["Credentials"]
    for changed in (made["SessionToken"][:-8] + "AAAAAAA=", "", "x", "%"):
        assert site.credentials.find(made["AccessKeyId"], changed, site.clock.now()) is None
    other = "ASIA" + "A" * 16
    assert site.credentials.find(other, made["SessionToken"], site.clock.now()) is None
    assert site.credentials.find(made["AccessKeyId"], None, site.clock.now()) is None
    site.clock.advance(3600)
    assert site.session(answer) is None


def test_a_session_ends_with_its_role_even_if_the_name_comes_back(site, admin):
    call = site.call(admin)
    role = {"RoleName": "R", "AssumeRolePolicyDocument": trust({"AWS": "*"})}
    arn = site.roles.create_role(call, role)["Role"]["Arn"]
    answer = site.sessions.assume_role(call, {"RoleArn": arn, "RoleSessionName": "s"})
    assert site.session(answer) is not None
    site.roles.delete_role(call, {"RoleName": "R"})
    assert site.session(answer) is None
    site.roles.create_role(call, role)
    assert site.session(answer) is None


def shown_trust(site, admin, name):
    role = site.roles.get_role(site.call(admin), {"RoleName": name})["Role"]
    return json.loads(unquote(role["AssumeRolePolicyDocument"]))["Statement"][0]["Principal"]["AWS"]


def test_a_re_created_user_or_role_is_not_the_one_that_was_trusted(site, admin):
    call, sts = site.call(admin), site.call
    maker = {"RoleName": "Maker", "AssumeRolePolicyDocument": trust({"AWS": admin.account})}
    maker_arn = site.roles.create_role(call, maker)["Role"]["Arn"]
    site.user(admin, "bob")
    bob_arn = f"arn:aws-us-gov:iam::{admin.account}:user/bob"
    session_arn = f"arn:aws-us-gov:sts::{admin.account}:assumed-role/Maker/s"
    for name, who in (("ByUser", bob_arn), ("ByRole", maker_arn), ("BySession", [session_arn])):
        document = trust({"AWS": who})
        made = {"RoleName": name, "AssumeRolePolicyDocument": document}
        site.roles.create_role(call, made)
        assert shown_trust(site, admin, name) == who

    def assumes(name, principal):
        asked = {
            "RoleArn": f"arn:aws-us-gov:iam::{admin.account}:role/{name}", "RoleSessionName": "x",
        }  # fmt: skip
        site.sessions.assume_role(sts(principal, "sts.AssumeRole"), asked)

    def bob():
        found = site.keys.list_access_keys(call, {"UserName": "bob"})["AccessKeyMetadata"]
        return site.credentials.find(found[0]["AccessKeyId"], None, site.clock.now()).principal

    def maker_session():
        answer = site.sessions.assume_role(call, {"RoleArn": maker_arn, "RoleSessionName": "s"})
        return site.session(answer).principal

    assumes("ByUser", bob())
    assumes("ByRole", maker_session())
    assumes("BySession", maker_session())
    key = {"UserName": "bob", "AccessKeyId": bob().access_key_id}
    site.keys.delete_access_key(call, key)
    old = site.users.get_user(call, {"UserName": "bob"})["User"]["UserId"]
    site.users.delete_user(call, {"UserName": "bob"})
    site.roles.delete_role(call, {"RoleName": "Maker"})
    site.user(admin, "bob")
    site.roles.create_role(call, maker)
    assert shown_trust(site, admin, "ByUser") == old
    assert shown_trust(site, admin, "BySession")[0].startswith("AROA")
    refused("AccessDenied", assumes, "ByUser", bob())
    refused("AccessDenied", assumes, "ByRole", maker_session())
    refused("AccessDenied", assumes, "BySession", maker_session())


def test_a_document_that_names_nobody_is_refused(site, admin):
    other = site.administrator("omega")
    site.user(other, "carl")
    call = site.call(admin)
    for who in (
        f"arn:aws-us-gov:iam::{admin.account}:user/nobody",
        f"arn:aws-us-gov:iam::{other.account}:user/carl",
        f"arn:aws-us-gov:sts::{admin.account}:assumed-role/Nobody/s",
        f"arn:aws:iam::{admin.account}:user/administrator",
        "AIDA",
    ):
        document = trust({"AWS": [admin.account, who]})
        asked = {"RoleName": "R", "AssumeRolePolicyDocument": document}
        error = refused("MalformedPolicyDocument", site.roles.create_role, call, asked)
        assert error.message == f'Invalid principal in policy: "AWS":"{who}"'
    kept = site.names.bound(
        admin.account, trust({"AWS": "*", "Service": "sagemaker.amazonaws.com"})
    )
    assert kept == trust({"AWS": "*", "Service": "sagemaker.amazonaws.com"}), "the very text"


def test_durations(site, admin):
    call = site.call(admin)
    role = {"RoleName": "R", "AssumeRolePolicyDocument": trust({"AWS": "*"})}
    asked = {
        "RoleArn": site.roles.create_role(call, role)["Role"]["Arn"],
        "RoleSessionName": "s",
        "DurationSeconds": 7200,
    }
    refused("ValidationError", site.sessions.assume_role, call, asked)
    site.roles.update_role(call, {"RoleName": "R", "MaxSessionDuration": 7200})
    chained = site.session(site.sessions.assume_role(call, asked)).principal
    refused("ValidationError", site.sessions.assume_role, site.call(chained), asked)


def test_session_tokens_of_users(site, admin):
    answer = site.sessions.get_session_token(site.call(admin), {})
    temporary = site.session(answer).principal
    assert temporary.arn == admin.arn
    site.authorizer.authorize(site.call(temporary, "s3.ListBuckets"), {})
    listing = site.call(temporary, "iam.ListUsers")
    refused("InvalidClientTokenId", site.authorizer.authorize, listing, {})


def test_bearer_keys(site, admin):
    call, now = site.call(admin), site.clock.now()
    token = site.agencies.issue_bearer(admin.account)
    assert token.startswith("ABSK")
    assert site.credentials.bearer(token, now).arn == admin.arn
    assert site.credentials.bearer(token + "x", now) is None
    asked = {
        "UserName": "administrator",
        "ServiceName": "bedrock.amazonaws.com",
        "CredentialAgeDays": 1,
    }
    made = site.service_keys.create_service_specific_credential(call, asked)
    secret = made["ServiceSpecificCredential"]["ServiceCredentialSecret"]
    assert site.credentials.bearer(secret, now).arn == admin.arn
    site.clock.advance(86_400)
    assert site.credentials.bearer(secret, site.clock.now()) is None
    name = {
        "ServiceSpecificCredentialId": made["ServiceSpecificCredential"][
            "ServiceSpecificCredentialId"
        ]
    }
    assert site.credentials.bearer(token, site.clock.now()) is not None
    site.service_keys.update_service_specific_credential(
        call,
        {
            "UserName": "administrator",
            "ServiceSpecificCredentialId": site.credentials.bearer(token, now).access_key_id,
            "Status": "Inactive",
        },
    )
    assert site.credentials.bearer(token, site.clock.now()) is None
    site.service_keys.delete_service_specific_credential(call, name)
    for _ in range(3):
        site.agencies.issue_bearer(admin.account)


def test_roles_for_services(site, admin):
    arn = f"arn:aws-us-gov:iam::{admin.account}:role/BastideExecutionRole"
    work = site.service_roles.assume_for_service(admin.account, arn, SERVICE)
    assert site.authorizer.permits(work, "s3:GetObject", "arn:aws-us-gov:s3:::b/k", {})
    assert not site.authorizer.permits(work, "iam:CreateUser", "*", {})
    site.service_roles.check_pass(site.call(admin), arn, SERVICE, JOB)
    only = policy("iam:PassRole", arn, Condition={"StringEquals": {"iam:PassedToService": SERVICE}})
    bob = site.user(admin, "bob", only)
    site.service_roles.check_pass(site.call(bob), arn, SERVICE, JOB)
    for who, role, service in (
        (bob, arn, "bedrock.amazonaws.com"),
        (bob, arn + "x", SERVICE),
        (admin, arn + "x", SERVICE),
    ):
        passing = site.service_roles.check_pass
        refused("AccessDeniedException", passing, site.call(who), role, service, JOB)
    refused(
        "ValidationException", site.service_roles.assume_for_service, admin.account, arn, "x.com"
    )


@pytest.mark.parametrize(
    ("operator", "key", "wanted", "other"),
    [
        ("IpAddress", "aws:SourceIp", "10.0.0.0/8", "192.168.0.0/16"),
        ("StringEquals", "aws:RequestedRegion", REGION.name, "us-gov-east-1"),
        ("Bool", "aws:SecureTransport", "true", "false"),
        ("ArnLike", "iam:AssociatedResourceArn", JOB, JOB + "x"),
        ("StringEquals", "iam:PassedToService", SERVICE, "bedrock.amazonaws.com"),
        ("StringLike", "aws:UserAgent", "boto*", "curl*"),
        ("DateGreaterThan", "aws:CurrentTime", "2020-01-01T00:00:00Z", "2999-01-01T00:00:00Z"),
    ],
)
def test_a_role_is_passed_under_the_condition_keys_of_the_call(
    site, admin, operator, key, wanted, other
):
    arn = f"arn:aws-us-gov:iam::{admin.account}:role/BastideExecutionRole"

    def passes(name, value):
        condition = {operator: {key: value}}
        who = site.user(admin, name, policy("iam:PassRole", arn, Condition=condition))
        call = replace(site.call(who), source_ip="10.1.2.3", user_agent="boto3")
        site.service_roles.check_pass(call, arn, SERVICE, JOB)

    passes("right", wanted)
    refused("AccessDeniedException", passes, "wrong", other)


def test_simulation(site, admin):
    site.user(admin, "bob", policy("s3:*"), policy("s3:PutObject", effect="Deny"))
    asked = {
        "PolicySourceArn": f"arn:aws-us-gov:iam::{admin.account}:user/bob",
        "ActionNames": ["s3:GetObject", "s3:PutObject", "iam:CreateUser"],
    }
    results = site.simulation.simulate_principal_policy(site.call(admin), asked)
    decisions = [each["EvalDecision"] for each in results["EvaluationResults"]]
    assert decisions == ["allowed", "explicitDeny", "implicitDeny"]


def test_pages_and_bad_markers(site, admin):
    call = site.call(admin)
    for n in range(5):
        site.users.create_user(call, {"UserName": f"u{n}"})
    names, marker = [], None
    while True:
        answer = site.users.list_users(call, {"MaxItems": 2, "Marker": marker})
        names += [user["UserName"] for user in answer["Users"]]
        marker = answer.get("Marker")
        if not answer["IsTruncated"]:
            break
    assert names == ["administrator", *(f"u{n}" for n in range(5))]
    refused("InvalidInput", site.users.list_users, call, {"Marker": "é"})


def foreign_cases(account):
    """(handler, parameters, another's name) for everything that takes a name."""
    user, role = {"UserName": "Name"}, {"RoleName": "Name"}
    document = policy("s3:*")
    yield "users.get_user", user
    yield "users.delete_user", user
    yield "users.list_user_policies", user
    yield "users.list_attached_user_policies", user
    yield "users.list_user_tags", user
    yield "users.tag_user", user | {"Tags": [{"Key": "k", "Value": "v"}]}
    yield "users.untag_user", user | {"TagKeys": ["k"]}
    yield "users.put_user_policy", user | {"PolicyName": "p", "PolicyDocument": document}
    yield "users.get_user_policy", user | {"PolicyName": "p"}
    yield "users.delete_user_policy", user | {"PolicyName": "p"}
    yield "keys.list_access_keys", user
    yield "keys.create_access_key", user
    yield "keys.delete_access_key", user | {"AccessKeyId": "AKIA" + "A" * 16}
    yield "service_keys.list_service_specific_credentials", user
    yield "roles.get_role", role
    yield "roles.delete_role", role
    yield "roles.update_role", role | {"Description": "d"}
    yield "roles.list_role_policies", role
    yield "roles.list_attached_role_policies", role
    yield "roles.list_role_tags", role
    yield "roles.put_role_policy", role | {"PolicyName": "p", "PolicyDocument": document}
    yield "roles.get_role_policy", role | {"PolicyName": "p"}
    yield (
        "roles.update_assume_role_policy",
        role | {"PolicyDocument": trust({"AWS": "*"})},
    )
    arn = f"arn:aws-us-gov:iam::{account}"
    yield "policies.get_policy", {"PolicyArn": f"{arn}:policy/Name"}
    yield "policies.get_policy_version", {"PolicyArn": f"{arn}:policy/Name", "VersionId": "v1"}
    yield "policies.delete_policy", {"PolicyArn": f"{arn}:policy/Name"}
    own = {"UserName": "administrator", "PolicyArn": f"{arn}:policy/Name"}
    yield "users.attach_user_policy", own
    yield "users.detach_user_policy", own
    yield (
        "simulation.simulate_principal_policy",
        {
            "PolicySourceArn": f"{arn}:user/Name",
            "ActionNames": ["s3:x"],
        },
    )
    yield "sessions.assume_role", {"RoleArn": f"{arn}:role/Name", "RoleSessionName": "s"}


def test_another_agency_s_things_answer_as_what_does_not_exist(site, admin):
    other = site.administrator("omega")
    call = site.call(other)
    site.user(other, "Name", policy("s3:*"))
    site.roles.create_role(
        call, {"RoleName": "Name", "AssumeRolePolicyDocument": trust({"AWS": "*"})}
    )
    site.policies.create_policy(call, {"PolicyName": "Name", "PolicyDocument": policy("s3:*")})
    mine = site.call(admin)
    for path, params in foreign_cases(other.account):
        noun, _, verb = path.partition(".")
        handler = getattr(getattr(site, noun), verb)
        with pytest.raises(ServiceError) as theirs:
            handler(mine, params)
        absent = json.loads(
            json.dumps(params)
            .replace('Name"}', 'Xame"}')
            .replace("/Name", "/Xame")
            .replace('": "Name"', '": "Xame"')
        )
        with pytest.raises(ServiceError) as nothing:
            handler(mine, absent)
        assert theirs.value.code == nothing.value.code, path
        assert theirs.value.status == nothing.value.status, path
        assert theirs.value.message == nothing.value.message.replace("Xame", "Name"), path


def test_the_authorizer_never_leaves_the_account(site, admin):
    other = site.administrator("omega")
    site.roles.create_role(
        site.call(other), {"RoleName": "Open", "AssumeRolePolicyDocument": trust({"AWS": "*"})}
    )
    call = site.call(admin, "sts.AssumeRole")
    answers = [
        refused(
            "AccessDenied",
            site.authorizer.authorize,
            call,
            {"RoleArn": f"arn:aws-us-gov:iam::{other.account}:role/{name}"},
        ).message.replace(name, "")
        for name in ("Open", "None")
    ]
    assert answers[0] == answers[1]


def test_an_unknown_principal_may_do_nothing(site, admin):
    ghost = replace(admin, issuer_arn=admin.arn + "x", kind=PrincipalKind.USER)
    assert isinstance(ghost, Principal)
    refused("AccessDenied", site.authorizer.authorize, site.call(ghost, "s3.ListBuckets"), {})


def test_documents_are_checked_before_they_are_stored(site, admin):
    call = site.call(admin)
    for text in ("", "{", "[]", policy("s3"), trust({"AWS": "*"}), policy("s3:*", "x")):
        asked = {"UserName": "administrator", "PolicyName": "p", "PolicyDocument": text}
        refused("MalformedPolicyDocument", site.users.put_user_policy, call, asked)
    long = policy("s3:*", [f"arn:aws:s3:::{n:0100}" for n in range(30)])
    asked = {"UserName": "administrator", "PolicyName": "p", "PolicyDocument": long}
    refused("LimitExceeded", site.users.put_user_policy, call, asked)
