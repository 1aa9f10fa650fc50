"""What an assessor asks for, joined to the log, the store and policy."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from bastide.app.core import Core
from bastide.app.identity import Identity
from bastide.app.store import Store
from bastide.audit.digest_keys import open_digest_keys
from bastide.audit.proofs import Proofs
from bastide.evidence.delivery import Delivery
from bastide.evidence.digest_rotation import DigestRotation
from bastide.evidence.events import Events
from bastide.evidence.retirements import Retirements
from bastide.evidence.trails import Trails
from bastide.kernel.approvals import Approvals
from bastide.kernel.errors import ServiceError, Unavailable

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Receipts, look-ups and trails."""

    proofs: Proofs
    delivery: Delivery
    retirements: Retirements
    rotation: DigestRotation
    handlers: dict[str, list[object]]

    def start(self) -> None:
        try:
            self.retirements.finish()
        except (ServiceError, Unavailable):  # no reason to serve nobody; the next one tells it
            logger.exception("a retirement of audit records could not be finished")
        self.delivery.start()

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


def open_evidence(core: Core, identity: Identity, store: Store, approvals: Approvals) -> Evidence:
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
        keys=open_digest_keys(core.home / "audit"),
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
    retirements = Retirements(
        database=database,
        log=core.log,
        trail=core.trail,
        clock=clock,
        approvals=approvals,
        deliveries=delivery,
        folder=core.home / "audit" / "retired",
        keep=timedelta(days=core.settings.audit.keep_days),
    )
    return Evidence(
        proofs=proofs,
        delivery=delivery,
        retirements=retirements,
        rotation=DigestRotation(delivery=delivery, trail=core.trail, approvals=approvals),
        handlers={"cloudtrail": [events, trails]},
    )
