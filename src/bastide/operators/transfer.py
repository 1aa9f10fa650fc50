"""The gate between regions, as operators see it."""

import base64
import logging
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from bastide.db import durable
from bastide.environments import carried
from bastide.environments.bench import BuildFailed
from bastide.environments.catalogue import Environments
from bastide.identity.agencies import Agencies
from bastide.kernel.clock import Clock
from bastide.kernel.errors import ServiceError
from bastide.kernel.receipts import Transfer
from bastide.models.catalogue import Models
from bastide.operators.ports import Row, Steps, Trail
from bastide.operators.turns import Turns
from bastide.store.carrying import Carrying
from bastide.transfer import acts, model, weights
from bastide.transfer.bundles import Bundle
from bastide.transfer.diode.sending import Link, link_of
from bastide.transfer.filters.image_format import Run
from bastide.transfer.gate import Gate, described
from bastide.transfer.making import Source
from bastide.transfer.model import Origin, Refused
from bastide.transfer.ports import Consent
from bastide.transfer.releases import Target
from bastide.transfer.setting_up import SettingUp
from bastide.transfer.sources import (
    EnvironmentSource,
    ImageSource,
    ModelSource,
    ObjectSource,
    SetupSource,
)

TREE = "tree.tar"
logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferRoom:
    """What `bastide transfer …` asks for."""

    gate: Gate
    agencies: Agencies
    carrying: Carrying
    models: Models
    environments: Environments
    setting_up: SettingUp
    fetched: Path  # where an environment's files lie while they are packed
    default_label: str
    trail: Trail
    clock: Clock
    _turns: Turns = field(default_factory=lambda: Turns("at the gate"))

    def rows(self) -> list[Row]:
        return self.gate.rows()

    def create(self, body: Mapping[str, Any]) -> Steps:
        """A bundle of an agency's objects, of what it is, of a model, or of an environment."""
        with told(), self._room_for_files() as place:
            if body["environment"]:
                for text in self._fetch(str(body["environment"]), place):
                    yield {"step": text}
            origin, sources = self._sources(body, place)
            to, base = str(body["to"]), str(body["base"])
            for step in self.gate.create(to, origin, base, sources):
                if "made" not in step:
                    yield step
                    continue
                bundle: Bundle = step["made"]
                receipt = self._record("TransferCreated", bundle)
                yield {"result": {**described(bundle), "receipt": receipt}}

    def inspect(self, name: str) -> Steps:
        with told():
            yield from self.gate.inspect(name)

    def anchor(self) -> Row:
        anchor: Row = msgspec.to_builtins(self.gate.anchor())
        return anchor

    def trust(self, text: str) -> Row:
        with told():
            anchor = self.gate.trusted(text.encode())
            self.trail.operator("RegionTrusted", {"region": anchor.region}).result()
            return {"region": anchor.region, "ceiling": anchor.ceiling}

    def send(self, name: str, spool: str) -> Steps:
        """One at a time: what goes down is counted against a day's budget."""
        yield from self._sent(name, Path(spool))

    def send_udp(self, name: str, way: Mapping[str, Any]) -> Steps:
        with told():
            link = link_of(way, self.clock)
        yield from self._sent(name, link)

    def _sent(self, name: str, way: Path | Link) -> Steps:
        with self._turns.alone(), told():
            for step in self.gate.send(name, way):
                if "sent" not in step:
                    yield step
                    continue
                receipt = self._record("TransferSent", step["sent"], step["consent"])
                yield {"result": {**described(step["sent"]), "receipt": receipt}}

    def receive(self, spool: str) -> Steps:
        """Take in what lies in a spool for this region, and send it through the line; what is
        refused is told, and the next is looked at."""
        with self._turns.alone(), told():
            incoming, receiver, outcomes = self.gate.incoming, self.gate.receiver, []
            place = Path(spool) if spool else incoming.folder
            for digest in filter(receiver.is_here, incoming.waiting()):  # a crash left it, or it
                self._cleared(digest, is_taken=True)  # came by a spool too
            for digest in receiver.waiting(place):
                steps = self._taken(place, digest)
                outcomes.append((yield from self._outcome(digest, "received", steps)))
                if not spool:
                    self._cleared(digest, is_taken=receiver.is_here(digest))
                elif receiver.is_here(digest):
                    with suppress(OSError):  # the folder is the receiver's
                        incoming.remember(digest)
            for digest in receiver.arrived.digests():
                if not self.gate.line.has_seen(digest):
                    steps = self._filtered(digest)
                    outcomes.append((yield from self._outcome(digest, "filtered", steps)))
            yield {"result": outcomes}

    def _cleared(self, digest: str, *, is_taken: bool) -> None:
        """The folder is the receiver's, who may have been taken over: what it put there that cannot
        be cleared away stays, and keeps nothing else out."""
        try:
            self.gate.incoming.clear(digest, is_taken=is_taken)
        except OSError as error:
            logger.warning("the datagrams' bundle %s cannot be cleared away: %s", digest, error)

    def _taken(self, place: Path, digest: str) -> Steps:
        for step in self.gate.receiver.take(place, digest):
            if "made" in step:
                yield {"receipt": self._record("TransferReceived", step["made"])}
            else:
                yield step

    def _filtered(self, digest: str) -> Steps:
        bundle = self.gate.named(digest)
        yield from self.gate.line.run(bundle, self.gate.rules(bundle))
        yield {"receipt": self._record("TransferFiltered", bundle)}

    def _outcome(self, digest: str, good: str, steps: Steps) -> Generator[Row, None, Row]:
        receipt = ""
        try:
            for step in steps:
                receipt = step.get("receipt", "")
                if not receipt:
                    yield step
        except Refused as error:
            why = str(error)
            said = acts.refusal(self.gate, digest, why)
            facts = {"bundle": digest, "why": why}
            receipt = self._written("TransferRefused", facts, said)
            return {"bundle": digest, "outcome": "refused", "why": why, "receipt": receipt}
        return {"bundle": digest, "outcome": good, "why": "", "receipt": receipt}

    def filter(self, name: str) -> Steps:
        with self._turns.alone(), told():
            yield from self.gate.filter(name)

    def review(self, name: str, part: str) -> Steps:
        """The exact bytes of an item, or of the statement, in base64 for their way through the
        socket."""
        with told():
            pieces = self.gate.review(name, part)
            self.trail.operator("TransferReviewed", {"bundle": name, "item": part}).result()
            for piece in pieces:
                yield {"piece": base64.b64encode(piece).decode()}
            yield {"result": {"bundle": name, "item": part}}

    def release(self, name: str, body: Mapping[str, Any]) -> Steps:
        with self._turns.alone(), told():
            agency = str(body["agency"])
            found = self.agencies.find(agency) if agency else None
            target = Target(
                agency=agency,
                account=found.account_id if found else "",
                bucket=str(body["bucket"]),
                prefix=str(body["prefix"]),
            )
            for step in self.gate.release(name, target):
                if "released" not in step:
                    yield step
                    continue
                agreement, bundle = step["released"], step["bundle"]
                consent = Consent(people=agreement.people, approval=agreement.approval)
                receipt = self._record("TransferReleased", bundle, consent, target)
                row = {**described(bundle), "released_by": agreement.people, "receipt": receipt}
                yield {"result": row}

    @contextmanager
    def _room_for_files(self) -> Iterator[Path]:
        durable.folder(self.fetched)
        with TemporaryDirectory(dir=self.fetched, ignore_cleanup_errors=True) as place:
            yield Path(place)

    def _fetch(self, name: str, place: Path) -> Iterator[str]:
        image = self.environments.image_of(name)
        if image is not None:
            yield f"packing {name}"
            _pack(image.root, place / TREE)
            return
        try:
            yield from self.environments.fetch(name, place)
        except BuildFailed as error:
            raise Refused(f"the files of {name} cannot be fetched: {error}") from error

    def _sources(self, body: Mapping[str, Any], place: Path) -> tuple[Origin, list[Source]]:
        if body["model"]:
            return self._weights(str(body["model"]))
        if body["agency_setup"]:
            return self._setup(str(body["agency_setup"]))
        if body["environment"]:
            return self._files(str(body["environment"]), place)
        name, bucket, prefix = (str(body[key]) for key in ("agency", "bucket", "prefix"))
        account = self.agencies.account_of(name)
        origin = Origin(
            region=self.gate.region, agency=name, account=account, bucket=bucket, prefix=prefix
        )
        listed = self.carrying.listing(account, bucket, prefix)
        return origin, [
            ObjectSource(carrying=self.carrying, account=account, bucket=bucket, listed=one)
            for one in _bounded(listed)
        ]

    def _weights(self, name: str) -> tuple[Origin, list[Source]]:
        cards = {card.name: card for card in self.models.cards() if card.path is not None}
        if name not in cards:
            raise Refused(f"no model {name} is admitted here")
        if cards[name].beside:  # an item of a bundle is one file
            raise Refused(f"{name} is several files: pull it there, or lay them into `incoming`")
        origin = Origin(region=self.gate.region, agency="", account="", bucket="", prefix=name)
        return origin, [ModelSource(card=cards[name], label=self.default_label)]

    def _setup(self, name: str) -> tuple[Origin, list[Source]]:
        account = self.agencies.account_of(name)
        origin = Origin(region=self.gate.region, agency=name, account=account, bucket="", prefix="")
        found = self.agencies.find(name)
        label = (found.label if found else "") or self.default_label
        data = self.setting_up.packed(name)
        return origin, [SetupSource(agency=name, data=data, label=label)]

    def _files(self, name: str, place: Path) -> tuple[Origin, list[Source]]:
        origin = Origin(region=self.gate.region, agency="", account="", bucket="", prefix=name)
        image = self.environments.image_of(name)
        if image is not None:
            run = Run(
                digest=image.digest,
                env=dict(image.env),
                entrypoint=image.entrypoint,
                workdir=image.workdir,
            )
            label = self.default_label
            return origin, [ImageSource(name=name, run=run, path=place / TREE, label=label)]
        return origin, [
            EnvironmentSource(environment=name, path=path, label=self.default_label)
            for path in sorted(place.iterdir())
        ]

    def _record(
        self,
        action: str,
        bundle: Bundle,
        consent: Consent = acts.NOBODY,
        target: Target | None = None,
    ) -> str:
        """Both regions' logs name the bundle by its digest; the id of this side's receipt."""
        facts = dict(model.facts(bundle.digest, bundle.statement))
        facts |= weights.told(bundle.statement.predicate.items)
        if consent.people or target is not None:
            facts["people"] = ", ".join(consent.people) or "nobody: the site's policy"
        place = ""
        if target is not None:
            facts["account"] = target.account
            where = f"{target.account}/{target.bucket}/{target.prefix}"
            place = where if target.bucket else target.agency
        elif self.gate.is_mine(bundle):
            facts["account"] = bundle.statement.predicate.origin.account
        return self._written(action, facts, acts.act(self.gate, bundle, consent, place))

    def _written(self, action: str, facts: Mapping[str, str], said: Transfer) -> str:
        """The record is durable when its receipt is promised."""
        receipt, written = self.trail.transfer(action, facts, said)
        written.result()
        return receipt


def _bounded(listed: Iterator[Any]) -> Iterator[Any]:
    for number, one in enumerate(listed):
        if number >= model.ITEMS_MAX:
            raise Refused(f"more than {model.ITEMS_MAX} items")
        yield one


@contextmanager
def told() -> Iterator[None]:
    """What the gate refuses, in an operator's words."""
    try:
        yield
    except Refused as error:
        raise ServiceError("ValidationException", f"Refused: {error}.") from error


def _pack(root: Path, target: Path) -> None:
    try:
        with target.open("xb") as file:
            for piece in carried.packed(root):
                file.write(piece)
    except carried.NotPlain as error:
        raise Refused(f"the image cannot be carried: {error}") from error
