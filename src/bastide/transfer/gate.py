"""One region's side of the gate: its keys, whom it trusts, what it made and what came in."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from bastide.jobs.cage import Walls
from bastide.kernel.clock import Clock
from bastide.kernel.ids import Ids
from bastide.kernel.labels.scheme import MarkingError, Scheme
from bastide.transfer import bundles, chunks, making, model, spool
from bastide.transfer.bundles import Bundle, Bundles, Steps
from bastide.transfer.departures import STATEMENT, Departures
from bastide.transfer.diode.incoming import Incoming
from bastide.transfer.diode.sending import Link
from bastide.transfer.dsse import Signer
from bastide.transfer.filters.model import SchemeSource
from bastide.transfer.line import NO_SCANNER, Line, Passed, Rules, Scanner
from bastide.transfer.making import Order, Source
from bastide.transfer.model import HELD_BY_TWO, Origin, Refused
from bastide.transfer.ports import Approvals, Consent, Deed, NotApproved
from bastide.transfer.releases import RELEASERS, Asked, Releases, Shelves, Target, rewritten
from bastide.transfer.signing import Anchor, TrustStore, anchor_of, load_signer, read_anchor
from bastide.transfer.spool import Ledger, Receiver


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """What the gate is told about its region: `ceiling` is the highest label that it may hold."""

    region: str
    ceiling: str
    scheme: Scheme
    scheme_source: SchemeSource
    receive_bytes_max: int
    down_bytes_per_day: int = 0
    automatic_from: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    scanner: Scanner = NO_SCANNER


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    site: Site
    clock: Clock
    ids: Ids
    signer: Signer
    trust: TrustStore
    made: Bundles
    receiver: Receiver
    line: Line
    releases: Releases
    departures: Departures
    incoming: Incoming

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
        making.sweep(self.made.folder, self.clock.now())
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
        self.releases.agree(
            Deed(
                name="TrustRegion",
                digest=digest,
                people=2,
                facts={"region": anchor.region, "ceiling": anchor.ceiling},
            )
        )
        self.trust.add(anchor)
        return anchor

    def is_downward(self, to: str) -> bool:
        """Whether something of this region may be too high for that one. Raises Refused for a
        region whose ceiling nobody has vouched for."""
        own = self.site.scheme.clearance(self.site.ceiling)
        return not self._ceiling_of(self.trust.of(to)).dominates(own)

    def goes_down(self, bundle: Bundle) -> bool:
        """Whether it goes, or came, to where something of its sender may be too high."""
        if self.is_mine(bundle):
            return self.is_downward(bundle.statement.predicate.to)
        return not self._is_from_below(bundle.statement.predicate.origin.region)

    def _is_from_below(self, sender: str) -> bool:
        own = self.site.scheme.clearance(self.site.ceiling)
        return bool(own.dominates(self._ceiling_of(self.trust.of(sender))))

    def _ceiling_of(self, anchor: Anchor) -> Any:
        try:
            return self.site.scheme.clearance(anchor.ceiling)
        except MarkingError as error:
            raise Refused(f"the ceiling of region {anchor.region} is no label: {error}") from None

    def filter(self, name: str) -> Steps:
        """Send a bundle through the line; last `{"result"}`. One that was made here for a lower
        region is made anew as the filters write it, if that is not what it holds already."""
        bundle = self.named(name)
        yield from self.line.run(bundle, self.rules(bundle))
        passed = self.line.passed(bundle)
        if self.is_mine(bundle) and passed.told.emitted != passed.first:
            yield from self._cleaned(bundle, passed)
        else:
            yield {"result": described(bundle)}

    def _cleaned(self, bundle: Bundle, passed: Passed) -> Steps:
        predicate = bundle.statement.predicate
        for step in self.create(predicate.to, predicate.origin, "", rewritten(passed)):
            if "made" in step:
                clean: Bundle = step["made"]
                yield from self.line.run(clean, self.rules(clean))
                yield {"result": described(clean)}
            else:
                yield step

    def is_mine(self, bundle: Bundle) -> bool:
        return bundle.statement.predicate.origin.region == self.region

    def rules(self, bundle: Bundle) -> Rules:
        """An item may be no higher than either region may hold."""
        predicate = bundle.statement.predicate
        other = predicate.to if self.is_mine(bundle) else predicate.origin.region
        return Rules(
            scheme=self.site.scheme_source,
            ceilings=(self.site.ceiling, self.trust.of(other).ceiling),
            words=self.site.words,
            patterns=self.site.patterns,
            scanner=self.site.scanner,
        )

    def review(self, name: str, part: str) -> Iterator[bytes]:
        """The exact bytes of one item of a bundle that was made here, or of its statement, once
        people opened it."""
        bundle = self.mine(name)
        items = map(str, range(len(bundle.statement.predicate.items)))
        if part != STATEMENT and part not in items:
            raise Refused(f"it has no item {part}")
        self.departures.open_for_review(bundle)
        return self._shown(bundle, part)

    def _shown(self, bundle: Bundle, part: str) -> Iterator[bytes]:
        if part == STATEMENT:
            yield self.signer.public.open(self.made.envelope(bundle.digest))
        else:
            for which, piece in chunks.pieces(bundle.folder, bundle.statement):
                if which == int(part):
                    yield bytes(piece)
        self.departures.shown(bundle, part)

    def send(self, name: str, way: Path | Link) -> Steps:
        """Lay a bundle into a spool, or send it as datagrams, once people released it for just that
        way; last `{"sent": Bundle}`."""
        bundle = self.mine(name)
        way = way if isinstance(way, Link) else way.resolve()  # no link is laid elsewhere meanwhile
        is_down = self.is_downward(bundle.statement.predicate.to)
        cleared = self.departures.clear(bundle, _told(way), is_down=is_down)
        consent = Consent(people=cleared.people, approval=cleared.approval)
        yield from way.send(bundle) if isinstance(way, Link) else spool.send(bundle, way)
        yield {"sent": bundle, "consent": consent}

    def release(self, name: str, target: Target) -> Steps:
        """Put what a bundle carried where it is meant; last `{"released", "bundle"}`."""
        bundle = self.named(name)
        if self.is_mine(bundle):
            raise Refused("it was made here: it is released where it goes to")
        asked = Asked(self._releasers(bundle), "down" if self.goes_down(bundle) else "up")
        for step in self.releases.release(bundle, target, asked):
            yield {**step, "bundle": bundle} if "released" in step else step

    def _releasers(self, bundle: Bundle) -> int:
        """Nobody, where the site says so of a sending region that is not above this one. Some
        things are never released by nobody."""
        predicate = bundle.statement.predicate
        sender = predicate.origin.region
        if any(item.kind in HELD_BY_TWO for item in predicate.items):
            return RELEASERS
        automatic = sender in self.site.automatic_from and self._is_from_below(sender)
        return 0 if automatic else RELEASERS

    def rows(self) -> list[dict[str, Any]]:
        """Every bundle that this region made, or took in, and what arrives as datagrams."""
        return self.incoming.rows() + [
            {**model.row(digest, folder.unchecked(digest).statement), "state": self._state(digest)}
            for folder in (self.made, self.receiver.arrived)
            for digest in folder.digests()
        ]

    def _state(self, digest: str) -> str:
        agreement = self.releases.of(digest)
        if agreement is not None:
            return "released" if agreement.done else "being released"
        refusal = self.line.refusal(digest)
        if refusal is not None:
            return f"refused: {refusal}"
        if self.line.has_seen(digest):
            return "filtered"
        return "received" if self.receiver.is_here(digest) else "made"


def _told(way: Path | Link) -> str:
    """A way as people release it."""
    return f"udp {way.host}:{way.port}" if isinstance(way, Link) else f"spool {way}"


def described(bundle: Bundle) -> dict[str, Any]:
    """A bundle and its items, for people."""
    items = [
        {"kind": one.kind, "name": one.name, "bytes": one.size, "label": one.label}
        | {"sha256": one.sha256, "provenance": one.provenance}
        for one in bundle.statement.predicate.items
    ]
    return {**model.row(bundle.digest, bundle.statement), "contents": items}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the gate stands on: who approves, where released items go, what shuts filters in."""

    clock: Clock
    ids: Ids
    approvals: Approvals
    shelves: Shelves
    walls: Walls


def open_gate(folder: Path, site: Site, around: Surroundings) -> Gate:
    """The gate whose state is in `folder`."""
    made = Bundles(folder=folder / "bundles")
    making.sweep(made.folder, around.clock.now())
    trust = TrustStore(folder / "trust")
    receiver = Receiver(
        region=site.region,
        clock=around.clock,
        trust=trust,
        arrived=Bundles(folder=folder / "arrived"),
        ledger=Ledger(folder / "ledger"),
        size_max=site.receive_bytes_max,
    )
    line = Line(folder=folder / "line", walls=around.walls)
    agree = partial(agreed, around.approvals)
    return Gate(
        site=site,
        clock=around.clock,
        ids=around.ids,
        signer=load_signer(folder / "signing"),
        trust=trust,
        made=made,
        receiver=receiver,
        line=line,
        releases=Releases(
            folder=folder / "released", line=line, shelves=around.shelves, agree=agree
        ),
        departures=Departures(
            folder=folder / "down",
            line=line,
            clock=around.clock,
            agree=agree,
            bytes_per_day=site.down_bytes_per_day,
        ),
        incoming=Incoming(folder / "incoming", site.region),
    )


def agreed(approvals: Approvals, deed: Deed) -> Consent:
    """Who approved exactly this. Raises Refused, and asks for it."""
    if deed.people == 0:
        return Consent(people=(), approval="")
    try:
        consent = approvals.use(deed)
    except NotApproved as error:
        asked = approvals.request(deed)
        raise Refused(f"{error}{f' (asked for: {asked})' if asked else ''}") from None
    if len(set(consent.people)) < deed.people:
        raise Refused(f"{deed.people} different people must approve it")
    return consent
