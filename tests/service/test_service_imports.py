"""Models that an agency brings, by boto3 and the aws CLI: from a bucket to an answer, and away."""

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from tests.clients import aws
from tests.importing_kit import Tiny
from tests.live import LiveRegion, cache_home
from tests.officers_live import LAB, Desk
from tests.waiting import eventually

AGENCY = "bringer"
BUCKET = "brought"
WAIT_S = 120.0
TRUST = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Principal": {"Service": "bedrock.amazonaws.com"},
         "Action": "sts:AssumeRole"}
    ],
}  # fmt: skip
READS = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"], "Resource": "*"}
    ],
}


def role_at(live, name="importer", reads=READS):
    iam = live.client("iam", AGENCY)
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST))["Role"]
    iam.put_role_policy(RoleName=name, PolicyName="reads", PolicyDocument=json.dumps(reads))
    return made["Arn"]


class Site:
    def __init__(self, live):
        self.live = live
        self.s3 = live.s3(BUCKET, AGENCY)
        self.role = role_at(live)
        self.bedrock = live.client("bedrock", AGENCY)
        self.runtime = live.client("bedrock-runtime", AGENCY, read_timeout=120)

    def lay(self, folder, files):
        for name, content in files.items():
            self.s3.put_object(Bucket=BUCKET, Key=f"{folder}/{name}", Body=content)

    def begin(self, folder, name, **more):
        return self.bedrock.create_model_import_job(
            jobName=f"{name}-job", importedModelName=name, roleArn=self.role,
            modelDataSource={"s3DataSource": {"s3Uri": f"s3://{BUCKET}/{folder}/"}}, **more,
        )["jobArn"]  # fmt: skip

    def ended(self, arn):
        def job():
            return self.bedrock.get_model_import_job(jobIdentifier=arn)

        eventually(lambda: job()["status"] != "InProgress", WAIT_S)
        return job()

    def brought(self, folder, name, **more):
        job = self.ended(self.begin(folder, name, **more))
        assert job["status"] == "Completed", job.get("failureMessage")
        return job["importedModelArn"]

    def asked(self, arn):
        answer = self.runtime.converse(modelId=arn, messages=said(), inferenceConfig=ASKED)
        return answer["output"]["message"]["content"][0]["text"]

    def engines(self, arn):
        rows = self.live.control.get("/status")["engines"]
        return [row for row in rows if row["model"].endswith(arn.rpartition("/")[2])]

    def end_engine(self, arn):
        (row,) = self.engines(arn)
        os.kill(row["pid"], signal.SIGKILL)
        eventually(lambda: self.engines(arn) == [])

    def weights(self) -> list[Path]:
        return list((self.live.folder / "imported").glob("*/*/*"))


@pytest.fixture(scope="module")
def site(tmp_path_factory, new_toml):
    live = LiveRegion(tmp_path_factory.mktemp("imports"), toml=new_toml() + LAB).start()
    yield Site(live)
    live.stop()


def said(text="the thing"):
    return [{"role": "user", "content": [{"text": text}]}]


ASKED = {"maxTokens": 8, "temperature": 0.0}


def test_a_model_is_brought_asked_and_deleted(site):
    site.lay("tiny", Tiny().files())
    arn = site.brought("tiny", "tiny", importedModelTags=[{"key": "cost", "value": "7"}])
    shown = site.bedrock.get_imported_model(modelIdentifier="tiny")
    assert shown["modelArn"] == arn
    assert (shown["modelArchitecture"], shown["instructSupported"]) == ("llama", True)
    answer = site.runtime.converse(modelId=arn, messages=said(), inferenceConfig=ASKED)
    assert answer["usage"]["outputTokens"] > 0
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-bastide-model"] == arn
    stream = site.runtime.converse_stream(modelId=arn, messages=said(), inferenceConfig=ASKED)
    deltas = [one["contentBlockDelta"]["delta"]["text"] for one in stream["stream"]
              if "contentBlockDelta" in one]  # fmt: skip
    assert "".join(deltas) == answer["output"]["message"]["content"][0]["text"]
    body = json.dumps({"prompt": "the thing", "max_gen_len": 8, "temperature": 0.0})
    told = site.runtime.invoke_model(modelId=arn, body=body)["body"].read()
    assert json.loads(told)["generation_token_count"] > 0
    assert len(site.weights()) == 2, "with the name of their key"
    assert {one.stat().st_mode & 0o777 for one in (site.live.folder / "imported").glob("*/*")} == {
        0o700
    }
    _only_its_own_agency(site, arn)
    _only_where_policies_allow(site, arn)
    site.bedrock.delete_imported_model(modelIdentifier=arn)
    assert site.weights() == []
    assert arn not in json.dumps(site.live.control.get("/status")["engines"])
    with pytest.raises(site.runtime.exceptions.ValidationException):
        site.runtime.converse(modelId=arn, messages=said())


def _only_its_own_agency(site, arn):
    theirs = site.live.client("bedrock-runtime", "stranger")
    with pytest.raises(ClientError) as caught:
        theirs.converse(modelId=arn, messages=said())
    assert caught.value.response["Error"]["Code"] in (
        "ValidationException", "AccessDeniedException",
    )  # fmt: skip


def _only_where_policies_allow(site, arn):
    """A Deny of its name is one of its ARN, and the other way round."""
    iam = site.live.client("iam", AGENCY)
    iam.create_user(UserName="reader")
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    user = {
        "endpoint_url": site.live.status["endpoint"],
        "verify": site.live.agency(AGENCY).get("AWS_CA_BUNDLE"),
        "region_name": site.live.name, "aws_access_key_id": key["AccessKeyId"],
        "aws_secret_access_key": key["SecretAccessKey"],
    }  # fmt: skip
    bedrock, runtime = (boto3.client(name, **user) for name in ("bedrock", "bedrock-runtime"))
    allow = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["bedrock:GetImportedModel", "bedrock:InvokeModel"],
             "Resource": arn}
        ],
    }  # fmt: skip
    for work in (
        lambda: runtime.converse(modelId=arn, messages=said(), inferenceConfig=ASKED),
        lambda: bedrock.get_imported_model(modelIdentifier="tiny"),
    ):
        iam.put_user_policy(UserName="reader", PolicyName="p", PolicyDocument=json.dumps(allow))
        work()
        iam.delete_user_policy(UserName="reader", PolicyName="p")
        with pytest.raises(ClientError, match="AccessDenied"):
            work()


def test_gguf_as_it_is_by_the_cli_and_what_is_refused(trained_region, site):
    weights = cache_home() / "models" / "smollm2-135m" / "model.gguf"
    site.lay("smol", {"model.gguf": weights.read_bytes(), "setup.py": b"raise SystemExit"})

    def cli(*words):
        return json.loads(aws(site.live, "bedrock", *words, agency=AGENCY))

    source = json.dumps({"s3DataSource": {"s3Uri": f"s3://{BUCKET}/smol"}})
    begun = cli(
        "create-model-import-job", "--job-name", "smol-job", "--imported-model-name", "smol",
        "--role-arn", site.role, "--model-data-source", source,
        "--job-tags", "key=bastide:licence,value=apache-2.0",
    )  # fmt: skip
    job = site.ended(begun["jobArn"])
    assert job["status"] == "Completed", job.get("failureMessage")
    found = cli("list-imported-models", "--name-contains", "smol")["modelSummaries"]
    assert [one["modelArn"] for one in found] == [job["importedModelArn"]]
    answer = site.runtime.converse(
        modelId=job["importedModelArn"], messages=said("Count from 1 to 10, with commas."),
        inferenceConfig=ASKED,
    )  # fmt: skip
    assert answer["output"]["message"]["content"][0]["text"].startswith("1, 2, 3")
    # At random: it answers, and says each token as if any other were as good.
    site.lay("vague", Tiny(sharp=0.1).files())
    job = site.ended(site.begin("vague", "vague"))
    assert (job["status"], job["failureMessage"]) == (
        "Failed", "The model says its tokens as if at random.",
    )  # fmt: skip
    blind = role_at(site.live, "blind", {"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "s3:ListBucket", "Resource": "*"}]})  # fmt: skip
    role, site.role = site.role, blind
    job = site.ended(site.begin("vague", "unseen"))
    site.role = role
    assert "not authorized to perform s3:GetObject" in job["failureMessage"]
    with pytest.raises(ClientError, match="vpcConfig"):
        site.begin("vague", "walled", vpcConfig={"subnetIds": ["s"], "securityGroupIds": ["g"]})
    assert len(site.weights()) == 2


def test_a_killed_region_goes_on_with_an_import(site):
    site.lay("again", Tiny().files())
    arn = site.begin("again", "again")
    site.live.kill()
    site.live.start()
    site.bedrock = site.live.client("bedrock", AGENCY)
    job = site.ended(arn)
    assert job["status"] == "Completed", job.get("failureMessage")
    site.bedrock.list_model_import_jobs(nameContains="again")
    site.runtime = site.live.client("bedrock-runtime", AGENCY, read_timeout=120)
    site.s3 = site.live.client("s3", AGENCY)


def test_loads_at_once_are_one(site):
    site.lay("raced", Tiny().files())
    arn = site.brought("raced", "raced")
    alone = site.asked(arn)
    site.end_engine(arn)
    with ThreadPoolExecutor(6) as pool:
        assert set(pool.map(lambda _: site.asked(arn), range(6))) == {alone}
    assert len(site.engines(arn)) == 1


def test_weights_that_were_changed_are_not_run(site):
    site.lay("torn", Tiny().files())
    arn = site.brought("torn", "torn")
    (file,) = (site.live.folder / "imported").glob(f"*/{arn.rpartition('/')[2]}/model.gguf")
    file.chmod(0o600)
    with file.open("r+b") as weights:
        weights.seek(-1, os.SEEK_END)
        last = weights.read(1)
        weights.seek(-1, os.SEEK_END)
        weights.write(bytes([last[0] ^ 1]))
    site.end_engine(arn)
    with pytest.raises(site.runtime.exceptions.ModelNotReadyException):
        site.asked(arn)
    assert site.engines(arn) == []
    assert "did not start" in site.live.log()


def test_with_the_keys_of_the_agency_its_weights_go(site, tmp_path):
    """The last test here: the agency can read nothing of its own afterwards."""
    assert site.weights() != []
    account = site.live.account(AGENCY)["account_id"]
    Desk(site.live, tmp_path / "officers").destroy_keys(AGENCY, "--confirm", account)
    assert site.weights() == []
    assert site.bedrock.list_imported_models()["modelSummaries"] == []
    engines = site.live.control.get("/status")["engines"]
    assert [row for row in engines if account in row["model"]] == []
