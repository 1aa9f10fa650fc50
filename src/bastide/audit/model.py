"""What a record of the audit trail may say: a closed set of fields, all of them bounded."""

from enum import StrEnum

import msgspec

from bastide.kernel import arns
from bastide.kernel.receipts import Inference, Transfer

TEXT_MAX = 1024
RESOURCES_MAX = 32


class Kind(StrEnum):
    """Why there is a record."""

    CALL = "call"  # allowed, and about to have its effect
    DENIED = "denied"  # refused before it had an effect
    REJECTED = "rejected"  # its sender is not known
    CLOSED = "closed"  # how a call ended
    OPERATOR = "operator"
    JOB = "job"


class Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One record, as JSON with its fields in this order and the empty ones left out.

    `account` and `time` (epoch milliseconds) come first and are always there: the verifier
    compares them with the columns that look-ups filter by.
    """

    account: str
    time: int
    kind: str
    id: str
    request_id: str = ""
    operation: str = ""
    principal: str = ""
    user_id: str = ""
    access_key: str = ""
    source_ip: str = ""
    user_agent: str = ""
    resources: dict[str, str] = {}
    decision: str = ""
    status: int = 0
    code: str = ""
    opened: int | None = None  # CLOSED: the index of the CALL that it closes
    facts: dict[str, str] = {}
    inference: Inference | None = None  # CLOSED: what its receipt says
    transfer: Transfer | None = None  # OPERATOR: what the receipt of an act at the gate says
    label: str = ""  # the session's marking; "" in what is nobody's session, or older than labels


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(Record)


def encode(record: Record) -> bytes:
    return _encoder.encode(record)


def decode(body: bytes) -> Record:
    """Raises msgspec.DecodeError for what is no record."""
    return _decoder.decode(body)


def has_an_end(record: Record) -> bool:
    """Whether it is told, here, how it ended: of a call, but not of what was read beside one of
    another account (it has no request), nor of what tells an owner of such a read: the reader's
    trail has that end."""
    who = arns.parse(record.principal)
    is_anothers = who is not None and who.account not in ("", record.account)
    return record.kind == Kind.CALL and bool(record.request_id) and not is_anothers


def bounded(text: str, size_max: int = TEXT_MAX) -> str:
    """`text` as it may stand in a record: short, and encodable even if it came from hostile
    bytes."""
    short = text[:size_max]
    return short if short.isascii() else short.encode("utf-8", "replace").decode("utf-8")
