"""Well-known ids under which local models are served too: the site's, and those added later."""

import threading
from collections.abc import Mapping
from pathlib import Path

import msgspec

from bastide.db import durable
from bastide.kernel.errors import ServiceError
from bastide.models.naming import is_model_id

ALIASES_MAX = 1000


class Aliases:
    """`path` is a JSON file of this region; `site` are those of bastide.toml, which win."""

    def __init__(self, path: Path, site: Mapping[str, str]) -> None:
        self._path = path
        self._site = dict(site)
        self._door = threading.Lock()
        self._all = {**self._load(), **self._site}

    def all(self) -> Mapping[str, str]:
        """Alias → the name or id of the model that answers for it."""
        return self._all

    def add(self, alias: str, model: str) -> None:
        """Durable when this returns."""
        if not is_model_id(alias):
            raise ServiceError("ValidationException", f"{alias} does not look like a model id.")
        with self._door:
            if alias in self._site:
                raise ServiceError("ValidationException", f"bastide.toml already says {alias}.")
            kept = {**self._load(), alias: model}
            if len(kept) > ALIASES_MAX:
                raise ServiceError("ValidationException", f"At most {ALIASES_MAX} aliases.")
            durable.folder(self._path.parent)
            durable.replace(self._path, msgspec.json.encode(kept))
            self._all = {**kept, **self._site}

    def _load(self) -> dict[str, str]:
        if not self._path.exists():
            return {}
        return msgspec.json.decode(self._path.read_bytes(), type=dict[str, str])
