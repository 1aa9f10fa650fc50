"""One region for all that is asked about shares."""

import pytest
from tests.shares_live import Two
from tests.walls_live import walled


@pytest.fixture(scope="package")
def two(tmp_path_factory):
    region = walled(tmp_path_factory.mktemp("shares"))
    yield Two(region)
    region.stop()
