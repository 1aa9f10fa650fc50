"""Other people's clients, unchanged: the aws CLI, LangChain's suite, the tour on real data."""

import base64
import json
import re
import shlex
import subprocess

import pytest
from tests.clients import aws, client_python
from tests.live import ROOT

CLAUDE = "anthropic.claude-3-5-sonnet-20240620-v1:0"
LANGCHAIN_FLOOR = 17  # of the standard suite, what needs neither tools nor structured output


def test_the_aws_cli_stores_lists_and_reads(region, tmp_path):
    account = region.account("demo")["account_id"]
    assert json.loads(aws(region, "sts", "get-caller-identity"))["Account"] == account
    big = tmp_path / "big"
    big.write_bytes(bytes(range(256)) * 40_000)  # 10 MB: a multipart upload
    aws(region, "s3", "mb", "s3://cli")
    aws(region, "s3", "cp", str(big), "s3://cli/a/big")
    assert "big" in aws(region, "s3", "ls", "s3://cli/a/")
    aws(region, "s3", "cp", "s3://cli/a/big", str(tmp_path / "back"))
    assert (tmp_path / "back").read_bytes() == big.read_bytes()
    aws(region, "s3", "rm", "s3://cli", "--recursive")
    aws(region, "s3", "rb", "s3://cli")


def test_the_aws_cli_reads_the_control_planes(region):
    assert "TrainingJobSummaries" in aws(region, "sagemaker", "list-training-jobs")
    assert "administrator" in aws(region, "iam", "list-users")
    assert "Metrics" in aws(region, "cloudwatch", "list-metrics")
    assert "logGroups" in aws(region, "logs", "describe-log-groups")
    assert "Events" in aws(region, "cloudtrail", "lookup-events")


def test_the_aws_cli_keeps_secrets_and_signs(region, desk, tmp_path):
    def said(*words):
        return json.loads(aws(region, "kms", *words) or "{}")

    key = said("create-key", "--description", "of the CLI")["KeyMetadata"]["KeyId"]
    aws(region, "kms", "create-alias", "--alias-name", "alias/cli", "--target-key-id", key)
    plain, blob = tmp_path / "plain", tmp_path / "blob"
    plain.write_bytes(b"secret")
    with_context = ("--encryption-context", "purpose=test")
    sealed = said(
        "encrypt", "--key-id", "alias/cli", "--plaintext", f"fileb://{plain}", *with_context
    )
    blob.write_bytes(base64.b64decode(sealed["CiphertextBlob"]))
    opened = said("decrypt", "--ciphertext-blob", f"fileb://{blob}", *with_context)
    assert base64.b64decode(opened["Plaintext"]) == b"secret"
    assert said("list-aliases", "--key-id", key)["Aliases"][0]["AliasName"] == "alias/cli"
    gone = desk.agreed(region.client("kms").schedule_key_deletion, KeyId=key)
    assert said("describe-key", "--key-id", gone["KeyId"])["KeyMetadata"]["KeyState"] == (
        "PendingDeletion"
    )


def test_the_aws_cli_talks(trained_region):
    listed = trained_region.client("bedrock").list_foundation_models(byOutputModality="TEXT")
    model = listed["modelSummaries"][0]
    said = aws(
        trained_region, "bedrock-runtime", "converse", "--model-id", model["modelId"],
        "--messages", '[{"role":"user","content":[{"text":"Say hello."}]}]',
        "--inference-config", '{"maxTokens":8}',
    )  # fmt: skip
    assert json.loads(said)["usage"]["outputTokens"] > 0


SUITE = """
from langchain_aws import ChatBedrockConverse
from langchain_tests.integration_tests import ChatModelIntegrationTests


class TestBastide(ChatModelIntegrationTests):
    chat_model_class = ChatBedrockConverse
    chat_model_params = {{"model": "{model}", "max_tokens": 32, "temperature": 0.0}}
    has_tool_calling = False
    has_structured_output = False
    supports_image_inputs = False
"""


def test_langchains_standard_suite(trained_region, tmp_path):
    """Under a well-known id: LangChain streams only from providers that it knows."""
    trained_region.cli("models", "alias", CLAUDE, "smollm2-135m")
    (tmp_path / "test_langchain.py").write_text(SUITE.format(model=CLAUDE))
    env = {**trained_region.agency("demo"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    env.pop("AWS_BEARER_TOKEN_BEDROCK")
    command = [
        client_python("langchain"), "-m", "pytest", "-q", "-p", "no:cacheprovider",
        "-o", "asyncio_mode=auto", "test_langchain.py",
    ]  # fmt: skip
    done = subprocess.run(
        command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=400
    )
    passed = int((re.search(r"(\d+) passed", done.stdout) or [0, 0])[1])
    assert done.returncode == 0, done.stdout[-6000:]
    assert passed >= LANGCHAIN_FLOOR, done.stdout[-3000:]


def test_the_tour_on_real_data(touring_region, data, tmp_path):
    """SDK v2: fit, deploy and predict, on a table that is not the default one."""
    source = data / "missions" / "medical" / "heart" / "pima-indians-diabetes.csv"
    names = "pregnancies,glucose,pressure,skin,insulin,bmi,pedigree,age,outcome"
    table = tmp_path / "pima.csv"
    table.write_text(f"{names}\n{source.read_text()}")
    done = touring_region.cli("tour", "--data", str(table), "--target", "outcome")
    found = re.search(r"AUC on (\d+) held-out rows: (0\.\d+)", done.stdout)
    assert found, done.stdout
    assert int(found[1]) == 192
    assert float(found[2]) > 0.7  # what a linear model reaches on this table, and far from 0.5
    assert "The log is whole." in done.stdout


def test_the_commands_say_how_they_ended(region):
    assert region.cli("agency", "create", "two words", check=False).returncode == 1
    assert region.cli("agency", "wrong", check=False).returncode == 2
    hosts = region.cli("client-env", "--agency", "demo", "--dns").stdout
    assert "127.0.0.1 sts.us-gov-west-1.amazonaws.com" in hosts


@pytest.mark.usefixtures("sqlite_only")
def test_a_changed_log_is_named_by_its_record(region, tmp_path):
    import shutil
    import sqlite3

    region.client("sts").get_caller_identity()
    copy = tmp_path / "copy.db"
    with sqlite3.connect(region.folder / "region.db") as source, sqlite3.connect(copy) as target:
        source.backup(target)
    key = tmp_path / "audit.pub"
    shutil.copy(region.folder / "audit" / "audit.pub", key)
    good = region.cli("audit", "verify", "--log", str(copy), "--key", str(key))
    assert "The log is whole." in good.stdout
    with sqlite3.connect(copy) as target:
        target.execute(
            "UPDATE audit_leaves SET body = replace(body, x'22', x'27') WHERE \"index\" = 1"
        )
    target.close()
    bad = region.cli("audit", "verify", "--log", str(copy), "--key", str(key), check=False)
    assert bad.returncode == 1
    assert "record 1:" in bad.stdout


@pytest.mark.usefixtures("sqlite_only")
def test_a_log_that_was_cut_at_a_checkpoint_is_found_out(own_region, tmp_path):
    import sqlite3

    own_region.stop()  # signs what is there
    own_region.start()
    own_region.client("sts").get_caller_identity()
    own_region.stop()
    copy = tmp_path / "copy.db"
    with sqlite3.connect(own_region.folder / "region.db") as source:
        target = sqlite3.connect(copy)
        source.backup(target)
    source.close()
    sizes = [row[0] for row in target.execute("SELECT size FROM audit_checkpoints ORDER BY size")]
    target.execute("DELETE FROM audit_checkpoints WHERE size > ?", (sizes[0],))
    target.execute('DELETE FROM audit_leaves WHERE "index" >= ?', (sizes[0],))
    target.commit()
    target.close()
    assert len(sizes) > 1
    kept = own_region.folder / "audit" / "held.checkpoint"
    whole = own_region.cli("audit", "verify", "--checkpoint", str(kept))
    assert "The log is whole." in whole.stdout
    for held in ((), ("--checkpoint", str(kept))):
        cut = own_region.cli("audit", "verify", "--log", str(copy), *held, check=False)
        assert cut.returncode == 1
        assert f"record {sizes[0]}:" in cut.stdout


@pytest.mark.parametrize(
    "words",
    [
        "agency create x --account-id 12",
        "client-env --agency nobody",
        "client-env --agency 'two words'",
        "env build a/../b",
        "keys rotate ''",
        "env build nothing",
        "env import-oci README.md --name x/y:1",
        "models pull nothing",
        "models alias a b",
        "models add README.md --model-id site.x-v1:0 --licence MIT --sha256 00",
        "status --region us-iso-east-1",
        "up --region gov-east-9",
        "audit verify --log README.md",
    ],
)
def test_what_cannot_be_done_is_said_in_words(region, words):
    words = words.replace("README.md", str(ROOT / "README.md"))
    done = region.cli(*shlex.split(words), check=False)
    assert done.returncode == 1
    assert "error:" in done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "nternal" not in done.stderr


def test_the_readmes_twenty_lines_run_as_they_stand(trained_region, tmp_path):
    code = re.search(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    env = {**trained_region.agency("readme"), "PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    env.pop("AWS_BEARER_TOKEN_BEDROCK")
    done = subprocess.run(
        [client_python("sagemaker-v2"), "-c", code[1]],
        env=env, capture_output=True, text=True, timeout=200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0] == "b'hello'"
    assert len(lines[1]) > 20  # what the model said
    assert lines[-1].endswith(" administrator")


@pytest.mark.parametrize("name", ["README.md", "ARCHITECTURE.md"])
def test_links_of_the_documents_lead_somewhere(name):
    text = (ROOT / name).read_text()
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (ROOT / link).exists(), link
