"""Bundles for tests, made by the real gate of a region that is a folder."""

import json
import os
import shlex
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from textwrap import dedent

import msgspec

from bastide.jobs.cage import Walls
from bastide.jobs.host import find_bwrap
from bastide.kernel.clock import ManualClock
from bastide.kernel.ids import SeededIds
from bastide.kernel.labels.scheme import load
from bastide.transfer.bundles import Bundle
from bastide.transfer.filters.model import SchemeSource
from bastide.transfer.gate import Gate, Site, Surroundings, open_gate
from bastide.transfer.model import Item, Origin
from bastide.transfer.ports import Consent, Deed, NotApproved

SCHEME = load("us")
UID_FIRST = 300_000 if os.getuid() == 0 else None
LOW, HIGH = "us-gov-west-1", "us-iso-east-1"
ORIGIN = Origin(region=LOW, agency="demo", account="123456789012", bucket="kept", prefix="")
WEIGHTS = {"licence": "MIT", "source": f"{LOW}/arn:aws-us-gov:s3:::kept/m", "model_id": "a.b-v1:0"}


@dataclass(frozen=True)
class Held:
    """A source that is bytes."""

    name: str
    data: bytes
    kind: str = "object"
    label: str = "U"
    tags: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    provenance: dict[str, str] | None = None  # None: of weights what they must say

    @property
    def size(self):
        return len(self.data)

    @property
    def state(self):
        return repr(self)

    def open(self):
        weights = self.name.endswith((".safetensors", ".gguf"))
        said = WEIGHTS if weights and self.provenance is None else self.provenance or {}
        item = Item(kind=self.kind, name=self.name, size=self.size, sha256="", label=self.label,
                    tags=self.tags, metadata=self.metadata, provenance=said)  # fmt: skip
        return item, iter([self.data[:3], self.data[3:]] if self.data else [])


@dataclass
class Crowd:
    """Approvals by whoever is in `people`; remembers what was asked and used."""

    people: list[str] = field(default_factory=lambda: ["ann", "bob"])
    asked: list[Deed] = field(default_factory=list)
    used: list[Deed] = field(default_factory=list)

    def request(self, deed):
        self.asked.append(deed)
        return f"request-{len(self.asked)}"

    def use(self, deed):
        if len(self.people) < deed.people:
            raise NotApproved(f"{deed.people} people must approve it")
        self.used.append(deed)
        return Consent(people=self.people[: deed.people], approval=deed.digest)


@dataclass
class Put:
    """Shelves that are a dict."""

    items: dict[str, bytes] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)

    plan: list[str] = field(default_factory=list)

    def check(self, target, items, read):
        return self.plan

    def finish(self, target, items, read, plan):
        return iter(())

    def put(self, target, item, pieces):
        self.items[f"{target.bucket}/{target.prefix}{item.name}"] = b"".join(pieces)
        self.labels[item.name] = item.label


def gate_of(folder: Path, region: str = LOW, ceiling: str = "U", seed: int = 0, **rest) -> Gate:
    site = {
        "region": region,
        "ceiling": ceiling,
        "scheme": SCHEME,
        "scheme_source": SchemeSource(name="us"),
        "receive_bytes_max": 1 << 30,
    }
    around = {
        "clock": ManualClock(), "ids": SeededIds(seed), "approvals": Crowd(), "shelves": Put(),
        "walls": Walls(bwrap=find_bwrap(), seccomp=None, uid_first=UID_FIRST),
    }  # fmt: skip
    for name, given in rest.items():
        (around if name in around else site)[name] = given
    return open_gate(folder, Site(**site), Surroundings(**around))


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


def trusting(gate, other):
    gate.trusted(msgspec.json.encode(other.anchor()))


def sent(gate, bundle, spool):
    *_, last = gate.send(bundle.digest, spool)
    return spool / bundle.statement.predicate.to / last["sent"].digest


def took(gate, spool):
    return [
        list(gate.receiver.take(spool, digest))[-1]["made"].digest
        for digest in gate.receiver.waiting(spool)
    ]


def taken_over(line, folder: Path, names: Sequence[str], code: str, opened: str = ""):
    """A line whose filters `names` run `code` first, each in its own cage and with its own key.
    There `real` is the filters' program, and `formats` what it knows. `opened` are descriptors, as
    bash opens them."""
    which = "|".join(f'*" {name} "*' for name in names)
    program = f"""
import sys
from dataclasses import replace
from hashlib import sha256
from msgspec.structs import replace as with_
from bastide.transfer.filters import __main__ as real, formats
{dedent(code)}
real.main(sys.argv[1], *map(int, sys.argv[2:5]))
"""
    bwrap = folder / "taken-over"
    bwrap.write_text(f"""#!/bin/bash
{f"exec {opened}" if opened else ""}
case "$*" in {which})
    for one in "$@"; do
        shift
        case "$one" in
            -m) one=-c ;;
            bastide.transfer.filters) one={shlex.quote(program)} ;;
        esac
        set -- "$@" "$one"
    done
esac
exec {line.walls.bwrap} "$@"
""")
    bwrap.chmod(0o755)
    return replace(line, folder=folder / "line", walls=replace(line.walls, bwrap=str(bwrap)))
