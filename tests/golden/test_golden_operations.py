"""docs/operations.md says what the code does; `UPDATE_GOLDEN=1` writes it anew."""

from pathlib import Path

from bastide.app.operations_page import page
from tests.golden import goldens

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_operations_page(in_region):
    async def made(region) -> str:
        return page(region.gateway, region.catalogue)

    goldens.check(PAGE, in_region(made))
