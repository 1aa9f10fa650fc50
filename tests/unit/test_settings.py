"""Every setting is documented in the sample file, and the sample is the defaults."""

import re
import tomllib
from pathlib import Path

import msgspec
import pytest

from bastide import settings

SAMPLE = Path(__file__).parents[2] / "bastide.toml"


def structs() -> list[type[msgspec.Struct]]:
    return [
        settings.SiteSettings,
        settings.RegionSettings,
        settings.JobSettings,
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


def test_the_sample_is_the_defaults():
    loaded = settings.parse(SAMPLE.read_text())
    assert loaded.regions == {settings.DEFAULT_REGION: settings.RegionSettings()}
    assert loaded == settings.SiteSettings(regions=loaded.regions)


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
