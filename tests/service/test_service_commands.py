"""Every `bastide` command with --json: one line, one document, exit code 0."""

import json

import pytest
from tests.unit.test_documented import TALKS, commands
from typer.testing import CliRunner

from bastide.cli.main import app

DONE = {
    "up": "",
    "status": "",
    "agency create": "second",
    "agency list": "",
    "client-env": "--agency second",
    "env list": "",
    "env build": "sklearn",
    "models list": "",
    "models pull": "smollm2-135m",
    "models alias": "site.small-v1:0 smollm2-135m",
    "keys list": "",
    "keys rotate": "second",
    "keys destroy": "second --confirm {account}",
    "audit show": "",
    "audit verify": "",
    "down": "",
}
ELSEWHERE = {
    "tour",  # test_service_tour.py
    "env import-oci",  # prints what `env build` does; what it leaves would stay in the cache
    "models add",  # prints what `models pull` does; as above
}


@pytest.fixture
def bastide(own_region, monkeypatch):
    """`bastide("status")`, in this process, for the region."""
    for name in ("BASTIDE_HOME",):
        monkeypatch.setenv(name, own_region.environ()[name])

    def run(words):
        return CliRunner().invoke(app, words.split())

    return run


def test_every_command_prints_one_line_of_json(own_region, bastide):
    assert set(commands()) == DONE.keys() | ELSEWHERE | TALKS
    for command, words in DONE.items():
        if command == "keys list":
            where = {"LocationConstraint": "us-gov-west-1"}
            s3 = own_region.client("s3", "second")
            s3.create_bucket(Bucket="second", CreateBucketConfiguration=where)
            s3.put_object(Bucket="second", Key="k", Body=b"x")
            account = own_region.account("second")["account_id"]
        done = bastide(
            f"{command} {words.format(account=account) if '{' in words else words} --json"
        )
        assert done.exit_code == 0, (command, done.output, done.exception)
        (line,) = done.stdout.splitlines()
        assert json.loads(line), command
    assert bastide("status --json").exit_code == 1
