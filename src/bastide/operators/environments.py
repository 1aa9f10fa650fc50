"""Environments, as operators see them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.environments.bench import BuildFailed
from bastide.environments.catalogue import Environments
from bastide.environments.oci import BadImage
from bastide.kernel.errors import Unavailable


@dataclass(frozen=True, slots=True)
class EnvironmentRoom:
    """What `bastide env …` asks for."""

    environments: Environments

    def rows(self) -> list[dict[str, Any]]:
        return [
            {**row, "digest": str(row["digest"])[:19], "images": " ".join(_texts(row["images"]))}
            for row in self.environments.listing()
        ]

    def build(self, name: str) -> Iterator[dict[str, Any]]:
        yield from self._told(self.environments.build(name), name)

    def import_oci(self, tar: str, name: str) -> Iterator[dict[str, Any]]:
        yield from self._told(self.environments.import_oci(Path(tar), name), name)

    def _told(self, steps: Iterator[str], name: str) -> Iterator[dict[str, Any]]:
        try:
            for step in steps:
                yield {"step": step}
        except (BuildFailed, BadImage) as error:
            raise Unavailable(str(error)) from error
        made = next(row for row in self.rows() if row["name"] == name)
        yield {"result": made}


def _texts(value: object) -> list[str]:
    return [str(one) for one in value] if isinstance(value, list) else []
