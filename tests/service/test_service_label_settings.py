"""A region whose label settings, or whose rules of what one person may do alone, were changed under
it, by its real start and commands."""

import json

import pytest
from botocore.exceptions import ClientError
from tests.live import NAME, LiveRegion, toml_for
from tests.officers_live import Desk
from tests.walls_live import People

from bastide.kernel.labels import scheme as schemes
from bastide.kernel.statements import Verdict

WHERE = {"LocationConstraint": NAME}
ADOPT = ("label", "adopt")
SHOW = ("rules", "show", "--json")


@pytest.fixture
def live(tmp_path):
    region = LiveRegion(tmp_path / "site", toml=toml("U", "S"))
    yield region.start()
    region.stop()


def toml(default, ceiling):
    lines = f'port = 0\ndefault_label = "{default}"\nceiling = "{ceiling}"\n'
    return toml_for(name=NAME).replace("port = 0\n", lines, 1)


HERON = '\n[[category]]\nmark = "HERON"\nkind = "programme"\n'


def label_of(answer):
    return answer["ResponseMetadata"]["HTTPHeaders"]["x-bastide-label"]


def test_other_settings_come_in_only_once_two_officers_signed_for_them(live, tmp_path):
    desk = Desk(live, tmp_path / "officers")
    for name in ("olga", "oscar"):
        desk.enrol(name, "security-officer")
    live.s3("kept").put_object(Bucket="kept", Key="k", Body=b"kept")
    live.stop()
    live.toml = toml("C", "S")
    with pytest.raises(AssertionError, match=r"default_label was U, and is C.*label adopt"):
        live.start()

    live.toml = toml("U", "S")
    live.start()
    again = live.cli(*ADOPT, check=False)
    assert (again.returncode, "exactly these settings" in again.stderr) == (1, True)
    (live.home / "bastide.toml").write_text(toml("C", "S"))
    request = desk.waits(*ADOPT)
    assert live.control.get(f"/approvals/{request}")["kind"] == "trust-anchor-change"
    desk.say(request, Verdict.APPROVE, "olga")
    assert desk.waits(*ADOPT) == request
    desk.say(request, Verdict.APPROVE, "oscar")
    (adopted,) = json.loads(live.cli(*ADOPT, "--json").stdout)
    assert adopted["default_label"] == "C"
    live.kill()
    live.toml = toml("C", "S")
    live.start()
    s3 = live.s3("newer")
    assert label_of(s3.head_bucket(Bucket="newer")) == "C"
    assert label_of(s3.get_object(Bucket="kept", Key="k")) == "U"
    told = json.loads(live.cli("audit", "show", "--last", "5000", "--json").stdout)
    begun = [one for one in told if one.get("operation") == "BeginLabelSettings"]
    assert len(begun) == 2
    assert adopted["sha256"] in json.dumps(begun)

    (live.home / "bastide.toml").write_text(toml("U", "U"))
    done = live.cli(*ADOPT, check=False)
    assert (done.returncode, "C is in use, and above the ceiling U" in done.stderr) == (1, True)


def test_a_region_of_another_scheme_starts_and_may_change_it_while_nothing_is_stored(tmp_path):
    nato = toml("NU", "NS").replace("ceiling", 'scheme = "nato"\nceiling', 1)
    live = LiveRegion(tmp_path / "site", toml=nato.replace('"NS"', '"NR"'))
    try:
        live.start().stop()
        live.toml = nato
        live.start()
        assert live.control.get("/status")["ceiling"] == "NS"
        assert label_of(live.client("sts").get_caller_identity()) == "NU"
    finally:
        live.stop()


def test_one_person_gives_nobody_more_to_do_alone_by_a_line_in_a_file(live, tmp_path):
    plain = live.toml
    loose = plain + f'[regions.{NAME}.approvals]\nbreak_glass = ["downgrade"]\n'
    live.stop()
    live.toml = loose
    live.start().stop()  # there is nobody yet who could sign
    live.toml = plain
    live.start()
    desk = Desk(live, tmp_path / "officers")
    for name in ("olga", "oscar"):
        desk.enrol(name, "security-officer")
    again = live.cli("rules", "adopt", check=False)
    assert (again.returncode, "exactly these rules" in again.stderr) == (1, True)
    live.stop()
    live.toml = loose
    with pytest.raises(AssertionError, match=r'break_glass was \["clear.*is \["downg.*rules adopt'):
        live.start()

    live.toml = plain
    live.start()
    (live.home / "bastide.toml").write_text(loose)
    request = desk.waits("rules", "adopt")
    action = live.control.get(f"/approvals/{request}")["action"]
    assert action["in_words"].startswith("approvals.break_glass was")
    for name in ("olga", "oscar"):
        desk.say(request, Verdict.APPROVE, name)
    live.cli("rules", "adopt")
    live.kill()
    live.toml = loose
    live.start()
    shown = {each["rule"]: each["value"] for each in json.loads(live.cli(*SHOW).stdout)}
    assert shown["approvals.break_glass"] == ["downgrade"]
    told = json.loads(live.cli("audit", "show", "--last", "5000", "--json").stdout)
    assert len([one for one in told if one.get("operation") == "BeginRules"]) == 4


def test_need_to_know_is_a_category_of_the_sites_own_scheme(tmp_path):
    own = toml("U", "S//HERON").replace("ceiling", 'scheme = "site.toml"\nceiling', 1)
    live = LiveRegion(tmp_path / "site", toml=own)
    (tmp_path / "site").mkdir()
    (tmp_path / "site" / "site.toml").write_text(schemes.text_of("us") + HERON)
    try:
        live.start()
        people = People(live, Desk(live, tmp_path / "officers"), most="S//HERON")
        people.begin()
        inside, outside = people.at("S//HERON"), people.at("S")
        outside.create_bucket(Bucket="nests", CreateBucketConfiguration=WHERE)
        inside.put_object(Bucket="nests", Key="heron", Body=b"x")
        assert label_of(inside.get_object(Bucket="nests", Key="heron")) == "S//HERON"
        assert outside.list_objects_v2(Bucket="nests")["KeyCount"] == 0
        with pytest.raises(ClientError, match="NoSuchKey"):
            outside.get_object(Bucket="nests", Key="heron")
    finally:
        live.stop()
