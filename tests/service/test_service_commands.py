"""Every `bastide` command with --json: one line, one document, exit code 0."""

import json

import pytest
from tests.unit.test_documented import TALKS, commands
from typer.testing import CliRunner

from bastide.cli.main import app

DONE = {
    "up": "",
    "status": "",
    "agency create": "third",
    "agency list": "",
    "agency label": "second",
    "client-env": "--agency second",
    "env list": "",
    "env build": "sklearn",
    "models list": "",
    "models pull": "smollm2-135m",
    "models alias": "site.small-v1:0 smollm2-135m",
    "keys list": "",
    "keys rotate": "second",
    "clearance list": "--agency second",
    "clearance revoke": "user/administrator --agency second",
    "duty list": "--agency second",
    "share list": "--agency second",
    "policy list": "--agency second",
    "officer list": "",
    "approvals list": "",
    "transfer list": "",
    "transfer anchor": "",
    "rules show": "",
    "audit show": "",
    "audit verify": "",
    "down": "",
}
ELSEWHERE = {
    "tour",  # test_service_tour.py
    "env import-oci",  # prints what `env build` does; what it leaves would stay in the cache
    "models add",  # prints what `models pull` does; as above
    "keys destroy",  # test_service_keys.py
    *(f"officer {each}" for each in ("keygen", "enrol", "suspend", "reinstate")),
    *(f"approvals {each}" for each in ("show", "approve", "reject", "break-glass")),
    "clearance grant",  # these and the two lines above: test_service_approvals.py
    *("duty grant", "duty remove"),  # test_service_duties.py
    *("share grant", "share revoke"),  # shares/test_service_shares.py
    *(f"policy {each}" for each in ("put", "remove", "test", "why")),  # test_service_policy.py
    *("label show", "label lower"),  # test_service_walls_learning.py, test_service_downgrades.py
    *("label adopt", "rules adopt"),  # test_service_label_settings.py
    "audit retire",  # test_service_retirement.py
    *(f"transfer {each}" for each in ("create", "inspect", "trust", "send", "receive")),
    *(f"transfer {each}" for each in ("filter", "release", "review")),  # test_service_transfer.py
    *("audit deliver", "audit export"),  # test_service_trails.py
    "audit rotate-digest-key",  # test_service_duties.py
    *("receipt get", "receipt verify"),  # test_service_receipts.py
    "agent trace",  # test_service_agents.py
}


@pytest.fixture
def account(own_region):
    """That of an agency `second`, which has stored something."""
    own_region.s3("second", "second").put_object(Bucket="second", Key="k", Body=b"x")
    return own_region.account("second")["account_id"]


def test_every_command_prints_one_line_of_json(own_region, account, monkeypatch):
    monkeypatch.setenv("BASTIDE_HOME", str(own_region.home))
    assert set(commands()) == DONE.keys() | ELSEWHERE | TALKS
    for command, words in DONE.items():
        line = f"{command} {words.format(account=account)} --json"
        done = CliRunner().invoke(app, line.split())
        assert done.exit_code == 0, (command, done.output, done.exception)
        (line,) = done.stdout.splitlines()
        assert json.loads(line) is not None, command
    assert CliRunner().invoke(app, ["status", "--json"]).exit_code == 1
