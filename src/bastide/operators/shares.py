"""What agencies read of each other's buckets, as operators see it. They let more be read with two
officers' signatures, and take it back alone."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bastide.identity.agencies import Agencies
from bastide.kernel.approvals import Approvals, Kind
from bastide.kernel.clock import moment
from bastide.store import share_records
from bastide.store.model import Share
from bastide.store.shares import Shares


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareRoom:
    """What `bastide share …` asks for."""

    agencies: Agencies
    shares: Shares
    approvals: Approvals

    def rows(self, agency: str) -> list[dict[str, Any]]:
        account = self.agencies.account_of(agency)
        return [_row(one) for one in self.shares.of_account(account)]

    def grant(self, agency: str, asked: Mapping[str, str], requester: str) -> dict[str, Any]:
        offered = self.shares.offer(
            self.agencies.account_of(agency), asked["bucket"],
            self.agencies.account_of(asked["reader"]), asked["prefix"], asked["label"],
        )  # fmt: skip
        action = {
            "change": "share",
            "owner": offered.owner,
            "reader": offered.reader,
            "bucket": offered.bucket,
            "bucket_id": offered.bucket_id,
            "prefix": offered.prefix,
            "label": offered.label,
        }
        self.approvals.carry_out(
            Kind.AGENCY_SHARE, action, requester, lambda c: share_records.put(c, offered)
        )
        return _row(offered)

    def revoke(self, agency: str, alias: str) -> dict[str, Any]:
        return _row(self.shares.revoke(self.agencies.account_of(agency), alias))


def _row(share: Share) -> dict[str, Any]:
    return {
        "alias": share.alias,
        "owner": share.owner,
        "bucket": share.bucket,
        "prefix": share.prefix,
        "reader": share.reader,
        "label": share.label,
        "since": moment(share.granted_ms).isoformat(timespec="seconds"),
    }
