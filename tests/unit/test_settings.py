"""Every setting is documented in the sample file, and the sample is the defaults."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from bastide import settings
from bastide.kernel.labels.scheme import load as load_scheme

SAMPLE = Path(__file__).parents[2] / "bastide.toml"


def structs() -> list[type[msgspec.Struct]]:
    return [
        settings.SiteSettings,
        settings.RegionSettings,
        settings.JobSettings,
        settings.KnowledgeSettings,
        settings.ApprovalSettings,
        settings.EngineSettings,
        settings.EngineUrl,
    ]


@pytest.mark.parametrize("struct", structs())
def test_every_setting_stands_in_the_sample(struct):
    text = SAMPLE.read_text()
    for name in struct.__struct_fields__:
        assert re.search(rf"(^|[\[.{{,# ]){name}\b", text, re.M), f"{name} is not documented"


def test_every_setting_of_the_sample_follows_a_comment():
    lines = SAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"[a-z_]+ = ", line):
            above = [text for text in lines[max(0, number - 5) : number] if text.startswith("#")]
            assert above, f"{line!r} has no comment above"


def test_the_sample_is_the_defaults_but_for_what_three_regions_must_differ_in():
    loaded = settings.parse(SAMPLE.read_text())
    assert loaded == settings.SiteSettings(regions=loaded.regions)
    own = {
        settings.DEFAULT_REGION: (8443, "CUI", "U", 199_999, 200_000, 270_000),
        "us-isob-east-1": (8444, "SECRET", "SECRET", 399_999, 400_000, 470_000),
        "us-iso-east-1": (8445, "TOP SECRET//SI/TK", "TOP SECRET", 599_999, 600_000, 670_000),
    }
    assert loaded.regions == {
        name: settings.RegionSettings(
            port=port,
            ceiling=ceiling,
            default_label=label,
            uid=uid,
            jobs=settings.JobSettings(uid_first=jobs),
            transfer=settings.TransferSettings(uid_first=gate),
        )
        for name, (port, ceiling, label, uid, jobs, gate) in own.items()
    }


@pytest.mark.parametrize("name", settings.parse(SAMPLE.read_text()).regions)
def test_the_sample_s_labels_are_markings_below_the_ceiling(name):
    one = settings.parse(SAMPLE.read_text()).region(name)
    scheme = load_scheme(one.scheme)
    ceiling = scheme.clearance(one.ceiling)
    assert ceiling.dominates(scheme.parse(one.default_label))


TWO = """
[regions.us-gov-west-1]
port = 8443
{0}
[regions.us-gov-west-1.jobs]
uid_first = 200000
uid_count = 100
[regions.us-gov-east-1]
port = 8444
{1}
[regions.us-gov-east-1.jobs]
uid_first = 200100
uid_count = 100
[regions.us-gov-east-1.transfer]
uid_first = 280000
"""


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [
        ("database = 'd'", "database = 'd'", "both want the database d"),
        ("uid = 7", "uid = 7", "both want user id 7:"),
        ("uid = 200100", "", "both want user id 200100:"),
        ("", "uid = 200099", "both want user id 200099:"),
        ("uid = 200099", "", "us-gov-west-1 wants user id 200099 twice"),
        ("uid = 270015", "", "us-gov-west-1 wants user id 270015 twice"),
    ],
)
def test_two_regions_share_nothing(one, other, says):
    settings.parse(TWO.format("", ""))
    settings.parse(TWO.format("uid = 199999", "uid = 200200"))
    with pytest.raises(settings.SettingsError, match=says):
        settings.parse(TWO.format(one, other))


@pytest.mark.parametrize(
    ("written", "instead", "says"),
    [
        ("8444", "8443", "both want port 8443 of 127.0.0.1"),
        ("200100", "200099", "both want user id 200099: give each a uid, a jobs.uid_first"),
        ("uid_count = 100", "uid_count = 101", "both want user id 200100"),
        ("280000", "270015", "both want user id 270015"),
    ],
)
def test_two_regions_have_their_own_port_and_range(written, instead, says):
    with pytest.raises(settings.SettingsError, match=says):
        settings.parse(TWO.format("", "").replace(written, instead))


@pytest.mark.parametrize(
    ("one", "other", "says"),
    [("h:7", "h:7", "both want datagrams at h:7"), ("h", "", r"transfer\.udp"), ("", "h:x", "udp")],
)
def test_two_regions_read_datagrams_at_addresses_of_their_own(one, other, says):
    text = TWO.format("transfer.udp = 'h:7'", "").replace("280000", "280000\nudp = 'h:8'")
    settings.parse(text)
    with pytest.raises(settings.SettingsError, match=says):
        settings.parse(text.replace("h:7", one).replace("h:8", other))


def test_without_a_file_there_is_one_region():
    assert settings.SiteSettings().names() == [settings.DEFAULT_REGION]
    assert settings.parse(TWO.format("", "")).names() == ["us-gov-west-1", "us-gov-east-1"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("prot = 1", "prot"),
        ("[regions.x]\nprot = 1", "prot"),
        ("[regions.x]\nport = 70000", "port"),
        ("[regions.x.jobs]\ncpus = 0", "cpus"),
        ("[regions.x]\nport = '8443'", "port"),
        ("[regions", "Expected"),
    ],
)
def test_what_is_wrong_is_named(text, says):
    with pytest.raises(settings.SettingsError, match=says):
        settings.parse(text)


def test_home_and_config_come_from_the_environment(tmp_path):
    (tmp_path / "bastide.toml").write_text('default_model = "x"')
    site = settings.load({"BASTIDE_HOME": str(tmp_path)})
    assert site.settings.default_model == "x"
    assert site.control_socket("r") == tmp_path / "regions" / "r" / "control.sock"
    with pytest.raises(settings.SettingsError, match="does not exist"):
        settings.load({"BASTIDE_CONFIG": str(tmp_path / "none.toml")})


def test_the_sample_is_plain_toml():
    tomllib.loads(SAMPLE.read_text())


def test_who_judges_in_the_grey_zone_is_pinned_and_inside():
    plain = settings.RegionSettings()
    assert "guardrails" not in settings.Rules.of(plain).said
    judged = settings.RegionSettings(guardrails=settings.GuardrailSettings(judge_model="m"))
    rules = settings.Rules.of(judged)
    assert msgspec.json.decode(rules.said)["guardrails"] == {"judge_model": "m"}
    assert settings.Rules.parse(rules.said) == rules
    beyond = """
[regions.r]
air_gapped = false
[regions.r.guardrails]
judge_model = "a.b-v1:0"
[regions.r.upstreams."a.b-v1:0"]
kind = "anthropic"
url = "https://a.example"
model = "m"
key_file = "k"
"""
    with pytest.raises(settings.SettingsError, match=r"judge_model a\.b-v1:0 is beyond the walls"):
        settings.parse(beyond)


def test_a_rule_that_came_later_says_nothing_by_default():
    """What officers signed before stays good."""
    plain = settings.RegionSettings()
    assert "knowledge" not in settings.Rules.of(plain).said
    apart = settings.RegionSettings(knowledge=settings.KnowledgeSettings(portions_apart=True))
    assert msgspec.json.decode(settings.Rules.of(apart).said)["knowledge"] == {
        "portions_apart": True
    }
    assert settings.Rules.parse(settings.Rules.of(apart).said) == settings.Rules.of(apart)
