"""What only a clock brings about: keys go when their day comes, and are rotated by the calendar."""

from dataclasses import replace
from datetime import timedelta

import pytest
from tests.identity_kit import refused
from tests.labels_kit import at, labelling
from tests.policy_kit import ME, OTHER, REGION, a_call, principal

from bastide.kernel.clock import ManualClock
from bastide.kernel.ids import SystemIds
from bastide.keys.opening import open_keyring
from bastide.kms import keys, records
from bastide.kms.aliases import Aliases, alias_target
from bastide.kms.deletion import Calendar, Deletion
from bastide.kms.encryption import Encryption
from bastide.kms.key_policies import KeyRules
from bastide.kms.keys import Keys
from bastide.kms.rotation import Rotation
from bastide.kms.tags import Tags
from bastide.kms.vault import Vault

DAY = timedelta(days=1).total_seconds()


class Approved:
    """Nobody stands in the way, but it is noticed that somebody was asked."""

    def __init__(self):
        self.asked = []

    def check(self, call, action, key_arn):
        self.asked.append((action, key_arn))


class Site:
    def __init__(self, database, folder):
        self.clock, self.keyring, self.approvals = ManualClock(), open_keyring(folder), Approved()
        self.audits = 0
        vault = self.vault = Vault(
            region=REGION, database=database, audited=self._audited, keyring=self.keyring,
            clock=self.clock, ids=SystemIds(), labelling=labelling(),
        )  # fmt: skip
        self.handlers = [
            Keys(vault=vault, rules=KeyRules(vault=vault, access=None, documents=None)),
            Aliases(vault=vault), Deletion(vault=vault, approvals=self.approvals),
            Encryption(vault=vault), Rotation(vault=vault), Tags(vault=vault),
        ]  # fmt: skip
        self.calendar = Calendar(vault=vault)

    def _audited(self):
        self.audits += 1

    def call(self, method, account=ME, marking="U", **req):
        call = a_call(f"kms.{method}", who=principal(account=account, **at(marking)))
        found = next(each for each in self.handlers if hasattr(each, method))
        return getattr(found, method)(call, req)

    def key(self, **req):
        return self.call("create_key", **req)["KeyMetadata"]["KeyId"]

    def versions_of(self, key_id):
        """Every version that the database still holds, whoever's it is."""
        rows = records.versions.select().where(records.versions.c.key_id == key_id)
        return self.vault.database.read(lambda c: c.execute(rows).all())


@pytest.fixture
def site(key_database, tmp_path):
    return Site(key_database, tmp_path / "keys")


def test_a_key_goes_when_its_day_comes(site):
    key, kept = site.key(), site.key()
    blob = site.call("encrypt", KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    site.call("create_alias", AliasName="alias/a", TargetKeyId=key)
    site.call("schedule_key_deletion", KeyId=key, PendingWindowInDays=7)
    assert site.approvals.asked == [
        ("kms:ScheduleKeyDeletion", site.vault.arn(site.vault.find(ME, key)))
    ]
    site.clock.advance(7 * DAY - 1)
    assert site.calendar.run() == 0
    assert len(site.versions_of(key)) == 1
    site.clock.advance(2)
    refused("NotFoundException", site.call, "cancel_key_deletion", KeyId=key)
    refused("NotFoundException", site.call, "describe_key", KeyId=key)
    assert site.calendar.run() == 1
    assert site.versions_of(key) == []
    assert alias_target(site.vault, principal(), "alias/a") is None
    refused("AccessDeniedException", site.call, "decrypt", CiphertextBlob=blob, KeyId=key)
    assert site.calendar.run() == 0
    assert site.call("describe_key", KeyId=kept)["KeyMetadata"]["Enabled"]


def test_a_key_whose_deletion_is_cancelled_stays(site):
    key = site.key()
    site.call("schedule_key_deletion", KeyId=key)
    site.call("cancel_key_deletion", KeyId=key)
    site.clock.advance(40 * DAY)
    assert site.calendar.run() == 0
    assert site.call("describe_key", KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"


def test_keys_are_rotated_by_the_calendar(site):
    key = site.key()
    blob = site.call("encrypt", KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    site.call("enable_key_rotation", KeyId=key, RotationPeriodInDays=90)
    site.clock.advance(90 * DAY)
    assert site.calendar.run() == 1
    assert site.calendar.run() == 0
    (rotation,) = site.call("list_key_rotations", KeyId=key)["Rotations"]
    assert rotation["RotationType"] == "AUTOMATIC"
    assert site.vault.find(ME, key).version == 2
    assert site.call("decrypt", CiphertextBlob=blob, KeyId=key)["Plaintext"] == b"x"
    site.call("disable_key", KeyId=key)
    site.clock.advance(90 * DAY)
    assert site.calendar.run() == 1
    assert site.calendar.run() == 0
    assert site.vault.find(ME, key).version == 2


def test_a_destroyed_agency_key_takes_its_kms_keys_with_it(site):
    key = site.key()
    blob = site.call("encrypt", KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    site.keyring.destroy(ME, "U")
    refused("KeyUnavailableException", site.call, "decrypt", CiphertextBlob=blob, KeyId=key)


def test_material_is_bound_to_its_agency_label_and_key(site):
    """Who has the database but not the keys moves rows in vain."""
    key, other = site.vault.find(ME, site.key()), site.vault.find(ME, site.key())
    assert len(site.vault.secret(other)) == 32
    for stolen in (replace(other, label="S"), replace(other, account=OTHER)):
        with pytest.raises(ValueError, match="tampered"):
            site.vault.secret(stolen)
    held = site.vault.version(other, 1)
    site.vault.write(lambda c: records.add_version(c, replace(held, key_id=key.id, number=2)))
    with pytest.raises(ValueError, match="tampered"):
        site.vault.secret(key, 2)


def test_nothing_is_changed_before_the_record_of_the_call(site):
    site.key()
    assert site.audits == 1


def test_another_account_finds_no_key(site):
    key = site.key()
    assert site.call("list_keys", OTHER)["Keys"] == []
    for method in ("describe_key", "disable_key", "cancel_key_deletion", "get_key_rotation_status"):
        refused("NotFoundException", site.call, method, OTHER, KeyId=key)
    refused("NotFoundException", site.call, "encrypt", OTHER, KeyId=key, Plaintext=b"x")


def test_what_a_session_does_not_see_is_not_there(site):
    """A session at SECRET makes a key and an alias; one below finds neither, and may give its own
    key the same name."""
    high = site.call("create_key", marking="S")["KeyMetadata"]["KeyId"]
    site.call("create_alias", marking="S", AliasName="alias/a", TargetKeyId=high)
    blob = site.call("encrypt", marking="S", KeyId=high, Plaintext=b"x")["CiphertextBlob"]
    absent = "00000000-0000-4000-8000-000000000000"
    for method in ("describe_key", "disable_key", "schedule_key_deletion"):
        messages = [
            str(refused("NotFoundException", site.call, method, KeyId=name)).replace(name, "KEY")
            for name in (high, absent)
        ]
        assert messages[0] == messages[1]
    refused("AccessDeniedException", site.call, "decrypt", CiphertextBlob=blob, KeyId=high)
    assert site.call("list_keys")["Keys"] == []
    assert site.call("list_aliases")["Aliases"] == []
    low = site.key()
    site.call("create_alias", AliasName="alias/a", TargetKeyId=low)
    targets = {
        marking: alias_target(site.vault, principal(**at(marking)), "alias/a")
        for marking in ("U", "S", "TS")
    }
    assert targets["U"] == low
    assert targets["S"] == high
    assert len(site.call("list_keys", marking="S")["Keys"]) == 2
    assert [each["TargetKeyId"] for each in site.call("list_aliases")["Aliases"]] == [low]


def test_a_key_keeps_the_label_that_it_was_made_with(site):
    tags = [{"TagKey": "bastide:label", "TagValue": "S"}]
    made = site.call("create_key", Tags=tags)["KeyMetadata"]["KeyId"]
    assert site.vault.find(ME, made).label == at("S")["session"].text
    refused("TagException", site.call, "tag_resource", marking="S", KeyId=made, Tags=tags)
    refused(
        "TagException", site.call, "untag_resource", OTHER, "S",
        KeyId=made, TagKeys=["bastide:label"],
    )  # fmt: skip


def test_keys_above_take_no_place_from_those_below(site, monkeypatch):
    monkeypatch.setattr(keys, "KEYS_MAX", 1)
    site.key(marking="S")
    refused("LimitExceededException", site.key, marking="S")
    site.key()
    refused("LimitExceededException", site.key)
