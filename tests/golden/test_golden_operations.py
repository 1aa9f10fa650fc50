"""docs/operations.md says what the code does; `UPDATE_GOLDEN=1` writes it anew."""

from pathlib import Path

from bastide.app.operations_page import page
from tests.golden import goldens
from tests.registry import ask_region

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"


def test_operations_page(tmp_path):
    made = ask_region(tmp_path, lambda region: page(region.gateway, region.catalogue))
    goldens.check(PAGE, made)
