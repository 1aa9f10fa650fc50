"""What one person may do alone is kept with the data; other rules come in only where two signed."""

import json

import msgspec
import pytest

from bastide.db import setting_records as records
from bastide.db.site_rules import OtherRules, SiteRules, difference
from bastide.kernel.errors import ServiceError
from bastide.operators.rules import RuleRoom
from bastide.settings import (
    ApprovalSettings,
    EgressSettings,
    EngineSettings,
    EngineUrl,
    GuardrailSettings,
    JobSettings,
    RegionSettings,
    Rules,
    SettingsError,
    TransferSettings,
    lines_as_ruled,
)


def said(**approvals):
    return Rules.of(RegionSettings(approvals=ApprovalSettings(**approvals))).said


def rules(database, *, officers=True):
    return SiteRules(database=database, has_officers=lambda: officers)


def test_the_first_start_keeps_what_it_works_with(database):
    assert rules(database).is_new(said())
    rules(database).begin(said())
    assert not rules(database).is_new(said())


def test_other_rules_are_refused_in_words_once_somebody_could_sign(database):
    rules(database).begin(said())
    assert rules(database, officers=False).is_new(said(countersign_hours=720))
    words = "approvals.countersign_hours was 24, and is 720.*bastide rules adopt"
    with pytest.raises(OtherRules, match=words):
        rules(database).is_new(said(countersign_hours=720))


def test_only_exactly_what_was_signed_comes_in_and_once(database):
    rules(database).begin(said())
    database.write(lambda c: records.say_next(c, records.RULES, said(countersign_hours=48)))
    with pytest.raises(OtherRules):
        rules(database).is_new(said(countersign_hours=49))
    assert rules(database).is_new(said(countersign_hours=48))
    rules(database).begin(said(countersign_hours=48))
    with pytest.raises(OtherRules):
        rules(database).is_new(said())


def test_what_labels_mean_and_what_one_may_do_are_kept_apart(database):
    database.write(lambda c: records.say_now(c, records.LABELS, "labels"))
    database.write(lambda c: records.say_next(c, records.LABELS, "others"))
    rules(database).begin(said())
    assert database.read(lambda c: records.said(c, records.LABELS)) == ("labels", "others")
    assert database.read(lambda c: records.said(c, records.RULES)) == (said(), None)


def test_what_was_signed_for_and_has_not_begun_is_taken_back(database):
    """Else one person could begin with it at any later time, whatever the officers want by then."""
    now, other = (Rules.parse(said(countersign_hours=hours)) for hours in (24, 720))
    rules(database).begin(now.said)
    room = RuleRoom(now=now, database=database, approvals=None)
    with pytest.raises(ServiceError, match="already"):
        room.adopt(now.said, "operator")
    database.write(lambda c: records.say_next(c, records.RULES, other.said))
    assert rules(database).is_new(other.said)
    assert room.adopt(now.said, "operator") == room.row()
    with pytest.raises(OtherRules):
        rules(database).is_new(other.said)
    assert not rules(database).is_new(now.said)


class Signed:
    """Officers who sign for whatever is asked."""

    def __init__(self, database):
        self.database, self.actions = database, []

    def carry_out(self, kind, action, requester, work):
        self.actions.append(action)
        return self.database.write(work)


def test_the_rules_of_another_version_are_signed_for_while_this_one_runs(database):
    """Else no version that brings a rule could start: this one would not let it be asked for."""
    now, officers = Rules.parse(said()), Signed(database)
    room = RuleRoom(now=now, database=database, approvals=officers)
    later = json.loads(now.said)
    later["jobs"]["new_rule"] = ["x"]
    text = msgspec.json.encode(later).decode()
    rules(database).begin(now.said)
    assert room.adopt(text, "operator") == later
    assert officers.actions[0]["in_words"] == 'jobs.new_rule was not there, and is ["x"]'
    assert rules(database).is_new(text)
    wrong = now.said.replace('"valid_days":7', '"valid_days":700')
    for none in ("{}", "[]", wrong, json.dumps(later), text[:-1], "[" * 100_000, now.said + " "):
        with pytest.raises(ServiceError, match=r"no rules|one spelling"):
            room.adopt(none, "operator")
    assert len(officers.actions) == 1


@pytest.mark.parametrize("setting", ["dirty_words", "dirty_patterns"])
def test_the_words_of_a_list_are_among_them_and_blank_lines_are_not(tmp_path, setting):
    def of(text):
        (tmp_path / "words").write_text(text)
        gate = TransferSettings(**{setting: str(tmp_path / "words")})
        return Rules.of(RegionSettings(transfer=gate)).said

    assert of("GAMMA\nORCHID\n") == of("\n GAMMA\nORCHID")
    assert of("GAMMA\nORCHID\n") != of("GAMMA\n")
    assert f"{setting}_sha256" in difference(of("GAMMA"), said())


def test_a_list_that_is_another_when_it_is_read_again_is_refused(tmp_path):
    """The rules are judged by one reading, and the gate works with another."""
    path = tmp_path / "words"
    path.write_text("GAMMA\nORCHID\n")
    gate = TransferSettings(dirty_words=str(path))
    signed = Rules.of(RegionSettings(transfer=gate)).transfer.dirty_words_sha256
    assert lines_as_ruled("dirty_words", str(path), signed) == ("GAMMA", "ORCHID")
    for text in ("\n", "GAMMA\n", "ORCHID\nGAMMA\n"):
        path.write_text(text)
        with pytest.raises(SettingsError, match="has changed"):
            lines_as_ruled("dirty_words", str(path), signed)
    assert lines_as_ruled("dirty_words", "", Rules.parse(said()).transfer.dirty_words_sha256) == ()


def test_a_sites_scanner_is_among_them():
    scanner = TransferSettings(scanner=["/usr/bin/clamscan"])
    assert "transfer.scanner" in difference(said(), Rules.of(RegionSettings(transfer=scanner)).said)


@pytest.mark.parametrize(("name", "settings"), [
    ("transfer.scanner_reads", {"transfer": TransferSettings(scanner_reads=["/var/lib/clamav"])}),
    ("jobs.allow_missing_layers", {"jobs": JobSettings(allow_missing_layers=["seccomp"])}),
    ("engines.urls", {"engines": EngineSettings(
        urls={"smollm2-135m": EngineUrl(url="http://outside/v1", model="m")}
    )}),
    ("beyond.egress", {"air_gapped": False, "egress": [
        EgressSettings(agency="*", up_to="U", models=["*"])
    ]}),
])  # fmt: skip
def test_what_opens_a_wall_or_sends_prompts_out_is_among_them(name, settings):
    other = Rules.of(RegionSettings(**settings))
    assert difference(said(), other.said).startswith(f"{name} was ")
    assert Rules.parse(other.said) == other


def test_so_is_who_judges_in_the_grey_zone():
    other = Rules.of(RegionSettings(guardrails=GuardrailSettings(judge_model="m")))
    assert difference(said(), other.said) == 'guardrails.judge_model was not there, and is "m"'


@pytest.mark.parametrize("text", ["", "{}", '{"approvals": 1}', said()[:-1], f"[{said()}]"])
def test_what_is_sent_as_rules_and_is_none(text):
    with pytest.raises(SettingsError, match="no rules"):
        Rules.parse(text)


def test_a_rule_that_a_later_version_brings_is_told_as_such():
    before = said().replace('"valid_days":7', '"old_days":7')
    words = (
        "approvals.old_days was 7, and is not there; approvals.valid_days was not there, and is 7"
    )
    assert difference(before, said()) == words
