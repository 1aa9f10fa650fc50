"""What may leave a region, and on which way: two people release it, before a byte is laid into a
spool, since who reads the spool reads an agency's content. From high to low it is only what a
reviewer saw byte for byte, and no more in a day than the site allows.

What leaves is the items and the statement, which holds their names, headers, metadata and tags: it
is seen like an item, and counted like one."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import msgspec

from bastide.db import durable
from bastide.kernel.clock import Clock
from bastide.transfer.bundles import Bundle
from bastide.transfer.line import Line
from bastide.transfer.model import Refused
from bastide.transfer.ports import Consent, Deed
from bastide.transfer.releases import RELEASERS

REVIEWERS = 1
STATEMENT = "statement"  # what a reviewer saw, beside the items by their numbers


class Cleared(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that may go, and who said so. `bytes` were taken from the budget of `day`."""

    bytes: int
    day: str
    people: list[str]
    approval: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Departures:
    """`agree` answers who approved a deed, or raises Refused."""

    folder: Path
    line: Line
    clock: Clock
    agree: Callable[[Deed], Consent]
    bytes_per_day: int

    def open_for_review(self, bundle: Bundle) -> None:
        """Once people agreed that somebody may read it: it is an agency's content. Raises
        Refused."""
        place = self.folder / "opened"
        if (place / bundle.digest).exists():
            return
        self.agree(
            Deed(
                name="ReviewTransfer",
                digest=bundle.digest,
                people=REVIEWERS + 1,
                account=bundle.statement.predicate.origin.account,
                facts={"bundle": bundle.digest, "to": bundle.statement.predicate.to},
            )
        )
        durable.folder(place)
        durable.create(place / bundle.digest, b"")

    def shown(self, bundle: Bundle, part: str) -> None:
        """A reviewer was given the last byte of an item, by its number, or of the statement."""
        place = self.folder / "shown" / bundle.digest
        durable.folder(place)
        durable.create(place / part, b"")

    def clear(self, bundle: Bundle, way: str, *, is_down: bool) -> Cleared:
        """Let a bundle go; one that was let go may be sent on the same way again, after a crash or
        to fill gaps. Raises Refused."""
        path = self._path(bundle, way, is_down=is_down)
        if path.exists():
            return msgspec.json.decode(path.read_bytes(), type=Cleared)
        cleared = self._down(bundle, way) if is_down else self._up(bundle, way)
        durable.folder(path.parent)
        durable.replace(path, msgspec.json.encode(cleared))
        return cleared

    def _up(self, bundle: Bundle, way: str) -> Cleared:
        exact = [bundle.digest, way]
        consent = self._agreed("SendTransferUp", RELEASERS, bundle, way, exact)
        return Cleared(bytes=0, day="", people=list(consent.people), approval=consent.approval)

    def _down(self, bundle: Bundle, way: str) -> Cleared:
        passed = self.line.passed(bundle)
        if passed.told.emitted.table != passed.first.table or (
            passed.told.emitted.data != passed.first.data
        ):
            raise Refused("it is not as the filters write it: send the clean copy")
        size, day = bundle.crossing_bytes(), self.clock.now().date().isoformat()
        spent = sum(one.bytes for one in self._all() if one.day == day)
        if spent + size > self.bytes_per_day:
            raise Refused(
                f"{spent} bytes went down today; with these {size} it would be more than "
                f"{self.bytes_per_day}"
            )
        self._check_seen(bundle)
        exact = [bundle.digest, passed.chain, way]
        consent = self._agreed("SendTransferDown", REVIEWERS + RELEASERS, bundle, way, exact)
        return Cleared(bytes=size, day=day, people=list(consent.people), approval=consent.approval)

    def _agreed(
        self, name: str, people: int, bundle: Bundle, way: str, exact: list[str]
    ) -> Consent:
        """All of them different people."""
        return self.agree(
            Deed(
                name=name,
                digest=sha256(msgspec.json.encode(exact)).hexdigest(),
                people=people,
                account=bundle.statement.predicate.origin.account,
                facts={
                    "bundle": bundle.digest,
                    "to": bundle.statement.predicate.to,
                    "way": way,
                    "direction": "up" if name == "SendTransferUp" else "down",
                },
            )
        )

    def _check_seen(self, bundle: Bundle) -> None:
        place = self.folder / "shown" / bundle.digest
        items = map(str, range(len(bundle.statement.predicate.items)))
        unseen = [part for part in items if not (place / part).exists()]
        if unseen:
            raise Refused(f"no reviewer has seen items {', '.join(unseen[:20])}")
        if not (place / STATEMENT).exists():
            raise Refused("no reviewer has seen its statement: names, metadata and tags")

    def _all(self) -> list[Cleared]:
        paths = (self.folder / "cleared-down").glob("*.json")
        return [msgspec.json.decode(path.read_bytes(), type=Cleared) for path in paths]

    def _path(self, bundle: Bundle, way: str, *, is_down: bool) -> Path:
        """Apart by direction: what two let go up goes down only by the rules for that."""
        place = self.folder / ("cleared-down" if is_down else "cleared-up")
        return place / f"{bundle.digest}-{sha256(way.encode()).hexdigest()}.json"
