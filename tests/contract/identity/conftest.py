"""A site on each database, and the administrator of its agency `alpha`."""

import pytest
from tests.identity_kit import site_at


@pytest.fixture
def site(database, tmp_path):
    return site_at(database, tmp_path)


@pytest.fixture
def admin(site):
    return site.administrator("alpha")
