"""The same region on PostgreSQL: store, train, talk to the control planes, prove."""

import pytest
from tests.live import LiveRegion, toml_for
from tests.postgres import PostgresServer
from tests.service import test_service_slice as slice_


@pytest.fixture(scope="module")
def url():
    server = PostgresServer()
    yield server.new_database()
    server.stop()


@pytest.fixture(scope="module")
def region(tmp_path_factory, url):
    live = LiveRegion(tmp_path_factory.mktemp("pg"), toml=toml_for(url)).start()
    live.cli("env", "build", "sklearn")
    live.cli("models", "pull", "smollm2-135m")
    yield live
    live.stop()


@pytest.fixture(scope="module")
def trained_region(region):
    return region


trained = slice_.trained
test_who_am_i = slice_.test_who_am_i
test_store_and_read_back = slice_.test_store_and_read_back
test_train = slice_.test_train
test_log = slice_.test_log
test_prove = slice_.test_prove
test_agencies_do_not_see_each_other = slice_.test_agencies_do_not_see_each_other


def test_it_starts_again(region):
    region.kill()
    region.start()
    buckets = region.client("s3").list_buckets()["Buckets"]
    assert "slice" in {bucket["Name"] for bucket in buckets}
