"""Another key for CloudTrail's digests, once two security officers have signed for it: assessors
trust what it signs."""

import hashlib
from dataclasses import dataclass
from typing import Any

from bastide.audit.trail import AuditTrail
from bastide.evidence.delivery import Delivery
from bastide.kernel.approvals import Approvals, Kind

OPERATION = "DigestKeyRotated"
Row = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class DigestRotation:
    delivery: Delivery
    trail: AuditTrail
    approvals: Approvals

    def rotate(self, requester: str) -> Row:
        """NotApproved until two officers have signed for this very key's end; after that, which
        key signs. Which one it was is signed too: an approval ends one key, and no later one."""
        keys = self.delivery.keys
        keys.check_room()
        old = keys.signer
        action = {
            "change": "rotate the key of the trails' digests",
            "fingerprint": old.fingerprint,
            "public_sha256": hashlib.sha256(old.public).hexdigest(),
        }
        request = self.approvals.require(Kind.TRUST_ANCHOR_CHANGE, action, requester)
        self.delivery.rotate_key()
        new = keys.signer
        facts = {
            "old": old.fingerprint,
            "new": new.fingerprint,
            "public_sha256": hashlib.sha256(new.public).hexdigest(),
            "request": request,
        }
        self.trail.operator(OPERATION, facts).result()
        return {**facts, "valid_from": new.valid_from.isoformat()}
