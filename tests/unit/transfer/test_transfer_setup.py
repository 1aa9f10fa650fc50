"""What an agency is, from one region's names to another's, and what is to be called for it."""

import json
from dataclasses import replace as changed

import msgspec
import pytest
from tests.transfer_kit import HIGH, LOW, Crowd, Held, Put, gate_of, made, sent, took, trusting
from tests.unit.transfer.test_transfer_filters import through

from bastide.kernel.approvals import canonical
from bastide.kernel.regions import Region
from bastide.transfer import setup
from bastide.transfer.filters.model import BadItem
from bastide.transfer.model import Refused
from bastide.transfer.releases import Target
from bastide.transfer.setting_up import SettingUp
from bastide.transfer.setup import Bucket, Holder, Place, Policy, Setup

GOV = Place(partition="aws-us-gov", region=LOW, account="123456789012")
ISO = Place(partition="aws-iso", region=HIGH, account="210987654321")
READ = '{"Effect":"Allow","Resource":"arn:aws-us-gov:s3:::b/*","Action":"s3:GetObject"}'
TRUST = '{"Principal":{"AWS":"arn:aws-us-gov:iam::123456789012:user/ann"}}'
POLICY = Policy(name="read", path="/", document=READ)
GROUP = Holder(kind="Group", name="staff", path="/", inline={"some": READ})
USER = Holder(kind="User", name="ann", path="/", groups=["staff"], tags={"a": "b"},
              attached=["arn:aws-us-gov:iam::123456789012:policy/read"])  # fmt: skip
ROLE = Holder(kind="Role", name="learner", path="/", trust=TRUST, session_s=3600)
BUCKET = Bucket(name="b", versioning="Enabled", policy=READ, tags={"c": "d"})
WHOLE = Setup(agency="office", policies=[POLICY], holders=[ROLE, USER, GROUP], buckets=[BUCKET])
NONE = Setup(agency="office")


def named(wanted, have=NONE):
    return [step.operation for step in setup.steps(wanted, have, GOV)]


def test_all_of_it_is_made_in_an_order_that_works():
    assert named(WHOLE) == [
        "iam.CreatePolicy", "iam.CreateGroup", "iam.PutGroupPolicy", "iam.CreateUser",
        "iam.AddUserToGroup", "iam.AttachUserPolicy", "iam.CreateRole", "s3.CreateBucket",
        "s3.PutBucketVersioning", "s3.PutBucketTagging", "s3.PutBucketPolicy",
    ]  # fmt: skip


def test_what_is_there_already_is_left_alone():
    assert named(WHOLE, WHOLE) == []
    assert named(NONE, WHOLE) == []  # and nothing is taken away


def with_(thing, **said):
    return msgspec.structs.replace(thing, **said)


OTHER = '{"Effect":"Deny"}'


@pytest.mark.parametrize(("wanted", "operation"), [
    (with_(WHOLE, policies=[with_(POLICY, document=OTHER)]), "iam.CreatePolicyVersion"),
    (with_(WHOLE, holders=[with_(GROUP, inline={"some": OTHER})]), "iam.PutGroupPolicy"),
    (with_(WHOLE, holders=[with_(USER, tags={"a": "c"})]), "iam.TagUser"),
    (with_(WHOLE, holders=[with_(USER, boundary="arn:x")]), "iam.PutUserPermissionsBoundary"),
    (with_(WHOLE, holders=[with_(ROLE, trust=OTHER)]), "iam.UpdateAssumeRolePolicy"),
    (with_(WHOLE, holders=[with_(ROLE, session_s=7200)]), "iam.UpdateRole"),
    (with_(WHOLE, buckets=[with_(BUCKET, policy=OTHER)]), "s3.PutBucketPolicy"),
    (with_(WHOLE, buckets=[with_(BUCKET, versioning="Suspended")]), "s3.PutBucketVersioning"),
])  # fmt: skip
def test_what_differs_is_changed_and_nothing_else(wanted, operation):
    assert named(wanted, WHOLE) == [operation]


def test_a_step_says_in_words_what_is_granted():
    told = "\n".join(step.does for step in setup.steps(WHOLE, NONE, GOV))
    for words in ("create the user ann", f"whom this trusts: {TRUST}", "to the group staff",
                  f"create the policy read: {READ}", "create the bucket b"):  # fmt: skip
        assert words in told


def test_names_become_those_of_where_it_arrives():
    data = setup.encoded(WHOLE, GOV)
    for own in (GOV.region, GOV.account, "aws-us-gov"):
        assert own.encode() not in data
    assert setup.decoded(data, GOV) == WHOLE
    arrived = setup.decoded(data, ISO)
    (role, user, _) = arrived.holders
    assert user.attached == ["arn:aws-iso:iam::210987654321:policy/read"]
    assert "arn:aws-iso:iam::210987654321:user/ann" in role.trust
    new = setup.decoded(data, changed(ISO, account="@account@"))
    assert new.holders[1].attached == ["arn:aws-iso:iam::@account@:policy/read"]


def spoiled(**said):
    return msgspec.json.encode(msgspec.to_builtins(WHOLE) | said)


@pytest.mark.parametrize("data", [
    b"", b"[]", b"{", b"\xff", b'{"agency": 1}',
    spoiled(access_keys=[{"id": "AKIA", "secret": "x"}]),
    spoiled(clearances=[{"user": "ann", "label": "S"}]),
    spoiled(holders=[{"kind": "User", "name": "a/b", "path": "/"}]),
    spoiled(holders=[{"kind": "Key", "name": "ann", "path": "/"}]),
    spoiled(holders=[{"kind": "User", "name": "ann", "path": "/", "password": "x"}]),
    spoiled(holders=[{"kind": "User", "name": "ann", "path": "/"}] * 2),
    spoiled(buckets=[{"name": "b"}] * 2),
    spoiled(buckets=[{"name": "../b"}]),
])  # fmt: skip
def test_what_is_no_set_up_is_refused(data):
    with pytest.raises(Refused):
        setup.decoded(data)
    with pytest.raises(BadItem):
        through(Held("office.json", data, kind="agency-setup"))


def test_a_set_up_is_one_under_its_own_kind_and_ending_alone():
    data = setup.encoded(WHOLE, GOV)
    through(Held("office.json", data, kind="agency-setup"))
    with pytest.raises(BadItem):
        through(Held("office.txt", data, kind="agency-setup"))


TARGET = Target(account="", bucket="", prefix="", agency="office")


def arrived(tmp_path, **high):
    """A set-up in a region that releases what comes from below by itself."""
    low, crowd = gate_of(tmp_path / "low", LOW, "U"), Crowd()
    gate = gate_of(tmp_path / "high", HIGH, "S", approvals=crowd, automatic_from=(LOW,), **high)
    trusting(gate, low)
    trusting(low, gate)
    bundle = made(low, Held("office.json", setup.encoded(WHOLE, GOV), kind="agency-setup"))
    sent(low, bundle, tmp_path / "spool")
    took(gate, tmp_path / "spool")
    list(gate.line.run(gate.named(bundle.digest), gate.rules(gate.named(bundle.digest))))
    crowd.people.clear()
    return gate, bundle.digest, crowd


def test_it_is_never_released_by_nobody_and_what_it_does_is_signed(tmp_path):
    shelves = Put(plan=["create the agency office"])
    gate, digest, crowd = arrived(tmp_path, shelves=shelves)
    with pytest.raises(Refused, match="2 people"):
        list(gate.release(digest, TARGET))
    assert crowd.asked[-1].facts["does"] == "create the agency office"
    shelves.plan.append("create the user eve")
    with pytest.raises(Refused, match="2 people"):
        list(gate.release(digest, TARGET))
    assert crowd.asked[-1].digest != crowd.asked[-2].digest
    crowd.people += ["ann", "bob"]
    *_, last = gate.release(digest, TARGET)
    assert last["released"].people == ["ann", "bob"]


def test_more_than_officers_can_be_shown_is_refused(tmp_path):
    gate, digest, _ = arrived(tmp_path, shelves=Put(plan=["x" * (1 << 20) + "x"]))
    with pytest.raises(Refused, match="more than officers can be shown"):
        list(gate.release(digest, TARGET))


def test_a_long_plan_is_part_of_the_action_to_its_last_word(tmp_path):
    plan = [f'put the policy p{number} {{"Sid": "{"s" * 80}"}}' for number in range(9_000)]
    gate, digest, crowd = arrived(tmp_path, shelves=Put(plan=plan))
    with pytest.raises(Refused, match="2 people"):
        list(gate.release(digest, TARGET))
    does = crowd.asked[-1].facts["does"]
    assert len(does.encode()) > 900_000
    assert does.split("\n") == plan
    assert json.loads(canonical(crowd.asked[-1].facts))["does"] == does


class BreakingOff(Put):
    """Shelves whose first `finish` ends half-way."""

    broken = False

    def finish(self, target, items, read, plan):
        if not self.broken:
            self.broken = True
            raise Refused("it broke off")
        assert read(items[0])
        return iter(["the rest"])


def test_one_that_broke_off_goes_on_as_it_was_agreed(tmp_path):
    """By then the agency is there, so that the plan would be another and it has an account."""
    shelves = BreakingOff(plan=["create the agency office"])
    gate, digest, crowd = arrived(tmp_path, shelves=shelves)
    crowd.people += ["ann", "bob"]
    with pytest.raises(Refused, match="broke off"):
        list(gate.release(digest, TARGET))
    shelves.plan.clear()
    used = len(crowd.used)
    *_, last = gate.release(digest, with_(TARGET, account=ISO.account))
    assert last["released"].done
    assert len(crowd.used) == used


def test_one_that_broke_off_goes_on_for_the_same_agency_alone(tmp_path):
    """Two people agreed to an agency that was not there; one who asks again names another's."""
    gate, digest, crowd = arrived(tmp_path, shelves=BreakingOff(plan=["create the agency office"]))
    crowd.people += ["ann", "bob"]
    with pytest.raises(Refused, match="broke off"):
        list(gate.release(digest, TARGET))
    with pytest.raises(Refused, match="another place"):
        list(gate.release(digest, with_(TARGET, account=ISO.account, agency="victim")))
    *_, last = gate.release(digest, with_(TARGET, account=ISO.account))
    assert last["released"].done


def test_one_that_broke_off_goes_on_in_the_same_account_alone(tmp_path):
    gate, digest, crowd = arrived(tmp_path, shelves=BreakingOff())
    crowd.people += ["ann", "bob"]
    mine, victims = with_(TARGET, account=ISO.account), with_(TARGET, account=GOV.account)
    with pytest.raises(Refused, match="broke off"):
        list(gate.release(digest, mine))
    with pytest.raises(Refused, match="another place"):
        list(gate.release(digest, with_(victims, agency="victim")))
    *_, last = gate.release(digest, mine)
    assert last["released"].done


def test_each_step_is_one_line_of_what_is_signed(tmp_path):
    """JSON and descriptions may hold ends of lines; a step's end is none of theirs."""
    plan = ["create the role r: {\n}", "let sessions last 1 s: x\r\ncreate the user eve\u2028y"]
    gate, digest, crowd = arrived(tmp_path, shelves=Put(plan=plan))
    with pytest.raises(Refused, match="2 people"):
        list(gate.release(digest, TARGET))
    assert len(crowd.asked[-1].facts["does"].splitlines()) == 2


def test_all_that_a_new_one_has_is_said():
    tags, more = {"clearance": "S"}, "arn:aws-us-gov:iam::aws:policy/None"
    whole = Setup(
        agency="office",
        policies=[with_(POLICY, path="/p/", description="of\nall", tags=tags)],
        holders=[
            with_(GROUP, path="/g/"),
            with_(USER, path="/u/", tags=tags, boundary=more),
            with_(ROLE, path="/r/", tags=tags, boundary=more, description="d", session_s=43200),
        ],
    )
    told = {step.operation: step.does for step in setup.steps(whole, NONE, GOV)}
    for operation, words in {
        "iam.CreatePolicy": ("/p/", "clearance", r'"of\nall"'),
        "iam.CreateGroup": ("/g/",),
        "iam.CreateUser": ("/u/", "clearance", more),
        "iam.CreateRole": ("/r/", "clearance", more, '"d"', "43200"),
    }.items():
        for each in words:
            assert each in told[operation]


class Books:
    """A region whose one agency has users, and nothing else; remembers what was done."""

    def __init__(self):
        self.users, self.there, self.done = [], True, []

    def find(self, agency):
        return self if self.there else None

    account_id = ISO.account

    def create(self, agency):
        self.there = True
        return self

    def told(self, action, facts):
        self.done.append(action)

    def read(self, account, operation, params):
        if operation == "s3.ListBuckets":
            return {"Buckets": []}
        users = [{"UserName": name, "Path": "/", "UserPolicyList": [],
                  "AttachedManagedPolicies": []} for name in self.users]  # fmt: skip
        return {"UserDetailList": users, "RoleDetailList": [], "GroupDetailList": [],
                "Policies": []}  # fmt: skip

    def do(self, account, operation, params):
        self.done.append(operation)


ALONE = setup.encoded(Setup(agency="office", holders=[
    Holder(kind="User", name="ann", path="/", inline={"own": TRUST}),
]), GOV)  # fmt: skip


@pytest.fixture
def books():
    return Books()


@pytest.fixture
def setting_up(books):
    region = Region(HIGH, ISO.partition, "example.org")
    return SettingUp(region=region, agencies=books, inside=books)


def test_nothing_is_done_that_was_not_in_the_plan(books, setting_up):
    books.users.append("ann")
    plan = setting_up.plan("office", ALONE)
    assert [one.split(" the policy ")[0] for one in plan] == ["give the user ann"]
    books.users.clear()  # while two people read that, or while weights are put
    with pytest.raises(Refused, match="nobody agreed that it should create the user ann"):
        list(setting_up.apply("office", ALONE, plan))
    books.there = False
    with pytest.raises(Refused, match="nobody agreed that it should create the agency"):
        list(setting_up.apply("office", ALONE, plan))
    assert books.done == []


def test_the_plan_of_an_agency_that_was_not_there_holds_when_it_is(books, setting_up):
    books.there = False
    plan = setting_up.plan("office", ALONE)
    assert "@account@" in plan[-1]
    list(setting_up.apply("office", ALONE, plan))
    assert books.done == ["CreateAgency", "iam.CreateUser", "iam.PutUserPolicy"]
    books.users.append("ann")  # it broke off after this
    list(setting_up.apply("office", ALONE, plan))
    assert books.done[3:] == ["iam.PutUserPolicy"]
