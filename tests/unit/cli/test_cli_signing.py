"""What an officer signs is what they were shown, by a key that stays with them."""

import json
import stat

import msgspec
import pytest
from tests.officers_kit import Person
from typer.testing import CliRunner

from bastide.cli import approvals, officer, signing
from bastide.cli.control import CommandFailed, NotYetApproved
from bastide.kernel.approvals import digest_of
from bastide.kernel.statements import Statement, Verdict, holds, parse_private, private_pem
from bastide.policy.approval_model import Role

ACTION = {"agency": "demo", "keys": [{"key": "k-1", "label": "S"}], "note": "[/]\x1b[2K"}


class Region:
    """A region's socket that answers with one request, and keeps what was posted to it."""

    region = "us-gov-west-1"

    def __init__(self, **changed):
        self.posted = []
        self.request = {
            "id": "r-1", "kind": "key-deletion", "standing": "pending", "requester": "operator",
            "missing": ["key-custodian"], "created": "2026-01-01", "expires": "2026-01-08",
            "digest": digest_of(ACTION), "region": self.region, "action": ACTION,
            "expires_ms": 5, "wait_ms": 7_200_000, "nonce": "n", "signatures": [], **changed,
        }  # fmt: skip

    def get(self, path):
        assert path == "/approvals/r-1"
        return self.request

    def post(self, path, body):
        assert path == "/approvals-sign"
        self.posted.append(body)
        return self.request


@pytest.fixture
def ann(tmp_path):
    person = Person("ann", (Role.KEY_CUSTODIAN,))
    (tmp_path / "ann.key").write_bytes(private_pem(person.key))
    return person


@pytest.fixture
def typed(monkeypatch, tmp_path):
    """Run a command of `bastide approvals` at a region."""

    def run(region, *words, said=""):
        monkeypatch.setattr(approvals, "control", lambda name: region)
        me = ["--officer", "ann", "--key", str(tmp_path / "ann.key")] if words[0] != "show" else []
        return CliRunner().invoke(approvals.app, [*words, "r-1", *me], input=said)

    return run


def test_the_digest_is_of_the_action_that_was_shown(ann, tmp_path):
    region = Region(digest="00" * 32)
    signing.say(region, region.request, Verdict.APPROVE, officer="ann", key=tmp_path / "ann.key")
    (body,) = region.posted
    statement = msgspec.convert(body["statement"], Statement)
    assert (statement.digest, statement.region) == (digest_of(ACTION), "us-gov-west-1")
    assert holds(statement, body["signature"], ann.key.public_key())


@pytest.mark.parametrize(
    "lie", [{"digest": "00" * 32}, {"region": "us-iso-east-1"}, {"action": {"agency": "other"}}]
)
def test_a_region_that_shows_one_thing_and_means_another(ann, typed, lie):
    region = Region(**lie)
    for words in (("approve", "--yes"), ("show",)):
        done = typed(region, *words)
        assert isinstance(done.exception, CommandFailed)
        assert "do not sign it" in str(done.exception)
    assert region.posted == []


@pytest.mark.parametrize(("said", "count"), [("y\n", 1), ("n\n", 0), ("", 0)])
def test_it_is_signed_only_after_a_yes(ann, typed, said, count):
    region = Region()
    done = typed(region, "approve", said=said)
    assert len(region.posted) == count
    assert done.exit_code == (0 if count else 1)
    for each in ("can never be read again", "key k-1, label S", r"note: [/]\x1b[2K",
                 digest_of(ACTION), "waits after the last signature: 2 hours"):  # fmt: skip
        assert each in done.output


def test_every_verdict_has_its_command(ann, typed):
    region = Region()
    assert typed(region, "reject", "--yes").exit_code == 0
    assert typed(region, "break-glass", "--yes", "--reason", "fire").exit_code == 0
    said = [(one["statement"]["verdict"], one["statement"]["reason"]) for one in region.posted]
    assert said == [("reject", ""), ("break-glass", "fire")]


@pytest.mark.parametrize(("standing", "asks"), [("unsigned", 1), ("pending", 0)])
def test_an_officer_who_asks_signs_that_they_do(ann, tmp_path, standing, asks):
    region, tries = Region(standing=standing), []

    def work():
        tries.append(1)
        raise NotYetApproved("waits", "r-1")

    with pytest.raises(NotYetApproved):
        signing.asked(region, "ann", tmp_path / "ann.key", work)
    assert len(region.posted) == asks
    assert len(tries) == 1 + asks
    with pytest.raises(NotYetApproved):
        signing.asked(region, "", None, work)
    assert len(region.posted) == asks


def test_keys_are_made_for_their_owner_alone(tmp_path):
    for algorithm in ("p384", "ed25519"):
        out = tmp_path / algorithm
        words = ["keygen", "--out", str(out), "--algorithm", algorithm, "--json"]
        made = json.loads(CliRunner().invoke(officer.app, words).stdout)
        assert stat.S_IMODE(out.stat().st_mode) == 0o600
        assert made[0]["public_key"] == f"{out}.pub"
        before = out.read_bytes()
        again = CliRunner().invoke(officer.app, words)
        assert isinstance(again.exception, CommandFailed)
        assert out.read_bytes() == before
    wrong = CliRunner().invoke(officer.app, ["keygen", "--out", str(out), "--algorithm", "rsa"])
    assert "rsa is not known" in str(wrong.exception)


def test_a_key_may_have_a_passphrase(tmp_path, typed):
    out = tmp_path / "ann.key"
    words = ["keygen", "--out", str(out), "--passphrase"]
    assert CliRunner().invoke(officer.app, words, input="horse\nhorse\n").exit_code == 0
    with pytest.raises(TypeError):
        parse_private(out.read_bytes())
    region = Region()
    assert "passphrase is wrong" in str(typed(region, "approve", "--yes", said="cow\n").exception)
    assert typed(region, "approve", "--yes", said="horse\n").exit_code == 0
    assert len(region.posted) == 1


def test_a_key_that_is_not_there(typed):
    assert "No such file" in str(typed(Region(), "approve", "--yes").exception)
