"""Labels over the wire: what sessions of one agency at several labels see of one another."""

import json

import pytest
from botocore.exceptions import ClientError
from tests.officers_live import Desk
from tests.walls_live import People, walled

WHERE = {"LocationConstraint": "us-gov-west-1"}
HEADER = "x-bastide-label"


@pytest.fixture(scope="module")
def people(tmp_path_factory):
    region = walled(tmp_path_factory.mktemp("walls"))
    try:
        made = People(region, Desk(region, tmp_path_factory.mktemp("officers")))
        made.begin()
        yield made
    finally:
        region.stop()


def refused(code, work, **asked):
    with pytest.raises(ClientError) as caught:
        work(**asked)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value.response


def label_of(answer):
    return answer["ResponseMetadata"]["HTTPHeaders"][HEADER]


def test_every_answer_says_its_label(people):
    low, high = people.at("U", "sts"), people.at("S//SI", "sts")
    assert label_of(low.get_caller_identity()) == "U"
    assert label_of(high.get_caller_identity()) == "S//SI"
    gone = refused("NoSuchBucket", people.at("S//SI").list_objects_v2, Bucket="nothing")
    assert label_of(gone) == "S//SI"


def test_data_goes_up_and_never_down(people):
    low, high = people.at("U"), people.at("S//SI")
    low.create_bucket(Bucket="shared", CreateBucketConfiguration=WHERE)
    low.put_object(Bucket="shared", Key="open", Body=b"open")
    answer = high.put_object(Bucket="shared", Key="closed", Body=b"closed")
    assert label_of(answer) == "S//SI"
    found = high.get_object(Bucket="shared", Key="open")
    assert (found["Body"].read(), label_of(found)) == (b"open", "U")
    assert label_of(high.get_object(Bucket="shared", Key="closed")) == "S//SI"
    assert [each["Key"] for each in low.list_objects_v2(Bucket="shared")["Contents"]] == ["open"]
    above = refused("NoSuchKey", low.get_object, Bucket="shared", Key="closed")
    absent = refused("NoSuchKey", low.get_object, Bucket="shared", Key="absent")
    for answer in (above, absent):
        answer["Error"].pop("Key")
        answer["Error"].pop("RequestId", None)
    assert above["Error"] == absent["Error"]
    down = {"Bucket": "shared", "Key": "x", "Body": b"", "Tagging": "bastide:label=U"}
    refused("AccessDenied", high.put_object, **down)
    refused("AccessDenied", high.delete_object, Bucket="shared", Key="open")


def test_a_clearance_bounds_a_session_and_two_officers_grant_it(people):
    refused("ValidationError", people.assume, label="TS//HCS-P")  # the region is not for it
    iam = people.region.client("iam", people.agency)
    iam.create_user(UserName="newcomer")
    iam.put_user_policy(
        UserName="newcomer",
        PolicyName="all",
        PolicyDocument=json.dumps(
            {
                "Version": "2012-10-17",
                "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
            }
        ),
    )
    key = iam.create_access_key(UserName="newcomer")["AccessKey"]
    keys = {**key, "SessionToken": None}
    sts = people.with_keys(keys, "sts")
    with pytest.raises(ClientError, match="not authorized to work at S"):
        people.assume("S", sts)
    people.clear("user/newcomer", "S")
    session = people.assume("S", sts)
    assert label_of(people.with_keys(session, "sts").get_caller_identity()) == "S"
    with pytest.raises(ClientError, match="not authorized to work at TS"):
        people.assume("TS", sts)
    people.region.cli("clearance", "revoke", "user/newcomer", "--agency", people.agency)
    with pytest.raises(ClientError, match="not authorized to work at S"):
        people.assume("S", sts)


def test_a_chain_of_roles_goes_no_lower(people):
    high = people.at("S//SI", "sts")
    with pytest.raises(ClientError, match="not authorized to work at U"):
        people.assume("U", high)
    higher = people.assume("TS//SI", high)
    assert label_of(people.with_keys(higher, "sts").get_caller_identity()) == "TS//SI"


def test_a_session_above_the_default_changes_nothing_of_iam(people):
    high = people.at("S", "iam")
    assert high.list_users()["Users"]
    with pytest.raises(ClientError, match="because the label of the session"):
        high.create_user(UserName="told-you-so")
    with pytest.raises(ClientError, match="because the label of the session"):
        high.tag_user(UserName="administrator", Tags=[{"Key": "a", "Value": "b"}])


def test_labels_survive_kill_9(people):
    high = people.at("TS//SI")
    high.create_bucket(Bucket="kept", CreateBucketConfiguration=WHERE)
    high.put_object(Bucket="kept", Key="k", Body=b"kept")
    people.region.kill()
    people.region.start()
    assert people.at("TS//SI").get_object(Bucket="kept", Key="k")["Body"].read() == b"kept"
    refused("NoSuchBucket", people.at("U").list_objects_v2, Bucket="kept")


def test_a_raised_buckets_policy_is_not_remembered_below(people):
    """A bucket that went up answers like one that never was, its own denials included."""
    low = people.at("U")
    bucket = {"Bucket": "raised-with-policy"}
    low.create_bucket(**bucket, CreateBucketConfiguration=WHERE)
    deny = {
        "Effect": "Deny", "Principal": "*", "Action": "s3:GetObject",
        "Resource": "arn:aws-us-gov:s3:::raised-with-policy/*",
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    low.put_bucket_policy(**bucket, Policy=policy)
    refused("AccessDenied", low.get_object, **bucket, Key="k")
    tags = {"TagSet": [{"Key": "bastide:label", "Value": "S"}]}
    low.put_bucket_tagging(**bucket, Tagging=tags)
    refused("NoSuchBucket", low.get_object, **bucket, Key="k")
    refused("AccessDenied", people.at("S").get_object, **bucket, Key="k")


def shown(people, arn, check=True):
    words = ("label", "show", arn, "--agency", people.agency, "--json")
    done = people.region.cli(*words, check=check)
    return json.loads(done.stdout) if done.stdout else done.stderr


def edges(people, arn):
    found = shown(people, arn)["edges"]
    return [
        (each["label"], each["from_arn"].rpartition(":")[2], each["from_label"]) for each in found
    ]


def test_label_show_knows_keys_and_log_groups_too(people):
    kms, logs = people.at("S//SI", "kms"), people.at("S//SI", "logs")
    key = kms.create_key()["KeyMetadata"]["Arn"]
    logs.create_log_group(logGroupName="/closed")
    account = people.region.account(people.agency)["account_id"]
    group = f"arn:aws-us-gov:logs:us-gov-west-1:{account}:log-group:/closed"
    assert [shown(people, arn)["labels"] for arn in (key, group, f"{group}:*")] == [["S//SI"]] * 3
    other = key.replace(account, "999999999999")
    for absent in (other, f"{key}0", f"{group}0", "arn:aws-us-gov:sqs:us-gov-west-1::q", "x"):
        assert "is called" in shown(people, absent, check=False)


def test_label_show_follows_copies_and_forgets_what_was_put_over(people):
    low, high = people.at("U"), people.at("S//SI")
    low.create_bucket(Bucket="lineage", CreateBucketConfiguration=WHERE)
    low.put_object(Bucket="lineage", Key="from", Body=b"x" * (5 << 20))
    source = {"Bucket": "lineage", "Key": "from"}
    high.copy_object(Bucket="lineage", Key="whole", CopySource=source)
    named = {"Bucket": "lineage", "Key": "parts"}
    upload = high.create_multipart_upload(**named)["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": high.upload_part_copy(
                **named, UploadId=upload, PartNumber=number, CopySource=source
            )["CopyPartResult"]["ETag"],
        }
        for number in (1, 2)
    ]
    high.complete_multipart_upload(**named, UploadId=upload, MultipartUpload={"Parts": parts})
    arn = "arn:aws-us-gov:s3:::lineage"
    made = [("S//SI", "lineage/from", "U")]
    assert edges(people, f"{arn}/whole") == edges(people, f"{arn}/parts") == made
    high.put_object(Bucket="lineage", Key="whole", Body=b"my own")
    assert edges(people, f"{arn}/whole") == []
