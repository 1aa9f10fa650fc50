"""docs/operations.md says what the code does; `UPDATE_GOLDEN=1` writes it anew."""

import asyncio
import os
from pathlib import Path

from bastide.app.operations_page import page
from bastide.app.region import RegionProcess
from bastide.settings import load

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_operations_page(tmp_path):
    (tmp_path / "bastide.toml").write_text("[regions.us-gov-west-1]\nport = 0\n")

    async def made() -> str:
        region = RegionProcess(load({"BASTIDE_HOME": str(tmp_path)}), "us-gov-west-1")
        try:
            return page(region.gateway, region.catalogue)
        finally:
            region.listener.close()
            await region.close()

    text = asyncio.run(made())
    if os.environ.get("UPDATE_GOLDEN"):
        PAGE.write_text(text)
    assert PAGE.read_text() == text, "run UPDATE_GOLDEN=1 and review the difference"
