"""The gate's filters read labels by the very scheme that the region began with."""

from types import SimpleNamespace

import pytest

from bastide.app.transfer import _scheme_source
from bastide.kernel.labels.labelling import Labelling
from bastide.kernel.labels.scheme import load, text_of
from bastide.settings import RegionSettings, SettingsError


def test_a_scheme_that_is_another_when_it_is_read_again_is_refused(tmp_path):
    own = tmp_path / "own.toml"
    own.write_text(text_of("us"))
    scheme = load("own.toml", own)
    lowest = scheme.parse("U")
    core = SimpleNamespace(
        settings=RegionSettings(scheme="own.toml"),
        home=tmp_path / "regions" / "r",
        labelling=Labelling(scheme=scheme, ceiling=lowest, default=lowest),
    )
    own.write_text("# another comment\n" + text_of("us"))
    assert _scheme_source(core).text == own.read_text()
    own.write_text(text_of("nato"))
    with pytest.raises(SettingsError, match="has changed"):
        _scheme_source(core)
    own.write_text("no scheme")
    with pytest.raises(SettingsError, match="labels"):
        _scheme_source(core)
