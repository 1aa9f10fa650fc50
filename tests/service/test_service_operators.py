"""Operators manage: the keys that read an agency's content are handed out once, then by two."""

import json

import pytest
from tests.live import NAME, LiveRegion, toml_for
from tests.officers_live import Desk

from bastide.cli.control import CommandFailed
from bastide.kernel.statements import Verdict

GLASS = f'[regions.{NAME}.approvals]\nbreak_glass = ["administrator-keys"]\n'
SECRETS = ("AWS_SECRET_ACCESS_KEY", "AWS_BEARER_TOKEN_BEDROCK")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    live = LiveRegion(tmp_path_factory.mktemp("operators"), toml=toml_for() + GLASS).start()
    try:
        yield live
    finally:
        live.stop()


def env(site, agency, *more):
    return json.loads(site.cli("client-env", "--agency", agency, "--json", *more).stdout)


@pytest.fixture(scope="module")
def desk(site, tmp_path_factory):
    """Officers, in a region that was used before it had any."""
    site.cli("agency", "create", "early")
    assert env(site, "early") == env(site, "early"), "at any time, as long as nobody can sign"
    shown = site.cli("client-env", "--agency", "early")
    assert "No two officers are enrolled" in shown.stderr
    assert "No two officers" not in shown.stdout
    made = Desk(site, tmp_path_factory.mktemp("people"))
    made.enrol("olga", "security-officer")
    assert env(site, "early"), "one officer cannot sign for two"
    made.enrol("oscar", "security-officer")
    return made


def test_keys_that_were_out_before_there_were_officers_take_two_now(site, desk):
    words = ("client-env", "--agency", "early", "--json")
    request = desk.waits(*words)
    desk.say(request, Verdict.APPROVE, "olga")
    assert desk.waits(*words) == request
    desk.say(request, Verdict.APPROVE, "oscar")
    shown = site.cli(*words)
    assert "AWS_SECRET_ACCESS_KEY" in json.loads(shown.stdout)
    assert desk.waits(*words) != request, "each time anew"


def test_a_new_agencys_keys_are_handed_out_once(site, desk):
    site.cli("agency", "create", "late")
    first = site.cli("client-env", "--agency", "late")
    assert "AWS_SECRET_ACCESS_KEY" in first.stdout
    assert "No two officers" not in first.stderr
    for more in ((), ("--bearer",), ("--bearer", "--no-keys")):
        told = site.cli("client-env", "--agency", "late", *more, check=False)
        assert told.returncode == 3
        assert not any(secret in told.stdout for secret in SECRETS)


def test_where_the_region_is_everybody_may_know(site, desk):
    site.cli("agency", "create", "told")
    for _ in range(2):
        found = env(site, "told", "--no-keys")
        assert found["AWS_ENDPOINT_URL"] == site.status["endpoint"]
        assert not [name for name in found if "KEY" in name or "TOKEN" in name]
    assert "AWS_ACCESS_KEY_ID" in env(site, "told"), "that was no handing out"


def test_one_officer_breaks_the_glass_and_it_is_seen(site, desk):
    site.cli("agency", "create", "night")
    env(site, "night")
    request = desk.waits("client-env", "--agency", "night")
    site.cli("approvals", "break-glass", request, *desk.me("olga"), "--reason", "fire", "--yes")
    assert "AWS_ACCESS_KEY_ID" in env(site, "night")
    assert site.control.get("/status")["break_glass"]


def test_suspending_all_officers_opens_nothing(own_region):
    desk = Desk(own_region, own_region.home / "officers")
    for name in ("olga", "oscar"):
        desk.enrol(name, "security-officer")
    own_region.cli("agency", "create", "shut")
    env(own_region, "shut")
    for name in ("olga", "oscar"):
        own_region.cli("officer", "suspend", name)
    assert desk.waits("client-env", "--agency", "shut")


def test_what_was_handed_out_is_on_record_and_what_was_not_is_not(site, desk):
    def handed():
        rows = json.loads(site.cli("audit", "show", "--last", "1000", "--json").stdout)
        return [row for row in rows if "GetAdministratorKeys" in json.dumps(row)]

    site.cli("agency", "create", "noted")
    before = len(handed())
    env(site, "noted")
    assert len(handed()) == before + 1
    with pytest.raises(CommandFailed):
        site.control.post(
            "/agencies/noted/client-env", {"keys": True, "bearer": False, "officer": ""}
        )
    assert len(handed()) == before + 1
