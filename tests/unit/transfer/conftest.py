"""A region below, a bundle of it, and the receiving end of datagrams above."""

import pytest
from tests.diode_kit import DATA, Far
from tests.transfer_kit import LOW, Held, gate_of, made

from bastide.transfer.signing import Anchors


@pytest.fixture(scope="module")
def low(tmp_path_factory):
    return gate_of(tmp_path_factory.mktemp("low"), LOW, "U")


@pytest.fixture(scope="module")
def bundle(low):
    return made(low, Held("a", DATA))


@pytest.fixture(scope="module")
def trust(low):
    return Anchors([low.anchor()])


@pytest.fixture
def far(tmp_path, trust):
    return Far(tmp_path / "incoming", trust)
