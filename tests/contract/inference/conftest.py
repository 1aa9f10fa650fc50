"""Real weights: fetched once, by the product's own pull, into the cache of the test suite."""

import pytest
from tests.labels_kit import labelling
from tests.live import cache_home

from bastide.kernel.clock import SystemClock
from bastide.models.aliases import Aliases
from bastide.models.catalogue import Models, packaged
from bastide.models.shelf import Shelf


@pytest.fixture(scope="session")
def smol(tmp_path_factory):
    """Models with SmolLM2 admitted."""
    shelf = Shelf(folder=cache_home() / "models", clock=SystemClock())
    aliases = Aliases(tmp_path_factory.mktemp("aliases") / "aliases.json", {})
    models = Models(shelf=shelf, entries=packaged(), aliases=aliases, labelling=labelling())
    for _ in models.pull("smollm2-135m"):
        pass
    return models


@pytest.fixture(scope="session")
def qwen(smol):
    """The same models, with Qwen2.5 Coder 0.5B admitted: it knows tools a little."""
    for _ in smol.pull("qwen2.5-coder-0.5b"):
        pass
    return smol
