"""Two-person integrity on a live region, by the commands that officers type."""

import json

import pytest
from tests.officers_live import LAB, Desk

from bastide.cli.control import CommandFailed
from bastide.kernel.statements import Verdict


def audited(region, *operations):
    told = json.loads(region.cli("audit", "show", "--last", "5000", "--json").stdout)
    return [one for one in told if one.get("operation") in operations]


@pytest.fixture
def lab(own_region):
    """A region that destroys keys without waiting, and its officers."""
    own_region.stop()
    own_region.toml = own_region.toml.replace("port = 0", 'port = 0\nceiling = "S"') + LAB
    desk = Desk(own_region.start(), own_region.home / "officers")
    desk.enrol("ann", "security-officer")
    desk.enrol("bob", "security-officer", "key-custodian")
    desk.enrol("eve", "key-custodian", by=("ann", "bob"))
    return desk


def test_a_key_is_destroyed_by_two_custodians_and_by_nobody_alone(lab):
    region = lab.region
    s3 = region.s3("kept")
    s3.put_object(Bucket="kept", Key="a", Body=b"kept")
    account = region.account("demo")["account_id"]
    destroy = ("keys", "destroy", "demo", "--confirm", account)

    request = lab.waits(*destroy, *lab.me("bob"))
    shown = region.cli("approvals", "show", request).stdout
    assert "can never be read again" in shown
    assert f"account: {account}" in shown
    assert "requester: officer/bob" in shown
    with pytest.raises(CommandFailed, match="cannot approve it"):
        lab.say(request, Verdict.APPROVE, "bob")
    region.cli("approvals", "approve", request, *lab.me("eve"), "--yes")
    refused = region.cli("approvals", "approve", request, *lab.me("ann"), "--yes", check=False)
    assert refused.returncode == 1
    assert "signature of a key-custodian" in refused.stderr
    assert lab.waits(*destroy, "--officer", "bob") == request
    assert s3.get_object(Bucket="kept", Key="a")["Body"].read() == b"kept"

    lab.enrol("kim", "key-custodian", by=("ann", "bob"))
    lab.say(request, Verdict.APPROVE, "kim")
    (gone,) = json.loads(region.cli(*destroy, "--officer", "bob", "--json").stdout)
    assert (gone["lost"], gone["objects"]) == (1, 0)
    with pytest.raises(CommandFailed, match="was used"):
        lab.say(request, Verdict.APPROVE, "kim")
    assert json.loads(region.cli("approvals", "list", "--json").stdout) == []
    used = [one for one in audited(region, "UseApproval") if one["facts"]["request"] == request]
    assert [one["decision"] for one in used] == ["deny", "deny", "deny", "allow"]
    said = [one for one in audited(region, "ApproveRequest") if one["facts"]["request"] == request]
    assert [(one["facts"]["officer"], one.get("code", "")) for one in said] == [
        ("bob", "SelfApproval"), ("eve", ""), ("ann", "WrongRole"), ("kim", ""),
        ("kim", "AlreadyUsed"),
    ]  # fmt: skip


def test_a_clearance_by_two_or_by_broken_glass_that_all_can_see(lab):
    region = lab.region
    region.client("iam").create_user(UserName="carol")
    grant = ("clearance", "grant", "user/carol", "S", "--agency", "demo")
    request = lab.waits(*grant)
    assert json.loads(region.cli("clearance", "list", "--agency", "demo", "--json").stdout) == []
    region.kill()
    region.start()
    lab.say(request, Verdict.APPROVE, "ann")
    told = region.cli(
        "approvals", "break-glass", request, *lab.me("bob"), "--reason", "fire [bold]in[/] hall 2",
        "--yes", "--json",
    )  # fmt: skip
    assert json.loads(told.stdout)["standing"] == "approved"
    (granted,) = json.loads(region.cli(*grant, "--json").stdout)
    assert granted["principal"] == "user/carol"
    assert granted["granted"] == "S"

    told = region.cli("status").stdout
    assert "BREAK GLASS" in told
    assert "bob" in told
    (left,) = region.control.get("/status")["break_glass"]
    assert left["reason"] == "fire [bold]in[/] hall 2"
    (broken,) = audited(region, "BreakGlass")
    assert broken["facts"]["officer"] == "bob"
    lab.say(left["id"], Verdict.APPROVE, "ann")
    assert region.control.get("/status")["break_glass"] == []
    (back,) = json.loads(
        region.cli("clearance", "revoke", "user/carol", "--agency", "demo", "--json").stdout
    )
    assert back["granted"] == ""
