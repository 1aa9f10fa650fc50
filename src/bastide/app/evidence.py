"""What an assessor asks for, joined to the log, the store and policy."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.app.store import Store
from bastide.audit.proofs import Proofs
from bastide.audit.signing import load_digest_signer
from bastide.evidence.delivery import Delivery
from bastide.evidence.events import Events
from bastide.evidence.trails import Trails


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Receipts, look-ups and trails."""

    proofs: Proofs
    delivery: Delivery
    handlers: dict[str, list[object]]

    def deliver(self, account: str) -> list[Mapping[str, Any]]:
        """What `bastide audit deliver` prints."""
        return [
            {
                "account": trail.account,
                "trail": trail.name,
                "bucket": trail.bucket,
                "error": trail.error or trail.digest_error,
                "digest": trail.last.key if trail.last else "",
            }
            for trail in self.delivery.deliver(account, to_the_end=True)
        ]


def open_evidence(core: Core, identity: Identity, store: Store) -> Evidence:
    database, clock = core.database, core.clock
    proofs = Proofs(database=database, log=core.log)
    delivery = Delivery(
        region=core.region,
        database=database,
        clock=clock,
        objects=store.space,
        permits=identity.authorizer,
        labels=core.labels,
        labelling=identity.labelling,
        signer=load_digest_signer(core.home / "audit"),
    )
    events = Events(
        database=database,
        labels=core.labels,
        labelling=identity.labelling,
        sealer=core.keyring,
        clock=clock,
        proofs=proofs,
    )
    trails = Trails(database=database, log=core.log, clock=clock, delivery=delivery)
    return Evidence(proofs=proofs, delivery=delivery, handlers={"cloudtrail": [events, trails]})
