"""The receipt's verifier: offline, with the region's public key and the kernel only."""

import json
from dataclasses import dataclass, field
from typing import Any

from bastide.kernel.merkle import leaf_hash, verify_inclusion
from bastide.kernel.notes import BadNote, Checkpoint, parse_verifier
from bastide.kernel.receipts import (
    END_LOST,
    LOST,
    BadReceipt,
    Proved,
    Receipt,
    commitment,
    conversation,
    entry,
    parse,
)

SUCCESS = range(200, 300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a caller kept, to be held against a receipt's hashes. None is not looked at."""

    salt: bytes
    prompt: bytes | None = None
    answer: bytes | None = None


@dataclass(slots=True, kw_only=True)
class Finding:
    """What the receipt says, and each reason why it does not hold."""

    origin: str = ""
    index: int = -1
    size: int = 0
    said: dict[str, Any] = field(default_factory=dict)
    faults: list[str] = field(default_factory=list)
    opened: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """For a machine."""
        return {
            "ok": self.ok,
            "origin": self.origin,
            "index": self.index,
            "size": self.size,
            "receipt": self.said,
            "opened": self.opened,
            "faults": self.faults,
        }

    def text(self) -> str:
        """For a person."""
        lines = [f"{name}: {_told(value)}" for name, value in self.said.items()]
        lines += [f"the {name} is the one that was kept" for name in self.opened]
        lines += [f"FAULT {fault}" for fault in self.faults]
        if not self.ok:
            return "\n".join([*lines, "The receipt does NOT hold."])
        where = f"record {self.index} of {self.size} in the log of {self.origin}"
        return "\n".join([*lines, f"The receipt holds: {where}."])


def _told(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "absent" if value is None else str(value)


def verify_receipt(content: bytes, public_key: str, opening: Opening | None = None) -> Finding:
    """Check a receipt's file. Raises BadNote when the public key is none."""
    verifier = parse_verifier(public_key)
    try:
        receipt = parse(content.decode())
        checkpoint = verifier.open(receipt.checkpoint)
    except (BadReceipt, BadNote, UnicodeDecodeError) as error:
        return Finding(faults=[str(error)])
    found = Finding(origin=checkpoint.origin, index=receipt.end.index, size=checkpoint.size)
    if receipt.checkpoint.count("\n") != checkpoint.text().count("\n") + 2:
        found.faults.append("its checkpoint carries more than one signature")
    for name, proved in (("call", receipt.call), ("end", receipt.end)):
        if proved is not None and not _included(proved, checkpoint):
            found.faults.append(f"the record of its {name} is not in the log that was signed")
    if found.ok:
        _read(receipt, found)
    if found.ok and opening is not None:
        _open(opening, found)
    return found


def _included(proved: Proved, checkpoint: Checkpoint) -> bool:
    leaf = leaf_hash(entry(proved.index, proved.body))
    return verify_inclusion(proved.index, checkpoint.size, leaf, proved.path, checkpoint.root)


def _read(receipt: Receipt, found: Finding) -> None:
    if receipt.call is None:
        _read_transfer(json.loads(receipt.end.body), found)
    else:
        _read_inference(receipt, receipt.call, found)


def _read_transfer(act: dict[str, Any], found: Finding) -> None:
    if act.get("kind") != "operator" or not act.get("transfer"):
        found.faults.append("its record is no act at the gate")
        return
    names = ("id", "operation")
    found.said = {name: act[name] for name in names} | {"at_ms": act["time"]} | act["transfer"]


def _read_inference(receipt: Receipt, opened: Proved, found: Finding) -> None:
    """The log vouches for both records; whether they are one inference's is seen here."""
    call, end = json.loads(opened.body), json.loads(receipt.end.body)
    together = end.get("opened") == opened.index and all(
        call.get(name) == end.get(name) for name in ("id", "request_id", "account", "operation")
    )
    if (call.get("kind"), end.get("kind")) != ("call", "closed") or not together:
        found.faults.append("its records are not a call and that call's end")
        return
    is_lost = end.get("code") == END_LOST and not end.get("status")
    if not (is_lost or end.get("status") in SUCCESS) or not end.get("inference"):
        found.faults.append("the call was no inference that succeeded")
        return
    ended: dict[str, Any] = {"ended_ms": end["time"]}
    if is_lost:
        ended = {"ended_ms": None, "end": LOST, "found_ms": end["time"]}
    elif end.get("code"):  # its stream had begun, and ended in an error: it is of what was written
        ended["end"] = f"broke off: {end['code']}"
    names = ("id", "operation", "principal")
    found.said = {
        "agency": call["account"],
        **{name: call.get(name, "") for name in names},
        "began_ms": call["time"],
        **ended,
        **end["inference"],
    }


def _open(opening: Opening, found: Finding) -> None:
    if "bundle" in found.said:
        found.faults.append("a transfer has no prompt and no answer")
        return
    if "found_ms" in found.said:
        found.faults.append("the end of the call was lost, and with it prompt and answer")
        return
    is_talk = str(found.said["operation"]).rpartition(".")[2].startswith("Converse")
    for name, kept in (("prompt", opening.prompt), ("answer", opening.answer)):
        if kept is None:
            continue
        try:
            data = conversation(json.loads(kept)) if is_talk and name == "prompt" else kept
        except (ValueError, AttributeError):
            found.faults.append("the prompt that was kept is not a Converse request in JSON")
            continue
        if commitment(opening.salt, data) == found.said[name]:
            found.opened.append(name)
        else:
            found.faults.append(f"the {name} that was kept is not the one of the receipt")
