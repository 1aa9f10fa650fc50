"""What a session does not dominate changes nothing that it is told of what thinks, over HTTP, on a
real region with a real engine."""

import pytest

from tests.ni.chapters import CHAPTERS
from tests.ni.stage import Stage
from tests.ni.thinking import SERVICES, difference
from tests.walls_live import walled


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    live = walled(tmp_path_factory.mktemp("thinking"))
    for model in ("smollm2-135m", "minilm-l6-v2"):
        live.cli("models", "pull", model)
    yield Stage(live, services=SERVICES)
    live.stop()


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_is_above_is_not_seen_below(stage, chapter):
    assert difference(stage, "few", {chapter: CHAPTERS[chapter]}, set()) == ""
