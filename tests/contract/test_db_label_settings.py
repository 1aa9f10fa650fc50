"""What markings mean is kept with the data; another meaning comes in only where it was signed."""

import pytest
from tests.labels_kit import US
from tests.officers_kit import Office

from bastide.app.core import held_in
from bastide.db import label_records
from bastide.db import setting_records as records
from bastide.db.label_settings import Held, LabelSettings, OtherMeaning
from bastide.identity import clearance_records
from bastide.identity import records as identity_records
from bastide.identity.model import Agency, Clearance
from bastide.kernel.approvals import Kind, NotApproved
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels import scheme as schemes
from bastide.kernel.labels.labelling import of_region
from bastide.operators.region_labels import RegionLabelRoom
from bastide.store import share_records
from bastide.store.model import Share

NONE = Held(markings=frozenset(), anything=False)
OWN = """
name = "SITE"
own = "USA"
withheld_from = "S"
level = [{mark = "U"}, {mark = "S", names = ["SECRET"]}]
category = [{mark = "BLUE", kind = "compartment"}]
"""


def settings(database, *markings):
    held = Held(markings=frozenset(markings), anything=True) if markings else NONE
    return LabelSettings(database=database, held=lambda: held)


def region(default="U", ceiling="TS//SI", scheme=US):
    return of_region(scheme, default, ceiling)


def test_the_first_start_keeps_what_it_works_with(database):
    made = settings(database, "S")
    assert made.is_new(region())
    made.begin(region())
    assert not made.is_new(region())
    assert not made.is_new(region("UNCLASSIFIED", "ts//si", schemes.load("us")))


@pytest.mark.parametrize(
    ("other", "says"),
    [
        (region("C"), "default_label was U, and is C"),
        (region(ceiling="S"), "ceiling was TS//SI.*, and is S"),
        (region("U", "S", schemes.read(OWN, "own")), "the scheme was US, and has other words"),
    ],
)
def test_other_settings_are_refused_where_something_is_stored(database, other, says):
    settings(database).begin(region())
    assert settings(database).is_new(other)
    with pytest.raises(OtherMeaning, match=f"{says}.*bastide label adopt"):
        settings(database, "U").is_new(other)


def test_every_word_of_a_scheme_counts_and_no_comment_does(database):
    settings(database).begin(region("U", "S", schemes.read(OWN, "own")))
    same = schemes.read(OWN + "# a comment\nnations = []\n", "own")
    assert not settings(database, "U").is_new(region("U", "S", same))
    for old, new in (("SECRET", "GEHEIM"), ("compartment", "programme"), ("BLUE", "RED")):
        other = schemes.read(OWN.replace(old, new), "own")
        with pytest.raises(OtherMeaning, match="other words"):
            settings(database, "U").is_new(region("U", "S", other))


@pytest.fixture
def office(database):
    made = Office(database)
    for name in ("ann", "bob"):
        made.enrol(name, "security-officer")
    return made


def room(database, office, *markings):
    made = settings(database, *markings)
    made.begin(region())
    return RegionLabelRoom(settings=made, now=region(), approvals=office.book)


def test_what_two_officers_signed_is_let_in_and_nothing_else(database, office):
    made, text = room(database, office, "U", "S"), schemes.text_of("us")
    asked = (text, "CUI", "TS//SI", "operator")
    with pytest.raises(NotApproved) as waits:
        made.adopt(*asked)
    assert office.book.find(waits.value.request_id).kind is Kind.TRUST_ANCHOR_CHANGE
    action = office.book.find(waits.value.request_id).what
    assert (action["from"]["default_label"], action["to"]["default_label"]) == ("U", "CUI")
    office.say(waits.value.request_id, "ann")
    with pytest.raises(NotApproved):
        made.adopt(*asked)
    with pytest.raises(OtherMeaning):
        made.settings.is_new(region("CUI"))
    office.say(waits.value.request_id, "bob")
    assert made.adopt(*asked)["default_label"] == "CUI"
    assert not made.settings.is_new(region())  # until then it may start with what it had
    with pytest.raises(OtherMeaning, match="is C"):
        made.settings.is_new(region("C"))
    assert made.settings.is_new(region("CUI"))
    made.settings.begin(region("CUI"))
    assert database.read(lambda c: records.said(c, records.LABELS)) == (region("CUI").said, None)
    with pytest.raises(OtherMeaning, match="was CUI, and is U"):
        made.settings.is_new(region())


def test_what_was_signed_for_and_has_not_begun_is_taken_back(database, office):
    made = room(database, office, "U", "S")
    database.write(lambda c: records.say_next(c, records.LABELS, region("CUI").said))
    assert made.settings.is_new(region("CUI"))
    now = (schemes.text_of("us"), "U", "TS//SI", "operator")
    assert made.adopt(*now)["default_label"] == "U"
    with pytest.raises(OtherMeaning, match="is CUI"):
        made.settings.is_new(region("CUI"))
    with pytest.raises(ServiceError, match="already"):
        made.adopt(*now)


@pytest.mark.parametrize(
    ("scheme", "default", "ceiling", "says"),
    [
        ("us", "U", "S", "TS//SI is in use, and above the ceiling S"),
        ("us", "S", "C", "default_label S is above the region's ceiling"),
        ("us", "U", "WHAT", "no level of US"),
        ("us", "U", "TS//SI", "exactly these settings already"),
        ("nato", "NU", "", "TS//SI is in use: .* no level of"),
        ("name = 1", "U", "", "The scheme sent"),
        ("\0[[", "U", "", "The scheme sent"),
    ],
)
def test_what_stored_labels_could_not_live_with_is_not_even_asked_for(
    database, office, scheme, default, ceiling, says
):
    text = schemes.text_of(scheme) if scheme in schemes.PACKAGED else scheme
    with pytest.raises(ServiceError, match=says):
        room(database, office, "TS//SI").adopt(text, default, ceiling, "operator")
    assert office.book.listed(all_=True) == []


def test_another_spelling_is_another_label(database, office):
    other = OWN.replace('mark = "S", names = ["SECRET"]', 'mark = "SECRET", names = ["S"]')
    other = other.replace('withheld_from = "S"', 'withheld_from = "SECRET"')
    with pytest.raises(ServiceError, match="S is in use, and would be written SECRET"):
        room(database, office, "S").adopt(other, "U", "SECRET", "operator")


def test_what_came_in_use_since_they_signed_keeps_the_new_settings_out(database):
    made = settings(database, "U", "TS")
    made.begin(region())
    lower = region(ceiling="S")
    database.write(lambda c: records.say_next(c, records.LABELS, lower.said))
    with pytest.raises(OtherMeaning, match="TS is in use, and above"):
        made.is_new(lower)
    assert settings(database, "U").is_new(lower)


def test_every_marking_that_is_kept_counts(database, key_database):
    """Of data, agencies, clearances and shares, whether or not anything is stored at it."""
    assert held_in(database, key_database) == NONE
    agency = Agency(account_id="1" * 12, name="a", created_ms=1)
    rows = identity_records.agency_rows([agency])
    database.write(lambda c: identity_records.insert_all(c, identity_records.agencies, rows))
    assert held_in(database, key_database) == Held(markings=frozenset(), anything=True)
    granted = Clearance(account="1" * 12, entity_id="x", label="S//TK", granted_ms=1)
    share = Share(
        alias="s", owner="1" * 12, reader="2" * 12, bucket_id="b", bucket="b", prefix="",
        label="C", granted_ms=1,
    )  # fmt: skip
    database.write(lambda c: identity_records.set_label(c, agency, "CUI"))
    database.write(lambda c: label_records.keep(c, "S"))
    database.write(lambda c: clearance_records.put(c, granted))
    database.write(lambda c: share_records.put(c, share))
    found = held_in(database, key_database)
    assert found.markings == {"CUI", "S", "S//TK", "C"}
