"""What the operators' API needs of each context; joined in `app.py`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from bastide.keys.keyring import KeyState
from bastide.policy.officers import NewOfficer

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

    def destroy(
        self, keys: Sequence[KeyState], requester: str, recorded: Callable[[], None]
    ) -> list[Row]:
        """`recorded` is called once it is approved, before anything is lost."""
        ...

    def rotate(self, keys: Sequence[KeyState]) -> Steps: ...


class ApprovalDesk(Protocol):
    def rows(self, *, all_: bool) -> list[Row]: ...

    def show(self, request_id: str) -> Row: ...

    def sign(self, statement: Mapping[str, Any], signature: str) -> Row: ...

    def officer_rows(self) -> list[Row]: ...

    def enrol(self, new: NewOfficer, requester: str) -> Row: ...

    def suspend(self, name: str) -> Row: ...

    def reinstate(self, name: str, requester: str) -> Row: ...


class Trail(Protocol):
    def operator(self, action: str, facts: Mapping[str, str]) -> "Future[Any]":
        """Record what an operator is about to do."""
        ...
