"""What an agency is, from one region's names to another's, and what is to be called for it."""

from dataclasses import replace as changed

import msgspec
import pytest
from tests.transfer_kit import HIGH, LOW, Crowd, Held, Put, gate_of, made, sent, took, trusting
from tests.unit.transfer.test_transfer_filters import through

from bastide.transfer import setup
from bastide.transfer.filters.model import BadItem
from bastide.transfer.model import Refused
from bastide.transfer.releases import Target
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
    gate, digest, _ = arrived(tmp_path, shelves=Put(plan=["x" * 40_000]))
    with pytest.raises(Refused, match="more than officers can be shown"):
        list(gate.release(digest, TARGET))


class BreakingOff(Put):
    """Shelves whose first `finish` ends half-way."""

    broken = False

    def finish(self, target, items, read):
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
