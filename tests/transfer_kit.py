"""Bundles for tests, made by the real gate of a region that is a folder."""

import json
from dataclasses import dataclass, field
from pathlib import Path

from bastide.kernel.clock import ManualClock
from bastide.kernel.ids import SeededIds
from bastide.transfer.bundles import Bundle
from bastide.transfer.gate import Gate, open_gate
from bastide.transfer.model import Item, Origin

LOW, HIGH = "us-gov-west-1", "us-iso-east-1"
ORIGIN = Origin(region=LOW, agency="demo", account="123456789012", bucket="kept", prefix="")


@dataclass(frozen=True)
class Held:
    """A source that is bytes."""

    name: str
    data: bytes
    kind: str = "object"
    label: str = "U"
    tags: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, str] = field(default_factory=dict)

    @property
    def size(self):
        return len(self.data)

    def open(self):
        item = Item(kind=self.kind, name=self.name, size=self.size, sha256="", label=self.label,
                    tags=self.tags, provenance=self.provenance)  # fmt: skip
        return item, iter([self.data[:3], self.data[3:]] if self.data else [])


def gate_of(folder: Path, region: str = LOW, ceiling: str = "U", seed: int = 0) -> Gate:
    facts = {"region": region, "ceiling": ceiling}
    return open_gate(folder, facts, ManualClock(), SeededIds(seed))


def made(gate: Gate, *sources: Held, base: str = "", to: str = HIGH, origin=None) -> Bundle:
    origin = origin or Origin(**{**as_dict(ORIGIN), "region": gate.region})
    *_, last = gate.create(to, origin, base, sources)
    return last["made"]


def as_dict(origin: Origin) -> dict[str, str]:
    return {name: getattr(origin, name) for name in origin.__struct_fields__}


def changed(bundle: Bundle, change) -> None:
    """Rewrite a bundle's envelope by `change(dict)`."""
    path = bundle.folder / "bundle.json"
    envelope = json.loads(path.read_bytes())
    change(envelope)
    path.write_bytes(json.dumps(envelope).encode())
