"""What crosses between two accounts: a share, the bucket's policy and the caller's, all of them."""

from dataclasses import replace

import pytest
from tests.labels_kit import at
from tests.policy_kit import ME, OTHER, USER, Desk, a_call, document, principal, statement

from bastide.kernel.call import Crossed
from bastide.policy.action_table import NEEDS
from bastide.policy.sharing import Shared

S3 = "arn:aws-us-gov:s3:::"
ALIAS = "data-0-s3alias"
THERE = {"Bucket": ALIAS, "Key": "in/k"}
ACCOUNT = {"AWS": f"arn:aws-us-gov:iam::{ME}:root"}
ANN = "AIDAANN000000000"
MINE = statement("s3:*", S3 + "data*")
TEXT = "because no resource-based policy allows the s3:GetObject action"


def opened(*theirs, prefix="in/", mine=(MINE,), **held):
    """`theirs`: the statements of the owner's bucket policy; those that let all in by default."""
    policy = document(*(theirs or (statement("s3:*", Principal=ACCOUNT),)))
    shared = Shared(owner=OTHER, bucket="data", prefix=prefix, policy=policy)
    return Desk(*mine, shares={(ME, ALIAS): shared}, **held)


def refused(desk, user_id=ANN):
    found = desk.refusal("s3.GetObject", THERE, who=principal(user_id=user_id))
    return found and (found.code, found.message.partition(" on resource: ")[2])


def test_what_both_allow_is_read_and_known_to_be_the_others():
    desk, call = opened(), a_call("s3.GetObject")
    desk.authorizer.authorize(call, THERE)
    assert call.notes.crossed == Crossed(OTHER, S3 + "data/in/k")
    own = a_call("s3.GetObject")
    desk.authorizer.authorize(own, {"Bucket": "data", "Key": "k"})
    assert own.notes.crossed is None


HERE = {"StringEquals": {"aws:ResourceAccount": ME}}
TAGGED = {"StringEquals": {"s3:ExistingObjectTag/a": "1"}}


@pytest.mark.parametrize(
    "theirs",
    [
        [statement("s3:*", Principal="*")],
        [statement("s3:*", Principal={"AWS": "*"})],
        [statement("s3:*", NotPrincipal={"AWS": OTHER})],
        [statement("s3:*", Principal={"AWS": OTHER})],
        [statement("s3:*", Principal={"Service": "s3.amazonaws.com"})],
        [statement("s3:PutObject", Principal=ACCOUNT)],
        [statement("s3:*", S3 + ALIAS + "/*", Principal=ACCOUNT)],
        [statement("s3:*", Principal=ACCOUNT, Condition=HERE)],
        [statement("s3:*", Principal=ACCOUNT, Condition=TAGGED)],
        [statement("s3:*", Principal=ACCOUNT), statement("*", effect="Deny", Principal="*")],
        [statement("s3:*", Principal=ACCOUNT),
         statement("*", effect="Deny", Principal={"AWS": ANN})],
    ],
)  # fmt: skip
def test_a_bucket_policy_that_does_not_name_the_reader_opens_nothing(theirs):
    assert refused(opened(*theirs)) == ("AccessDenied", f"{S3}{ALIAS}/in/k {TEXT}")


@pytest.mark.parametrize(
    "more",
    [
        {"mine": (statement("iam:*"),)},
        {"mine": (statement("s3:*", S3 + ALIAS + "*"),)},
        {"mine": (statement("s3:*", S3 + "data*", Condition=HERE),)},
        {"mine": (MINE, statement("s3:*", S3 + "data/in/*", "Deny"))},
        {"boundaries": {USER: document(statement("iam:*"))}},
        {"prefix": "out/"},
        {"labels": {f"{S3}{ALIAS}/in/k": "S"}},
    ],
)
def test_all_else_that_must_allow_it_refuses_with_the_same_words(more):
    """Who is named in person still needs its own policies' word across accounts."""
    for who in (ACCOUNT, {"AWS": ANN}, {"AWS": f"{ANN}:s"}):
        desk = opened(statement("s3:*", Principal=who), **more)
        assert refused(desk) == refused(desk, user_id=f"{ANN}:s")
        assert refused(desk) == refused(Desk(MINE)) == ("AccessDenied", f"{S3}{ALIAS}/in/k {TEXT}")


def test_a_session_policy_narrows_it_too():
    who = principal(session_policies=(document(statement("s3:ListBucket")),))
    assert not opened().allows("s3.GetObject", THERE, who=who)
    assert opened().allows("s3.GetObject", THERE)


def test_a_reader_above_reads_down():
    assert opened().allows("s3.GetObject", THERE, who=replace(principal(), **at("S")))


def test_tags_of_the_object_decide_in_both():
    allow = statement("s3:*", Principal=ACCOUNT, Condition=TAGGED)
    assert opened(allow, tagged={f"{S3}{ALIAS}/in/k": {"a": "1"}}).allows("s3.GetObject", THERE)


READING = {
    "s3.GetObject", "s3.HeadObject", "s3.HeadBucket", "s3.ListObjects", "s3.ListObjectsV2",
    "s3.GetObjectAttributes",
    "s3.SelectObjectContent",  # which has no handler
}  # fmt: skip
KEY_BY_KEY = {"s3.ListBuckets", "s3.DeleteObjects"}  # no bucket; asked for each key


@pytest.mark.parametrize("operation", sorted(o for o in NEEDS if o.startswith("s3.")))
def test_only_what_reads_is_allowed_whatever_the_policies_of_both_say(operation):
    desk = opened(statement("*", Principal=ACCOUNT), mine=(statement("*"),), prefix="")
    allowed = desk.allows(operation, THERE | {"CopySource": "own/k"})
    assert allowed is (operation in READING | KEY_BY_KEY)
    standing = desk.authorizer.standing(a_call(operation), {})
    assert not standing.permits("s3:DeleteObject", f"{S3}{ALIAS}/in/k")
    assert standing.permits("s3:GetObject", f"{S3}{ALIAS}/in/k")


@pytest.mark.parametrize("operation", ["s3.CopyObject", "s3.UploadPartCopy"])
def test_a_copy_reads_there_and_writes_here(operation):
    desk, call = opened(mine=(statement("s3:*"),)), a_call(operation)
    params = {"Bucket": "own", "Key": "k", "CopySource": f"{ALIAS}/in/k"}
    desk.authorizer.authorize(call, params)
    assert call.notes.crossed == Crossed(OTHER, S3 + "data/in/k")
    assert not desk.allows(operation, params | {"CopySource": f"{ALIAS}/out/k"})


def test_a_listing_asks_below_the_prefix():
    for prefix, allowed in (("in/", True), ("in/more", True), ("i", False), (None, False)):
        asked = {} if prefix is None else {"Prefix": prefix}
        assert opened().allows("s3.ListObjectsV2", {"Bucket": ALIAS, **asked}) is allowed
