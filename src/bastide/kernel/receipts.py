"""What a receipt of an inference or of a transfer holds, and its one form as text.

It is records of the audit log, each with its inclusion proof (RFC 9162), under one signed
checkpoint (C2SP): of an inference the call and its end, of a transfer the one of the act. Prompt
and answer are in it as HMACs under a salt that only the caller was told: the region can prove
nothing about them later, the caller can.
"""

import base64
import binascii
import hmac
import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

FORMAT = "bastide-receipt/1"
ID_HEADER = "x-bastide-receipt"
SALT_HEADER = "x-bastide-receipt-salt"
SALT_SIZE = 16
SIZE_MAX = 256 * 1024
PATH_MAX = 63  # of a tree whose leaves a 64-bit index counts
INFERENCES = frozenset({
    "bedrock-mantle.CreateChatCompletion",
    "bedrock-mantle.CreateEmbedding",
    "bedrock-mantle.CreateMessage",
    "bedrock-mantle.CreateResponse",
    "bedrock-runtime.Converse",
    "bedrock-runtime.ConverseStream",
    "bedrock-runtime.InvokeModel",
    "bedrock-runtime.InvokeModelWithResponseStream",
    "sagemaker-runtime.InvokeEndpoint",
    "sagemaker-runtime.InvokeEndpointWithResponseStream",
})  # fmt: skip
END_LOST = "EndLost"  # the code of a record that closes a call whose end nobody saw
LOST = "lost: the region stopped before it was recorded"
_MARK = "hmac-sha256:"
_index_bytes = struct.Struct(">Q").pack


class BadReceipt(ValueError):
    """A text that is no receipt, or not in the one form that a receipt has."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inference:
    """What the end of an inference says. What is not known says `absent: why`, or is None."""

    model: str
    model_digest: str
    prompt: str
    answer: str
    label: str
    policy: str
    guardrail: str
    input_tokens: int | None
    output_tokens: int | None
    energy_j: float | None
    energy: str  # how it is known, the model said


def lost_inference(asked: str, session: str) -> Inference:
    """Of one whose end nobody saw: what was asked is known, and nothing of what came of it."""
    absent = "absent: the end of the call was lost"
    return Inference(
        model=f"{absent}; asked was {asked}",
        model_digest=absent,
        prompt=absent,
        answer=absent,
        label=f"{absent}; the session was {session}",
        policy=absent,
        guardrail=absent,
        input_tokens=None,
        output_tokens=None,
        energy_j=None,
        energy=absent,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer:
    """What an act at the gate was about. Both regions' receipts say the same `bundle`. What is
    not known, or was not there, says `absent: why`."""

    bundle: str
    sender: str
    receiver: str
    direction: str  # up | down
    agency: str
    label: str  # of all that is in it, together
    items: int | None
    size: int | None  # bytes
    filters: tuple[str, ...]  # in order: each one's name and the digest of what it signed
    filter_versions: tuple[str, ...]  # of each filter's code, as it signed it
    officers: tuple[str, ...]
    approval: str  # the digest of the action that they signed
    place: str = ""  # where a release put it
    refused: str = ""  # why it was


@dataclass(frozen=True, slots=True)
class Proved:
    """A record of the log and the way from its leaf up to the tree head."""

    index: int
    body: bytes
    path: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Receipt:
    """`call` is None in the receipt of a transfer."""

    call: Proved | None
    end: Proved
    checkpoint: str

    def text(self) -> str:
        """Canonical: `parse` takes no other spelling of the same receipt."""
        fields = {
            "format": FORMAT,
            **({} if self.call is None else {"call": _shown(self.call)}),
            "end": _shown(self.end),
            "checkpoint": self.checkpoint,
        }
        return json.dumps(fields, indent=1) + "\n"


def parse(text: str) -> Receipt:
    """The receipt that this text is, to the byte. Raises BadReceipt."""
    if len(text) > SIZE_MAX:
        raise BadReceipt("it is too long")
    try:
        fields = json.loads(text)
        call = _read(fields["call"]) if "call" in fields else None
        found = Receipt(call, _read(fields["end"]), fields["checkpoint"])
        whole = found.text()
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadReceipt("it is not a receipt") from error
    if whole != text:
        raise BadReceipt("it is not in the form that receipts have")
    return found


def entry(index: int, body: bytes) -> bytes:
    """What the log hashes as a leaf: a record that was moved betrays itself."""
    return _index_bytes(index) + body


def commitment(salt: bytes, data: bytes) -> str:
    return committed(begin_commitment(salt, data))


def begin_commitment(salt: bytes, data: bytes = b"") -> "hmac.HMAC":
    return hmac.new(salt, data, "sha256")


def committed(running: "hmac.HMAC") -> str:
    return _MARK + running.hexdigest()


def conversation(request: Mapping[str, Any]) -> bytes:
    """The bytes that stand for the prompt of a Converse request: its system text and messages,
    and its tools if it has some."""
    said = {name: request.get(name) or [] for name in ("messages", "system")}
    if request.get("toolConfig"):
        said["toolConfig"] = request["toolConfig"]
    return _said(said).encode("utf-8", "surrogatepass")


def _as_base64(value: Any) -> str:
    """As JSON has bytes: those of a document."""
    return base64.b64encode(value).decode()


_said = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=_as_base64
).encode


def _shown(proved: Proved) -> dict[str, Any]:
    return {
        "index": proved.index,
        "body": proved.body.decode(),
        "path": [base64.b64encode(sibling).decode() for sibling in proved.path],
    }


def _read(fields: Mapping[str, Any]) -> Proved:
    index, path = fields["index"], fields["path"]
    if type(index) is not int or not 0 <= index < 2**63 or len(path) > PATH_MAX:
        raise BadReceipt("its place in the log is none")
    return Proved(index, fields["body"].encode(), tuple(_sibling(each) for each in path))


def _sibling(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise BadReceipt("its proof is not base64") from error
