"""`world`: knowledge bases on fakes."""

import pytest
from tests.knowledge_world import World

from bastide.knowledge import records


@pytest.fixture
def world(database):
    assert records.bases.name == "knowledge_bases"
    return World(database).make()


@pytest.fixture
def world_with_portions_apart(database):
    return World(database, portions_are_apart=True).make()
