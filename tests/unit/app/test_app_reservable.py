"""What may be reserved at each label, as the site says it."""

from types import SimpleNamespace

import msgspec
import pytest

from bastide.app.provisioned import parts_mib
from bastide.kernel.labels.labelling import Labelling
from bastide.kernel.labels.scheme import load
from bastide.settings import EngineSettings, RegionSettings, SettingsError


def parts(**engines):
    scheme = load("us")
    settings = RegionSettings(engines=msgspec.convert(engines, EngineSettings))
    labelling = Labelling(scheme=scheme, ceiling=scheme.parse("S"), default=scheme.parse("U"))
    return parts_mib(SimpleNamespace(settings=settings, labelling=labelling))


def test_one_number_is_the_default_labels():
    assert parts(memory_budget_mib=1000) == {"U": 500}
    assert parts(memory_budget_mib=1000, reservable_mib=300) == {"U": 300}


def test_each_label_has_its_own():
    wanted = {"UNCLASSIFIED": 200, "S": 300}
    assert parts(memory_budget_mib=1000, reservable_mib=wanted) == {"U": 200, "S": 300}


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"U": 200, "S": 301}, "more than half of memory_budget_mib"),
        (1001, "more than memory_budget_mib"),
        ({"U": 1, "UNCLASSIFIED": 1}, "twice"),
        ({"BLUE": 1}, "reservable_mib: "),
        ({"TS": 1}, "above the region's ceiling"),
    ],
)
def test_what_cannot_be_is_said_at_the_start(wanted, why):
    with pytest.raises(SettingsError, match=why):
        parts(memory_budget_mib=1000, reservable_mib=wanted)
