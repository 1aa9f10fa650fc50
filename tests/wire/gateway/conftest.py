import pytest

from tests.wire.gateway.kit import World


@pytest.fixture
def world():
    made = World()
    yield made
    made.close()
