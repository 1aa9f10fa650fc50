"""The gate of a region, joined to its store, its models and its log."""

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.app.store import Store
from bastide.models.catalogue import Models
from bastide.operators.transfer import TransferRoom
from bastide.store.carrying import Carrying
from bastide.transfer.gate import open_gate


def open_transfer(core: Core, identity: Identity, store: Store, models: Models) -> TransferRoom:
    label = core.settings.default_label
    gate = open_gate(
        core.home / "transfer",
        {"region": core.region.name, "ceiling": label},
        core.clock,
        core.ids,
    )
    return TransferRoom(
        gate=gate,
        agencies=identity.agencies,
        carrying=Carrying(shelf=store.space.shelf),
        models=models,
        default_label=label,
        trail=core.trail,
    )
