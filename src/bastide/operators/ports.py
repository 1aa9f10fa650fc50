"""What the operators' API needs of each context; joined in `app.py`."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Protocol

from bastide.evidence.retirements import Asked
from bastide.kernel.receipts import Receipt, Transfer
from bastide.keys.keyring import KeyState
from bastide.operators.agencies import EnvAsked
from bastide.policy.officers import NewOfficer

Row = dict[str, Any]
Steps = Iterator[dict[str, Any]]


class AgencyDesk(Protocol):
    def rows(self) -> list[Row]: ...

    def create(self, name: str, account_id: str | None) -> Row: ...

    def create_many(self, names: Sequence[str]) -> int: ...

    def client_env(self, asked: EnvAsked, recorded: Callable[[], None]) -> dict[str, str]:
        """The environment variables of an agency's client. `recorded` is called before keys are
        handed out; NotApproved until two security officers have signed for that, if it was done
        before and there are officers."""
        ...


class AgencyLabelDesk(Protocol):
    def row(self, name: str) -> Row: ...

    def put(self, name: str, marking: str, requester: str) -> Row:
        """NotApproved until two officers have signed for exactly this."""
        ...


class RegionLabelDesk(Protocol):
    def adopt(self, scheme: str, default_label: str, ceiling: str, requester: str) -> Row:
        """NotApproved until two officers have signed for exactly this."""
        ...


class RuleDesk(Protocol):
    def row(self) -> Row:
        """What one person may do alone."""
        ...

    def adopt(self, rules: str, requester: str) -> Row:
        """NotApproved until two officers have signed for exactly this."""
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


class ReceiptDesk(Protocol):
    def receipt(self, event_id: str) -> Receipt: ...


class RetirementDesk(Protocol):
    def retire(self, asked: Asked) -> Row:
        """NotApproved until a security officer and an auditor have signed for exactly this."""
        ...


class RotationDesk(Protocol):
    def rotate(self, requester: str) -> Row:
        """NotApproved until two security officers have signed for the end of this very key."""
        ...


class LabelDesk(Protocol):
    def graph(self, agency: str, arn: str) -> Row:
        """What an agency's thing is marked and was made of."""
        ...

    def lower(self, agency: str, thing: Mapping[str, str], requester: str) -> Row:
        """NotApproved until a reviewer and a releaser have signed for exactly this."""
        ...


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

    def rotate_all(self) -> Steps: ...


class ApprovalDesk(Protocol):
    def rows(self, *, all_: bool) -> list[Row]: ...

    def show(self, request_id: str) -> Row: ...

    def sign(self, statement: Mapping[str, Any], signature: str) -> Row: ...

    def officer_rows(self) -> list[Row]: ...

    def enrol(self, new: NewOfficer, requester: str) -> Row: ...

    def suspend(self, name: str) -> Row: ...

    def reinstate(self, name: str, requester: str) -> Row: ...


class PolicyDesk(Protocol):
    """Agencies' own Cedar policies. `asked` of `why` names a principal, an action, a resource."""

    def rows(self, agency: str) -> list[Row]: ...

    def put(self, agency: str, name: str, text: str) -> Row: ...

    def remove(self, agency: str, name: str) -> None: ...

    def test(self, agency: str, name: str, text: str, cases: Any) -> list[Row]: ...

    def why(self, agency: str, asked: Mapping[str, Any]) -> Row: ...


class TransferDesk(Protocol):
    def rows(self) -> list[Row]: ...

    def create(self, body: Mapping[str, Any]) -> Steps: ...

    def inspect(self, name: str) -> Steps: ...

    def anchor(self) -> Row:
        """The public keys of this region."""
        ...

    def trust(self, text: str) -> Row: ...

    def send(self, name: str, spool: str) -> Steps: ...

    def send_udp(self, name: str, way: Mapping[str, Any]) -> Steps: ...

    def receive(self, spool: str) -> Steps:
        """`spool` "": what came as datagrams."""
        ...

    def filter(self, name: str) -> Steps: ...

    def review(self, name: str, part: str) -> Steps: ...

    def release(self, name: str, body: Mapping[str, Any]) -> Steps: ...


class ShareDesk(Protocol):
    """What agencies read of each other's buckets. `asked` of `grant`: bucket, reader, prefix and
    label."""

    def rows(self, agency: str) -> list[Row]: ...

    def grant(self, agency: str, asked: Mapping[str, str], requester: str) -> Row:
        """NotApproved until two security officers have signed for exactly this."""
        ...

    def revoke(self, agency: str, alias: str) -> Row: ...


class ClearanceDesk(Protocol):
    def rows(self, agency: str) -> list[Row]: ...

    def grant(self, agency: str, who: str, label: str, requester: str) -> list[Row]:
        """NotApproved until two security officers have signed for exactly this."""
        ...

    def revoke(self, agency: str, who: str) -> Row: ...


class DutyDesk(Protocol):
    """Both changes raise NotApproved until two security officers have signed for exactly this."""

    def rows(self, agency: str) -> list[Row]: ...

    def grant(self, agency: str, who: str, duty: str, requester: str) -> list[Row]: ...

    def remove(self, agency: str, who: str, requester: str) -> list[Row]: ...


class Trail(Protocol):
    def operator(self, action: str, facts: Mapping[str, str]) -> "Future[Any]":
        """Record what an operator is about to do."""
        ...

    def transfer(
        self, action: str, facts: Mapping[str, str], transfer: Transfer
    ) -> "tuple[str, Future[Any]]":
        """Record an act at the gate; first the id of its receipt."""
        ...
