"""One region's side of the gate: its keys, whom it trusts, what it made and what came in."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from bastide.kernel.clock import Clock
from bastide.kernel.ids import Ids
from bastide.kernel.labels.scheme import MarkingError, Scheme
from bastide.transfer import bundles, model, spool
from bastide.transfer.bundles import Bundle, Bundles, Order, Source, Steps
from bastide.transfer.dsse import Signer
from bastide.transfer.model import Origin, Refused
from bastide.transfer.ports import Approvals, Deed, NotApproved
from bastide.transfer.signing import Anchor, TrustStore, anchor_of, load_signer, read_anchor
from bastide.transfer.spool import Ledger, Receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the gate is told about its region: `ceiling` is the highest label that it may hold."""

    region: str
    ceiling: str
    scheme: Scheme
    receive_bytes_max: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    site: Site
    clock: Clock
    ids: Ids
    approvals: Approvals
    signer: Signer
    trust: TrustStore
    made: Bundles
    receiver: Receiver

    @property
    def region(self) -> str:
        return self.site.region

    def anchor(self) -> Anchor:
        """What another region needs, to trust this one."""
        return anchor_of(self.region, self.site.ceiling, self.signer.public)

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
        """Read a bundle that was made here, or came here, to its end; last `{"result"}`."""
        bundle = self.named(name)
        yield from bundles.inspected(bundle)
        yield {"result": described(bundle)}

    def named(self, name: str) -> Bundle:
        """A bundle that was made here, or came here, by how its digest begins."""
        if any(one.startswith(name) for one in self.receiver.arrived.digests() if name):
            digest = self.receiver.arrived.named(name)
            sender = self.receiver.arrived.unchecked(digest).statement.predicate.origin.region
            return self.receiver.arrived.opened(digest, self.trust.of(sender).keys())
        return self.mine(name)

    def mine(self, name: str) -> Bundle:
        """A bundle that this region made, by how its digest begins."""
        return self.made.opened(self.made.named(name), self.signer.public)

    def trusted(self, data: bytes) -> Anchor:
        """Take another region's anchor, once people approved exactly this one."""
        anchor = read_anchor(data)
        if anchor.region == self.region:
            raise Refused("it is this region's own anchor")
        self._ceiling_of(anchor)
        digest = sha256(msgspec.json.encode(anchor)).hexdigest()
        self._approved(
            Deed(
                name="TrustRegion",
                digest=digest,
                people=2,
                facts={"region": anchor.region, "ceiling": anchor.ceiling},
            )
        )
        self.trust.add(anchor)
        return anchor

    def _approved(self, deed: Deed) -> Sequence[str]:
        try:
            return self.approvals.use(deed)
        except NotApproved as error:
            asked = self.approvals.request(deed)
            raise Refused(f"{error}{f' (asked for: {asked})' if asked else ''}") from None

    def is_downward(self, to: str) -> bool:
        """Whether something of this region may be too high for that one. Raises Refused for a
        region whose ceiling nobody has vouched for."""
        own = self.site.scheme.clearance(self.site.ceiling)
        return not self._ceiling_of(self.trust.of(to)).dominates(own)

    def _ceiling_of(self, anchor: Anchor) -> Any:
        try:
            return self.site.scheme.clearance(anchor.ceiling)
        except MarkingError as error:
            raise Refused(f"the ceiling of region {anchor.region} is no label: {error}") from None

    def send(self, name: str, place: Path) -> Steps:
        """Lay a bundle into a spool; last `{"sent": Bundle}`."""
        bundle = self.mine(name)
        if self.is_downward(bundle.statement.predicate.to):
            raise Refused("from high to low a reviewer and two releasers are needed")
        yield from spool.send(bundle, place)
        yield {"sent": bundle}

    def rows(self) -> list[dict[str, Any]]:
        """Every bundle that this region made, or took in."""
        return [
            model.row(digest, folder.unchecked(digest).statement)
            for folder in (self.made, self.receiver.arrived)
            for digest in folder.digests()
        ]


def described(bundle: Bundle) -> dict[str, Any]:
    """A bundle and its items, for people."""
    items = [
        {"kind": one.kind, "name": one.name, "bytes": one.size, "label": one.label}
        | {"sha256": one.sha256, "provenance": one.provenance}
        for one in bundle.statement.predicate.items
    ]
    return {**model.row(bundle.digest, bundle.statement), "contents": items}


def open_gate(folder: Path, site: Site, clock: Clock, ids: Ids, approvals: Approvals) -> Gate:
    """The gate whose state is in `folder`."""
    made = Bundles(folder=folder / "bundles")
    made.sweep()
    trust = TrustStore(folder / "trust")
    receiver = Receiver(
        region=site.region,
        clock=clock,
        trust=trust,
        arrived=Bundles(folder=folder / "arrived"),
        ledger=Ledger(folder / "ledger"),
        size_max=site.receive_bytes_max,
    )
    return Gate(
        site=site,
        clock=clock,
        ids=ids,
        approvals=approvals,
        signer=load_signer(folder / "signing"),
        trust=trust,
        made=made,
        receiver=receiver,
    )
