"""Audit records retired by the real command, with a trail that has to have them first."""

import json
from pathlib import Path

import pytest
from tests.live import NAME
from tests.officers_live import Desk
from tests.trails_live import AGENCY, TRAIL, Site

from bastide.cli.control import CommandFailed
from bastide.kernel.statements import Verdict

LAB = f"[regions.{NAME}.audit]\nkeep_days = 0\n"


@pytest.fixture
def site(own_region):
    """Records of calls, a trail that cannot deliver them, and officers."""
    own_region.stop()
    own_region.toml = own_region.toml.replace("port = 0", 'port = 0\nceiling = "S"') + LAB
    desk = Desk(own_region.start(), own_region.home / "officers")
    for name, role in (("ann", "security-officer"), ("bob", "auditor")):
        desk.enrol(name, "security-officer", role)
    made = Site(own_region, "trail-bucket")
    made.desk = desk
    made.allow()
    made.create()
    made.cloudtrail.start_logging(Name=TRAIL)
    made.s3.delete_bucket_policy(Bucket=made.bucket)
    own_region.client("iam", AGENCY).create_user(UserName="early")
    return made


def verified(region, *words):
    return json.loads(region.cli("audit", "verify", "--json", *words, check=False).stdout)


def looked_up(site, name):
    found = site.cloudtrail.lookup_events(
        LookupAttributes=[{"AttributeKey": "EventName", "AttributeValue": name}]
    )
    return found["Events"]


def test_records_are_retired_by_two_once_trails_have_them(site, sqlite_only):
    region, desk = site.region, site.desk
    last = json.loads(region.cli("audit", "show", "--last", "1", "--json").stdout)[0]["index"]
    retire = ("audit", "retire", "--up-to", str(last))
    assert len(looked_up(site, "CreateUser")) == 1
    refused = region.cli(*retire, check=False)
    assert (refused.returncode, f"{TRAIL} of" in refused.stderr) == (1, True), refused.stderr
    site.allow()
    request = desk.waits(*retire)
    assert "hashes stay" in region.cli("approvals", "show", request).stdout
    desk.say(request, Verdict.APPROVE, "ann")
    assert desk.waits(*retire) == request
    desk.say(request, Verdict.APPROVE, "bob")
    (done,) = json.loads(region.cli(*retire, "--json").stdout)
    assert (done["last"], done["request"]) == (last, request)
    assert looked_up(site, "CreateUser") == []
    told = {record["eventName"] for key in site.keys("CloudTrail") for record in site.records(key)}
    assert "CreateUser" in told
    region.kill()
    region.start()
    assert region.control.get("/status")["audit_records"] > last
    plain, shown = verified(region), verified(region, "--retired", done["file"])
    assert plain["ok"]
    assert plain["retired"][0]["request"] == request
    assert (plain["retired"][0]["shown"], shown["retired"][0]["shown"]) == (False, True)
    assert "were retired by approval" in region.cli("audit", "verify").stdout
    changed = Path(done["file"])
    changed.write_bytes(changed.read_bytes()[:-1])
    assert not verified(region, "--retired", str(changed))["ok"]
    exported = region.cli("audit", "export", "--format", "ocsf").stdout.splitlines()
    assert exported
    assert not any("early" in line for line in exported)


@pytest.mark.parametrize(
    "body",
    [
        {}, [], {"before": None, "up_to": None, "officer": ""},
        {"before": "2020-01-01", "up_to": 4, "officer": ""},
        {"before": "yesterday", "up_to": None, "officer": ""},
        {"before": None, "up_to": True, "officer": ""},
        {"before": None, "up_to": -1, "officer": ""},
        {"before": None, "up_to": 1, "officer": 7},
        {"before": None, "up_to": "1; DROP TABLE audit_leaves", "officer": ""},
        {"before": "0001-01-01T00:00:00+23:59", "up_to": None, "officer": ""},
    ],
)  # fmt: skip
def test_what_is_no_question_is_refused(region, body):
    with pytest.raises(CommandFailed):
        region.control.post("/audit-retire", body)


def test_the_command_wants_one_of_both(region):
    for words in ((), ("--up-to", "4", "--before", "2020-01-01")):
        assert region.cli("audit", "retire", *words, check=False).returncode == 2
