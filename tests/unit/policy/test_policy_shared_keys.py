"""The key of another account that a shared object is under: who says yes to its use."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from tests.labels_kit import at
from tests.policy_kit import ME, OTHER, USER, Desk, document, principal, statement

from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError

ID = "0e5b1b0d-0000-4000-8000-000000000001"
KEY = f"arn:aws-us-gov:kms:us-gov-west-1:{OTHER}:key/{ID}"
VIA = "s3.us-gov-west-1.amazonaws.com"
OBJECT = {"aws:s3:arn": "arn:aws-us-gov:s3:::data/in/k"}
ACCOUNT = {"AWS": f"arn:aws-us-gov:iam::{ME}:root"}
ANN = "AIDAANN000000000"
DECRYPT = "kms:Decrypt"
MINE = statement(DECRYPT, KEY)


class Keys(Desk):
    """The desk, with one key of the other account. `theirs`: the statements of its policy."""

    def __init__(self, *theirs, mine=(MINE,), label="U", **held):
        policy = document(*(theirs or (statement(DECRYPT, Principal=ACCOUNT),)))
        labels = {KEY: label} if label else {}
        super().__init__(*mine, keys={ID: [("key-policy", policy)]}, labels=labels, **held)

    def told(self, key=KEY, who=None, owner=OTHER):
        """None if the key may open the object, else the error."""
        try:
            self.authorizer.require_shared_key(who or principal(), owner, key, OBJECT, VIA)
        except ServiceError as error:
            return error.code, error.message.partition(" on resource: ")[2]
        return None


def test_what_the_owners_key_policy_and_the_callers_own_allow_is_opened():
    assert Keys().told() is None
    assert Keys().told(who=replace(principal(), **at("S"))) is None


@pytest.mark.parametrize(
    ("key", "value", "wrong"),
    [
        ("kms:ViaService", VIA, "ec2.us-gov-west-1.amazonaws.com"),
        ("kms:CallerAccount", ME, OTHER),
        ("aws:ResourceAccount", OTHER, ME),
        ("aws:PrincipalArn", USER, f"{USER}-2"),
        ("kms:EncryptionContext:aws:s3:arn", OBJECT["aws:s3:arn"], "arn:aws-us-gov:s3:::data/x"),
        ("aws:ResourceTag/a", "1", "2"),
    ],
)
def test_conditions_of_both_policies_hold(key, value, wrong):
    for said, opened in ((value, True), (wrong, False)):
        asked = {"Condition": {"StringEquals": {key: said}}}
        tagged = {KEY: {"a": "1"}}
        theirs = statement(DECRYPT, Principal=ACCOUNT, **asked)
        assert (Keys(theirs, tagged=tagged).told() is None) is opened
        mine = statement(DECRYPT, KEY, **asked)
        assert (Keys(mine=(mine,), tagged=tagged).told() is None) is opened


@pytest.mark.parametrize("asked", [
    {"DateGreaterThan": {"aws:CurrentTime": "2026-06-01T00:00:00Z"}},
    {"NumericGreaterThan": {"aws:EpochTime": "1780272000"}},
])  # fmt: skip
def test_a_deny_from_a_day_on_holds_from_that_day_on(asked):
    """No call tells the time here; a condition on what is not there would never be met."""
    deny = statement("*", effect="Deny", Principal="*", Condition=asked)
    mine = statement("*", "*", effect="Deny", Condition=asked)
    allow = statement(DECRYPT, Principal=ACCOUNT)
    stage = statement("s3:GetObject", "*")
    bucket = "arn:aws-us-gov:s3:::b/k"
    for month, opened in ((5, True), (6, False)):
        clock = ManualClock(datetime(2026, month, 2, tzinfo=UTC))
        for desk in (Keys(allow, deny), Keys(allow, mine=(MINE, mine))):
            desk.authorizer = replace(desk.authorizer, clock=clock)
            assert (desk.told() is None) is opened
        jobs = replace(Desk(stage, mine).authorizer, clock=clock)
        assert jobs.permits(principal(), "s3:GetObject", bucket, {}) is opened


@pytest.mark.parametrize("key", ["aws:ResourceTag/a", "kms:ResourceAliases"])
def test_a_deny_by_what_the_owner_calls_its_key_holds(key):
    asked = {"ForAnyValue:StringEquals": {key: ["1", "alias/1"]}}
    deny = statement("*", effect="Deny", Principal="*", Condition=asked)
    held = {"tagged": {KEY: {"a": "1"}}, "aliases": {ID: ["alias/1"]}}
    assert Keys(statement(DECRYPT, Principal=ACCOUNT), deny).told() is None
    assert Keys(statement(DECRYPT, Principal=ACCOUNT), deny, **held).told() is not None


@pytest.mark.parametrize(
    ("theirs", "more"),
    [
        ([statement(DECRYPT, Principal="*")], {}),
        ([statement(DECRYPT, Principal={"AWS": OTHER})], {}),
        ([statement("kms:Encrypt", Principal=ACCOUNT)], {}),
        ([statement("*", Principal=ACCOUNT), statement("*", effect="Deny", Principal="*")], {}),
        ([], {"mine": (statement("s3:*"),)}),
        ([statement("*", Principal={"AWS": ANN})], {"mine": (statement("s3:*"),)}),
        ([], {"mine": (MINE, statement("kms:*", effect="Deny"))}),
        ([], {"boundaries": {USER: document(statement("s3:*"))}}),
        ([], {"label": "S"}),
        ([], {"label": None}),
    ],
)
def test_whatever_refuses_the_caller_reads_the_same_words(theirs, more):
    text = f"{KEY} because no resource-based policy allows the kms:Decrypt action"
    assert Keys(*theirs, **more).told(who=principal(user_id=ANN)) == ("AccessDenied", text)


def test_it_is_a_key_of_the_owners_and_of_nobody_elses():
    for account in (ME, "777788889999"):
        assert Keys(mine=(statement("*"),)).told(KEY.replace(OTHER, account)) is not None


def test_a_session_policy_narrows_it_too():
    who = principal(session_policies=(document(statement("s3:*")),))
    assert Keys().told(who=who) is not None


@pytest.mark.parametrize("operation", ["Decrypt", "Encrypt", "GenerateDataKey", "DescribeKey"])
def test_no_call_of_kms_itself_reaches_across(operation):
    desk = Keys(statement("*", Principal=ACCOUNT), mine=(statement("*"),))
    found = desk.refusal(f"kms.{operation}", {"KeyId": KEY, "CiphertextBlob": b"x"})
    assert found.code == "AccessDeniedException"
    with pytest.raises(ServiceError):
        desk.authorizer.require_key(principal(), "kms:GenerateDataKey", KEY, OBJECT, VIA)
