"""One live region for all service tests; a fresh one for those that kill it."""

import os
from pathlib import Path

import pytest
from tests.clients import client_python
from tests.live import NAME, LiveRegion, data_home, toml_for
from tests.officers_live import Desk
from tests.postgres import PostgresServer
from tests.scripted_model import SCRIPTED, scripted_model


@pytest.fixture(scope="session")
def new_toml(request):
    """Makes the settings of a fresh region: on SQLite, or as `--database` says."""
    if request.config.getoption("--database") == "sqlite":
        yield lambda name=NAME: toml_for(name=name)
        return
    server = PostgresServer()
    yield lambda name=NAME: toml_for(server.new_database(), name)
    server.stop()


@pytest.fixture
def sqlite_only(request):
    if request.config.getoption("--database") != "sqlite":
        pytest.skip("it opens SQLite's own file")


@pytest.fixture(scope="session")
def region(tmp_path_factory, new_toml):
    live = LiveRegion(tmp_path_factory.mktemp("site"), toml=new_toml()).start()
    yield live
    live.stop()


@pytest.fixture(scope="session")
def desk(region):
    """The region's officers: `desk.agreed(call)` is what it answers once they have signed."""
    return Desk(region, region.home / "officers")


@pytest.fixture(scope="session")
def trained_region(region):
    """The region, with the environment `sklearn` and the small model in place."""
    region.cli("env", "build", "sklearn")
    region.cli("models", "pull", "smollm2-135m")
    return region


@pytest.fixture(scope="session")
def touring_region(tmp_path_factory, new_toml):
    """One without officers, as at a first try, with the tour's clients in place too."""
    live = LiveRegion(tmp_path_factory.mktemp("touring"), toml=new_toml()).start()
    live.cli("env", "build", "sklearn")
    live.cli("models", "pull", "smollm2-135m")
    clients = live.home / "clients"
    clients.mkdir()
    (clients / "tour").symlink_to(client_python("sagemaker-v2").parents[1])
    yield live
    live.stop()


@pytest.fixture(scope="module")
def scripted_region(tmp_path_factory):
    """One whose only model does what it is asked: where a test is of what follows, and a real one
    might choose otherwise."""
    with scripted_model() as url:
        toml = f"""
[regions.{NAME}]
port = 0
[regions.{NAME}.engines]
urls = {{ "{SCRIPTED}" = {{ url = "{url}", model = "scripted" }} }}
"""
        live = LiveRegion(tmp_path_factory.mktemp("scripted"), toml=toml).start()
        yield live
        live.stop()


@pytest.fixture
def own_region(tmp_path, new_toml):
    """A region of the test's own, to kill and to start again."""
    live = LiveRegion(tmp_path, toml=new_toml()).start()
    yield live
    live.stop()


@pytest.fixture(scope="session")
def data() -> Path:
    """The real data sets; where they must be (CI) a missing folder fails."""
    home = data_home()
    if not home.exists():
        if os.environ.get("CI"):
            pytest.fail(f"{home} is not here; CI must have it")
        pytest.skip(f"no data at {home}: set BASTIDE_DATA")
    return home
