"""Provisioned throughput, joined to the engines, which live on the event loop."""

import asyncio
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.app.imports import on_the_loop
from bastide.db.marks import Marks
from bastide.inference.engines import Engines
from bastide.kernel.errors import Unavailable
from bastide.kernel.labels.labelling import Labelling
from bastide.kernel.labels.scheme import MarkingError
from bastide.models.catalogue import Models
from bastide.models.model import ModelCard
from bastide.models.ports import Reservation
from bastide.models.provisioned import KIND, Holding, ProvisionedThroughput, ThroughputShelf
from bastide.models.tags import Keeper
from bastide.settings import SettingsError

HOLD_TIMEOUT_S = 1800.0


@dataclass(frozen=True, slots=True)
class OnTheLoop:
    """`models.ports.Reservations`: each change waits in a thread of its own."""

    loop: asyncio.AbstractEventLoop
    engines: Engines
    parts: Mapping[str, int]

    def reservable_mib(self, label: str) -> int:
        return self.parts.get(label, 0)

    def memory_mib(self, card: ModelCard) -> int:
        return self.engines.cost_mib(card)

    def hold(self, wanted: Reservation, card: ModelCard, then: Callable[[bool], None]) -> None:
        def work() -> None:
            holding = self.engines.hold(wanted.name, card, wanted.units, wanted.label)
            try:
                held = on_the_loop(self.loop, holding, HOLD_TIMEOUT_S)
            except Unavailable:  # the region ends, and begins anew with it
                return
            then(held)

        _begun(work, f"hold-{wanted.name}")

    def let_go(self, name: str) -> None:
        def work() -> None:
            on_the_loop(self.loop, self.engines.let_go(name), HOLD_TIMEOUT_S)

        _begun(work, f"let-go-{name}")


def parts_mib(core: Core) -> Mapping[str, int]:
    """What may be reserved at each label, of the memory of engines: one number is the part of the
    region's default label. Raises SettingsError."""
    wanted = core.settings.engines
    given, budget_mib = wanted.reservable_mib, wanted.memory_budget_mib
    if isinstance(given, dict):
        parts = _parts_of(core.labelling, given)
        if sum(parts.values()) > budget_mib // 2:
            raise SettingsError(
                "engines.reservable_mib is more than half of memory_budget_mib in all."
            )
    else:
        parts = {core.labelling.default.text: budget_mib // 2 if given is None else given}
    if sum(parts.values()) > budget_mib:
        raise SettingsError("engines.reservable_mib is more than memory_budget_mib.")
    return parts


def _parts_of(labelling: Labelling, given: Mapping[str, int]) -> dict[str, int]:
    parts = {}
    for text, mib in given.items():
        try:
            label = labelling.scheme.parse(text)
        except MarkingError as error:
            raise SettingsError(f"engines.reservable_mib: {error}") from error
        if not labelling.ceiling.dominates(label):
            raise SettingsError(f"engines.reservable_mib: {label} is above the region's ceiling.")
        if label.text in parts:
            raise SettingsError(f"engines.reservable_mib names {label} twice.")
        parts[label.text] = mib
    return parts


def _begun(work: Callable[[], None], name: str) -> None:
    threading.Thread(target=work, name=name, daemon=True).start()


def open_provisioned(
    core: Core, identity: Identity, models: Models, engines: Engines, keepers: dict[str, Keeper]
) -> ProvisionedThroughput:
    """Made inside the event loop that the engines run on."""
    shelf = ThroughputShelf(
        region=core.region,
        database=core.database,
        marks=Marks(labelling=identity.labelling, in_use=core.labels),
        models=models,
    )
    models.brought.append(shelf.card)
    keepers[KIND] = shelf
    kind = f"bedrock:{KIND}"
    identity.resources.tagged[kind] = lambda who, arn, _: shelf.tags(who, arn)
    identity.resources.labelled[kind] = lambda who, arn, _: shelf.label(who, arn)
    identity.resources.identified_by[KIND] = shelf.identified
    running = OnTheLoop(asyncio.get_running_loop(), engines, parts_mib(core))
    return ProvisionedThroughput(
        shelf=shelf,
        clock=core.clock,
        ids=core.ids,
        engines=running,
        holding=Holding(shelf=shelf, clock=core.clock, engines=running),
    )
