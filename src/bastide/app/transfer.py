"""The gate of a region, joined to its store, its models and its log."""

from dataclasses import dataclass

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.app.store import Store
from bastide.kernel.labels.scheme import load
from bastide.models.catalogue import Models
from bastide.operators.transfer import TransferRoom
from bastide.store.carrying import Carrying
from bastide.transfer.gate import Site, open_gate
from bastide.transfer.ports import Approvals

MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """What the gate reaches in its region."""

    identity: Identity
    store: Store
    models: Models
    approvals: Approvals


def open_transfer(core: Core, joined: Joined) -> TransferRoom:
    label = core.settings.default_label
    site = Site(
        region=core.region.name,
        ceiling=label,
        scheme=load("us"),
        receive_bytes_max=core.settings.transfer.receive_mib_max * MIB,
    )
    gate = open_gate(core.home / "transfer", site, core.clock, core.ids, joined.approvals)
    return TransferRoom(
        gate=gate,
        agencies=joined.identity.agencies,
        carrying=Carrying(shelf=joined.store.space.shelf),
        models=joined.models,
        default_label=label,
        trail=core.trail,
    )
