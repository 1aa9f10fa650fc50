"""One agency reads what another shares, and nothing else: boto3 at a live region."""

import io
import json
import re
import ssl
import tarfile
import urllib.error
import urllib.request

import pytest
from botocore.exceptions import ClientError
from tests.golden.calls import Inputs
from tests.policy_kit import REGION
from tests.service.test_service_sagemaker import ENDED
from tests.service.test_service_walls_learning import job
from tests.shares_live import NEVER, answer, code, read, same_as_nothing
from tests.waiting import wait_for

from bastide.wire.model import Catalogue

READS = {
    "GetObject", "HeadObject", "GetObjectAttributes", "GetObjectTagging",
    "ListObjects", "ListObjectsV2", "HeadBucket",
}  # fmt: skip
SEAL = {"SSEKMS": {"KMSKeyArn": "arn:aws-us-gov:kms:us-gov-west-1:111122223333:key/k"}}


def test_what_both_agencies_and_two_officers_allow_is_read(two):
    mine = two.bucket("reports")
    mine.delete_object(Bucket="reports", Key="k")
    mine.put_object(Bucket="reports", Key="may/one.txt", Body=b"of the archive", Tagging="a=1")
    theirs = two.reader.at("S")
    alias = two.share("reports")
    got = theirs.get_object(Bucket=alias, Key="may/one.txt")
    assert got["Body"].read() == b"of the archive"
    assert got["ResponseMetadata"]["HTTPHeaders"]["x-bastide-label"] == "U"
    listed = theirs.list_objects_v2(Bucket=alias, FetchOwner=True)
    assert [each["Key"] for each in listed["Contents"]] == ["may/one.txt"]
    assert listed["Name"] == alias
    owner = mine.list_objects_v2(Bucket="reports", FetchOwner=True)["Contents"][0]["Owner"]
    assert listed["Contents"][0]["Owner"] == owner
    assert theirs.list_objects(Bucket=alias)["Contents"][0]["Owner"] == owner
    assert theirs.head_object(Bucket=alias, Key="may/one.txt")["ContentLength"] == 14
    tags = theirs.get_object_tagging(Bucket=alias, Key="may/one.txt")["TagSet"]
    assert tags == [{"Key": "a", "Value": "1"}]
    theirs.head_bucket(Bucket=alias, ExpectedBucketOwner=two.a)
    assert code(theirs.head_bucket, Bucket=alias, ExpectedBucketOwner=two.b) == "403"
    assert code(theirs.get_object, Bucket=alias, Key="none") == "NoSuchKey"
    assert "reports" not in json.dumps(theirs.list_buckets(), default=str)
    for owner in ({}, {"ExpectedBucketOwner": two.a}):
        there = {"Bucket": "reports", "Key": "may/one.txt", **owner}
        assert code(theirs.get_object, **there) == "NoSuchBucket"


def test_nothing_but_reading_crosses(two):
    """Every operation on a bucket, by the alias of a share that allows all that one can."""
    mine = two.bucket("matrix")
    alias = two.share("matrix")
    theirs = two.reader.at("U")
    theirs.create_bucket(
        Bucket="own", CreateBucketConfiguration={"LocationConstraint": REGION.name}
    )
    theirs.put_object(Bucket="own", Key="k", Body=b"own")
    inputs, tried, read_ = Inputs(REGION, two.b), 0, set()
    for operation in Catalogue().service("s3").operations.values():
        if operation.input is None or "Bucket" not in operation.input.members:
            continue
        method = getattr(
            theirs, re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", operation.name).lower(), None
        )
        if method is None:
            continue
        asked = inputs.least(operation)
        given = {"Key": "k", "CopySource": "own/k", "ObjectEncryption": SEAL}
        asked |= {name: text for name, text in given.items() if name in asked}
        found = answer(method, **asked | {"Bucket": alias})
        tried += 1
        if found is None:
            read_.add(operation.name)
        else:
            assert found == answer(method, **asked | {"Bucket": NEVER}), operation.name
    assert tried > 90
    assert read_ == READS
    assert mine.get_object(Bucket="matrix", Key="k")["Body"].read() == b"matrix"
    assert [each["Key"] for each in mine.list_objects_v2(Bucket="matrix")["Contents"]] == ["k"]


def test_a_bucket_policy_alone_opens_nothing(two):
    two.bucket("policy-only")
    theirs = two.reader.at("S")
    for owner in ({}, {"ExpectedBucketOwner": two.a}):
        found = answer(theirs.get_object, Bucket="policy-only", Key="k", **owner)
        none = answer(theirs.get_object, Bucket="policy-none", Key="k", **owner)
        assert found == (404, none[1].replace("policy-none", "policy-only"))


def test_a_share_alone_opens_nothing(two):
    mine = two.bucket("share-only", policy=False)
    alias, theirs = two.share("share-only"), two.reader.at("S")
    same_as_nothing(theirs, alias)
    assert "bucket policy does not let this agency" in two.why(alias)[2]
    two.open(mine, "share-only", principal="*")
    same_as_nothing(theirs, alias)
    two.open(mine, "share-only", principal={"AWS": two.b})
    assert read(theirs, alias) == b"share-only"
    two.open(mine, "share-only", Effect="Deny")
    same_as_nothing(theirs, alias)
    assert two.why(alias)[2] == "the owner's bucket policy forbids it"


def test_the_owner_may_name_one_role_only(two):
    mine = two.bucket("one-role")
    alias, theirs = two.share("one-role"), two.reader.at("S")
    role = {"ArnEquals": {"aws:PrincipalArn": two.reader.role_arn}}
    two.open(mine, "one-role", Condition=role)
    assert read(theirs, alias) == b"one-role"
    admin = two.region.client("s3", "bureau")
    same_as_nothing(admin, alias)


def test_a_share_is_for_one_agency(two):
    two.bucket("for-one")
    alias = two.share("for-one")
    third = two.region.client("s3", "third")
    same_as_nothing(third, alias)
    same_as_nothing(two.owner.at("S"), alias)
    assert read(two.reader.at("S"), alias) == b"for-one"


def test_the_readers_own_policies_must_allow_it_too(two):
    mine = two.bucket("both")
    alias, iam = two.share("both"), two.region.client("iam", "bureau")
    iam.create_user(UserName="nobody")
    key = iam.create_access_key(UserName="nobody")["AccessKey"]
    theirs = two.reader.with_keys({**key, "SessionToken": None}, "s3")
    same_as_nothing(theirs, alias)
    assert "no policy of the caller's own agency" in two.why(alias, who="user/nobody")[2]
    allow = {"Effect": "Allow", "Action": "s3:*", "Resource": "arn:aws-us-gov:s3:::both/*"}
    policy = {"Version": "2012-10-17", "Statement": [allow]}
    iam.put_user_policy(UserName="nobody", PolicyName="p", PolicyDocument=json.dumps(policy))
    assert read(theirs, alias) == b"both"
    allow["Condition"] = {"StringEquals": {"s3:ResourceAccount": two.b}}  # of its own buckets only
    iam.put_user_policy(UserName="nobody", PolicyName="p", PolicyDocument=json.dumps(policy))
    same_as_nothing(theirs, alias)
    assert mine.get_object(Bucket="both", Key="k")


def test_what_is_revoked_is_gone_with_the_next_call(two):
    two.bucket("stale")
    alias, theirs = two.share("stale"), two.reader.at("S", signature_version="s3v4")
    url = theirs.generate_presigned_url("get_object", Params={"Bucket": alias, "Key": "k"})
    fetch = opener(two)
    assert fetch(url) == (200, b"stale")
    put = theirs.generate_presigned_url("put_object", Params={"Bucket": alias, "Key": "k"})
    assert fetch(put, method="PUT", data=b"x")[0] == 403
    assert two.why(alias)[0]
    two.revoke(alias)
    same_as_nothing(theirs, alias)
    assert fetch(url)[0] == 403
    assert two.why(alias)[:2] == (False, "share")
    assert alias not in two.region.cli("share", "list", "--agency", "archive").stdout
    assert two.share("stale") == alias
    assert read(theirs, alias) == b"stale"


def opener(two):
    context = ssl.create_default_context(cafile=two.region.agency("bureau")["AWS_CA_BUNDLE"])

    def fetch(url, **request):
        asked = urllib.request.Request(url, **request)
        try:
            with urllib.request.urlopen(asked, context=context) as found:
                return found.status, found.read()
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, refused.read()

    return fetch


def test_a_bucket_of_the_same_name_is_not_shared(two):
    mine = two.bucket("again")
    alias, theirs = two.share("again"), two.reader.at("S")
    mine.delete_object(Bucket="again", Key="k")
    mine.delete_bucket(Bucket="again")
    same_as_nothing(theirs, alias)
    two.bucket("again")
    same_as_nothing(theirs, alias)


def test_only_the_prefix_is_shared(two):
    mine = two.bucket("part")
    for key in ("open/a", "opener", "shut/a"):
        mine.put_object(Bucket="part", Key=key, Body=b"x")
    alias, theirs = two.share("part", prefix="open/"), two.reader.at("S")
    assert read(theirs, alias, "open/a") == b"x"
    for key in ("opener", "shut/a", "k", "shut/none"):
        same_as_nothing(theirs, alias, key)
    listed = theirs.list_objects_v2(Bucket=alias, Prefix="open/", StartAfter="a")
    assert [each["Key"] for each in listed["Contents"]] == ["open/a"]
    for prefix in ("", "ope", "shut/"):
        assert code(theirs.list_objects_v2, Bucket=alias, Prefix=prefix) == "AccessDenied"
    assert two.why(alias, key="/shut/a")[1] == "share"


def test_what_is_above_the_session_or_the_share_is_not_there(two):
    mine = two.bucket("levels")
    secret = two.owner.at("S")
    secret.put_object(Bucket="levels", Key="secret", Body=b"s")
    alias, low, high = two.share("levels", "U"), two.reader.at("U"), two.reader.at("S")
    for s3 in (low, high):
        there = answer(s3.get_object, Bucket=alias, Key="secret")
        none = answer(s3.get_object, Bucket=alias, Key="absent")
        assert there[1].replace("secret", "absent") == none[1]
        assert [each["Key"] for each in s3.list_objects_v2(Bucket=alias)["Contents"]] == ["k"]
    assert two.share("levels", "S") == alias
    assert read(high, alias, "secret") == b"s"
    got = high.get_object(Bucket=alias, Key="secret")["ResponseMetadata"]["HTTPHeaders"]
    assert got["x-bastide-label"] == "S"
    assert code(low.get_object, Bucket=alias, Key="secret") == "NoSuchKey"
    two.bucket("above", "S")
    same_as_nothing(low, two.share("above"))
    words = ("share", "grant", "above", "--agency", "archive", "--to", "bureau", "--label", "U")
    done = two.region.cli(*words, check=False)
    assert done.returncode == 1
    assert "no bucket" in done.stderr
    assert mine.head_object(Bucket="levels", Key="k")


def test_a_copy_of_what_is_shared_is_the_readers_own_at_its_label(two):
    two.bucket("source", "S")
    alias, theirs = two.share("source"), two.reader.at("S")
    theirs.create_bucket(
        Bucket="copies", CreateBucketConfiguration={"LocationConstraint": REGION.name}
    )
    theirs.copy_object(Bucket="copies", Key="c", CopySource={"Bucket": alias, "Key": "k"})
    got = theirs.get_object(Bucket="copies", Key="c")
    assert got["Body"].read() == b"source"
    assert got["ResponseMetadata"]["HTTPHeaders"]["x-bastide-label"] == "S"
    assert code(two.reader.at("U").head_object, Bucket="copies", Key="c") == "404"
    source = {"Bucket": alias, "Key": "k"}
    wrong = {"ExpectedSourceBucketOwner": two.b}
    assert code(theirs.copy_object, Bucket="copies", Key="d", CopySource=source, **wrong)
    assert code(theirs.copy_object, Bucket=alias, Key="d", CopySource="copies/c") == "AccessDenied"
    two.revoke(alias)
    assert code(theirs.copy_object, Bucket="copies", Key="d", CopySource=source) == "AccessDenied"
    assert got["ETag"] == theirs.head_object(Bucket="copies", Key="c")["ETag"]


def test_a_read_is_in_both_agencies_trails(two):
    two.bucket("told")
    alias, theirs = two.share("told"), two.reader.at("S")
    read(theirs, alias)
    theirs.list_objects_v2(Bucket=alias)
    there = {"Bucket": "told", "Key": "k"}
    owners = two.seen_by(two.a)
    assert ("s3.GetObject", two.b, there) in owners
    assert ("s3.ListObjectsV2", two.b, {"Bucket": "told"}) in owners
    assert ("s3.GetObject", two.b, {**there, "Bucket": alias}) in two.seen_by(two.b)
    words = ("audit", "show", "--operation", "GrantShare", "--last", "1", "--json")
    told = json.loads(two.region.cli(*words).stdout)[0]["facts"]
    assert (told["agency"], told["reader"], told["bucket"]) == ("archive", "bureau", "told")


def test_a_policy_of_the_owners_own_narrows_what_it_shares(two, tmp_path):
    two.bucket("narrowed")
    alias, theirs = two.share("narrowed"), two.reader.at("S")
    assert read(theirs, alias) == b"narrowed"
    text = "forbid (principal, action, resource) when { principal.agency != resource.agency };"
    (tmp_path / "home.cedar").write_text(text)
    two.region.cli("policy", "put", str(tmp_path / "home.cedar"), "--agency", "archive")
    try:
        same_as_nothing(theirs, alias)
        assert two.why(alias)[1] == "cedar"
    finally:
        two.region.cli("policy", "remove", "home", "--agency", "archive")
    assert read(theirs, alias) == b"narrowed"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none", "--to", "bureau", "--label", "S"), "no bucket"),
        (("told", "--to", "archive", "--label", "S"), "nothing with itself"),
        (("told", "--to", "bureau", "--label", "QQ"), "QQ"),
        (("told", "--to", "nobody", "--label", "S"), "nobody"),
        (("told", "--to", "bureau", "--label", "S", "--prefix", "x" * 1025), "too long"),
    ],
)
def test_what_cannot_be_shared_is_refused_in_words(two, words, said):
    done = two.region.cli("share", "grant", *words, "--agency", "archive", check=False)
    assert done.returncode == 1
    assert said in done.stderr


def test_a_job_is_trained_on_what_is_shared_and_on_no_more(two):
    two.region.cli("env", "build", "sklearn")
    mine = two.bucket("lessons")
    mine.put_object(Bucket="lessons", Key="in/name", Body=b"of the archive")
    alias, theirs = two.share("lessons"), two.reader.at("U")
    theirs.create_bucket(
        Bucket="models", CreateBucketConfiguration={"LocationConstraint": REGION.name}
    )
    ended, arn = trained(two, "shared", f"s3://{alias}/in/")
    assert ended["TrainingJobStatus"] == "Completed", ended
    packed = theirs.get_object(Bucket="models", Key="out/shared/output/model.tar.gz")
    with tarfile.open(fileobj=io.BytesIO(packed["Body"].read())) as model:
        assert model.extractfile("name").read() == b"of the archive"
    assert alias in two.region.cli("label", "show", arn, "--agency", "bureau").stdout
    for account in (two.a, two.b):
        told = two.seen_by(account)
        assert ("s3.ListObjectsV2", two.b, {"Bucket": "lessons"}) in told
        assert ("s3.GetObject", two.b, {"Bucket": "lessons", "Key": "in/name"}) in told
    ended, _ = trained(two, "written", f"s3://{alias}/in/", output=f"s3://{alias}/out")
    assert ended["TrainingJobStatus"] == "Failed"
    assert "s3:PutObject" in ended["FailureReason"]
    two.revoke(alias)
    ended, _ = trained(two, "revoked", f"s3://{alias}/in/")
    assert ended["TrainingJobStatus"] == "Failed"
    assert f"s3:ListBucket on arn:aws-us-gov:s3:::{alias}" in ended["FailureReason"]
    foreign = two.region.account("archive")["role_arn"]
    with pytest.raises(ClientError, match=r"AccessDenied|ValidationException"):
        trained(two, "deputy", "s3://lessons/in/", RoleArn=foreign)


def trained(two, name, uri, output="s3://models/out", **more):
    sagemaker = two.reader.at("U", "sagemaker")
    request = job(two.reader, TrainingJobName=name, **more)
    request["InputDataConfig"][0]["DataSource"]["S3DataSource"]["S3Uri"] = uri
    request["OutputDataConfig"]["S3OutputPath"] = output
    arn = sagemaker.create_training_job(**request)["TrainingJobArn"]
    ended = wait_for(
        lambda: sagemaker.describe_training_job(TrainingJobName=name), "TrainingJobStatus", ENDED
    )
    return ended, arn
