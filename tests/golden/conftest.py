"""A region that serves nobody, to be asked what it would do."""

import asyncio

import pytest

from bastide.app.region import RegionProcess
from bastide.settings import load


@pytest.fixture
def in_region(tmp_path):
    """`in_region(work)`: what the coroutine `work(region)` answers."""
    (tmp_path / "bastide.toml").write_text("[regions.us-gov-west-1]\nport = 0\n")

    async def made(work):
        region = RegionProcess(load({"BASTIDE_HOME": str(tmp_path)}), "us-gov-west-1")
        try:
            return await work(region)
        finally:
            region.listener.close()
            await region.close()

    return lambda work: asyncio.run(made(work))
