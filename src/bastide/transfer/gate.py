"""One region's side of the gate: its keys, whom it trusts, what it made and what came in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bastide.kernel.clock import Clock
from bastide.kernel.ids import Ids
from bastide.transfer import bundles, model
from bastide.transfer.bundles import Bundle, Bundles, Order, Source, Steps
from bastide.transfer.dsse import Signer
from bastide.transfer.model import Origin, Refused
from bastide.transfer.signing import Anchor, TrustStore, anchor_of, load_signer


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """`region` is this one, `ceiling` the highest label that it may hold."""

    region: str
    ceiling: str
    clock: Clock
    ids: Ids
    signer: Signer
    trust: TrustStore
    made: Bundles

    def anchor(self) -> Anchor:
        """What another region needs, to trust this one."""
        return anchor_of(self.region, self.ceiling, self.signer.public)

    def create(self, to: str, origin: Origin, base: str, sources: Sequence[Source]) -> Steps:
        """Last `{"made": Bundle}`."""
        if to == self.region:
            raise Refused("a bundle goes to another region")
        order = Order(
            id=self.ids.uuid(),
            to=to,
            origin=origin,
            created=self.clock.now().isoformat(timespec="seconds"),
            base=self.made.named(base) if base else "",
        )
        if order.base:
            self._check_base(order)
        yield from self.made.make(order, sources, self.signer)

    def _check_base(self, order: Order) -> None:
        below = self.made.unchecked(order.base).statement.predicate
        if below.to != order.to or below.origin != order.origin:
            raise Refused("its base has another source, or goes to another region")

    def inspect(self, name: str) -> Steps:
        """Read a bundle of this region to its end; last `{"result"}`."""
        bundle = self.mine(name)
        yield from bundles.inspected(bundle)
        yield {"result": described(bundle)}

    def mine(self, name: str) -> Bundle:
        """A bundle that this region made, by how its digest begins."""
        return self.made.opened(self.made.named(name), self.signer.public)

    def rows(self) -> list[dict[str, Any]]:
        return [
            model.row(digest, self.made.unchecked(digest).statement)
            for digest in self.made.digests()
        ]


def described(bundle: Bundle) -> dict[str, Any]:
    """A bundle and its items, for people."""
    items = [
        {"kind": one.kind, "name": one.name, "bytes": one.size, "label": one.label}
        | {"sha256": one.sha256, "provenance": one.provenance}
        for one in bundle.statement.predicate.items
    ]
    return {**model.row(bundle.digest, bundle.statement), "contents": items}


def open_gate(folder: Path, facts: Mapping[str, str], clock: Clock, ids: Ids) -> Gate:
    """The gate whose state is in `folder`. `facts`: the region's name and its ceiling."""
    made = Bundles(folder=folder / "bundles")
    made.sweep()
    return Gate(
        region=facts["region"],
        ceiling=facts["ceiling"],
        clock=clock,
        ids=ids,
        signer=load_signer(folder / "signing"),
        trust=TrustStore(folder / "trust"),
        made=made,
    )
