"""`store`: a whole S3 on each database."""

import pytest
from tests.stores import Store


@pytest.fixture
def store(database, tmp_path):
    made = Store(database, tmp_path / "objects")
    yield made
    made.close()
