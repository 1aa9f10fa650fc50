"""What the operators' API needs of each context; joined in `app.py`."""

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from bastide.keys.keyring import KeyState

Row = dict[str, Any]
Steps = Iterator[dict[str, Any]]


class AgencyDesk(Protocol):
    def rows(self) -> list[Row]: ...

    def create(self, name: str, account_id: str | None) -> Row: ...

    def create_many(self, names: Sequence[str]) -> int: ...

    def client_env(self, name: str, *, bearer: bool) -> dict[str, str]:
        """The environment variables of an administrator of agency `name`."""
        ...


class EnvironmentDesk(Protocol):
    def rows(self) -> list[Row]: ...

    def build(self, name: str) -> Steps: ...

    def import_oci(self, tar: str, name: str) -> Steps: ...


class ModelDesk(Protocol):
    def rows(self) -> list[Row]: ...

    def pull(self, name: str) -> Steps: ...

    def add(self, request: Mapping[str, Any]) -> Steps: ...

    def alias(self, alias: str, model: str) -> Row: ...


class KeyDesk(Protocol):
    """`chosen` answers the keys that the others are about."""

    def rows(self, agency: str) -> list[Row]: ...

    def chosen(self, agency: str, label: str | None) -> list[KeyState]: ...

    def check_confirmed(self, agency: str, keys: Sequence[KeyState], confirm: str) -> None: ...

    def rotate(self, keys: Sequence[KeyState]) -> Steps: ...

    def destroy(self, keys: Sequence[KeyState]) -> list[Row]: ...


class Trail(Protocol):
    def operator(self, action: str, facts: Mapping[str, str]) -> "Future[Any]":
        """Record what an operator is about to do."""
        ...
