"""One site of three regions for all tests of this folder that do not stop one."""

import pytest
from tests.three import three_regions


@pytest.fixture(scope="session")
def three(tmp_path_factory):
    with three_regions(tmp_path_factory.mktemp("three")) as site:
        yield site
