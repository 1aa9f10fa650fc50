"""CloudTrail's trails: log files and signed digests in a bucket of the agency's own.

A trail of this region delivers its account's management events. AWS's `aws cloudtrail
validate-logs` checks what it delivered.
https://docs.aws.amazon.com/awscloudtrail/latest/APIReference/API_CreateTrail.html
"""

import re
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from bastide.audit.log import MerkleLog
from bastide.db import Database
from bastide.evidence import records
from bastide.evidence.delivery import Delivery
from bastide.evidence.log_files import arn_of
from bastide.evidence.model import Trail
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms, moment
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.operation import operation

Params = dict[str, Any]
TRAILS_MAX = 5
_NAME = re.compile(r"(?=.{3,128}\Z)[A-Za-z0-9](?:[._-]?[A-Za-z0-9])*[._-]?")
_PREFIX_MAX = 200
_HERE = {
    "IncludeGlobalServiceEvents": "IAM and STS are the region's own: their events are in it",
    "IsMultiRegionTrail": "a site's regions share nothing: false is all there is, true is refused",
    "IsOrganizationTrail": "there are no organizations: false is all there is, true is refused",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trails:
    database: Database
    log: MerkleLog
    clock: Clock
    delivery: Delivery

    @operation(
        "Name", "S3BucketName", "S3KeyPrefix", "EnableLogFileValidation", accepted=_HERE
    )  # fmt: skip
    def create_trail(self, call: Call, req: Params) -> Params:
        for member in ("IsMultiRegionTrail", "IsOrganizationTrail"):
            if req.get(member):
                raise unsupported(call.operation, f"{member}=true")
        trail = Trail(
            account=call.account,
            name=_name(req["Name"]),
            label=self.delivery.labels.use(call.principal.session),
            bucket=req["S3BucketName"],
            prefix=_prefix(req.get("S3KeyPrefix") or ""),
            has_digests=bool(req.get("EnableLogFileValidation")),
        )
        self.delivery.check(trail)
        known = self._seen(call)
        if len(known) >= TRAILS_MAX and trail.name not in {each.name for each in known}:
            raise ServiceError(
                "MaximumNumberOfTrailsExceededException",
                f"User: {call.account} already has {TRAILS_MAX} trails in {call.region.name}.",
            )
        taken = trail.name in {each.name for each in known}
        if taken or not self.database.write(lambda c: records.add(c, trail)):
            raise ServiceError(
                "TrailAlreadyExistsException",
                f"Trail {trail.name} already exists for customer: {call.account}",
            )
        return _settings(call, trail)

    @operation("trailNameList", accepted={"includeShadowTrails": "no trail is of another region"})
    def describe_trails(self, call: Call, req: Params) -> Params:
        found = self._seen(call)
        if wanted := req.get("trailNameList"):
            names = {_own_name(call, each) for each in wanted}
            found = [trail for trail in found if trail.name in names]
        return {"trailList": [_described(call, trail) for trail in found]}

    @operation("Name")
    def get_trail(self, call: Call, req: Params) -> Params:
        return {"Trail": _described(call, self._trail(call, req))}

    @operation("Name")
    def get_trail_status(self, call: Call, req: Params) -> Params:
        trail = self._trail(call, req)
        times = {
            "LatestDeliveryTime": trail.delivered_ms,
            "LatestDigestDeliveryTime": trail.digest_ms,
            "StartLoggingTime": trail.started_ms,
            "StopLoggingTime": trail.stopped_ms,
        }
        errors = {
            "LatestDeliveryError": trail.error,
            "LatestDigestDeliveryError": trail.digest_error,
        }
        return {
            "IsLogging": trail.logging,
            **{name: moment(at) for name, at in times.items() if at is not None},
            **{name: text for name, text in errors.items() if text},
        }

    @operation("Name")
    def start_logging(self, call: Call, req: Params) -> Params:
        """A new chain of digests, from this second on."""
        trail = self._trail(call, req)
        if not trail.logging:
            now_ms = epoch_ms(self.clock.now())
            begun = replace(
                trail,
                logging=True,
                started_ms=now_ms,
                next_index=self.log.size,
                digest_from_ms=now_ms // 1000 * 1000,
                last=None,
            )
            self.database.write(lambda c: records.save(c, begun))
        return {}

    @operation("Name")
    def stop_logging(self, call: Call, req: Params) -> Params:
        """What there is so far is delivered first, and ends the chain of digests."""
        trail = self._trail(call, req)
        if trail.logging:
            trail = self.delivery.deliver_one(trail, to_the_end=True)
            ended = replace(trail, logging=False, stopped_ms=epoch_ms(self.clock.now()))
            self.database.write(lambda c: records.save(c, ended))
        return {}

    @operation("Name")
    def delete_trail(self, call: Call, req: Params) -> Params:
        trail = self._trail(call, req)
        if trail.logging:
            self.delivery.deliver_one(trail, to_the_end=True)
        self.database.write(lambda c: records.drop(c, trail))
        return {}

    @operation("StartTime", "EndTime")
    def list_public_keys(self, call: Call, req: Params) -> Params:
        now = self.clock.now()
        start = req.get("StartTime") or now - timedelta(days=1)
        end = req.get("EndTime") or now
        if start > end:
            raise ServiceError(
                "InvalidTimeRangeException", "The start time must not be after the end time."
            )
        listed = [
            {
                "Value": key.public,
                "ValidityStartTime": key.valid_from,
                "ValidityEndTime": key.valid_until,
                "Fingerprint": key.fingerprint,
            }
            for key in self.delivery.keys.listed(start, end)
        ]
        return {"PublicKeyList": listed}

    def _seen(self, call: Call) -> list[Trail]:
        """What is above takes neither a name nor one of the few places."""
        view = self.delivery.labels.view(call.principal.session)
        return self.database.read(lambda c: records.of_account(c, call.account, view))

    def _trail(self, call: Call, req: Params) -> Trail:
        found = self.delivery.find(call.principal, _own_name(call, req["Name"]))
        if found is None:
            raise ServiceError(
                "TrailNotFoundException",
                f"Unknown trail: {req['Name']} for the user: {call.account}",
            )
        return found


def _own_name(call: Call, named: str) -> str:
    """A trail's name, of its name or its ARN; another account's is no name here."""
    if not named.startswith("arn:"):
        return named
    arn = arns.parse(named)
    own = arn is not None and named == arn_of(call.region, call.account, named.rpartition("/")[2])
    return named.rpartition("/")[2] if own else ""


def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ServiceError(
            "InvalidTrailNameException",
            "Trail name must have 3 to 128 letters, digits, periods, underscores or dashes.",
        )
    return name


def _prefix(prefix: str) -> str:
    if len(prefix) > _PREFIX_MAX or prefix.endswith("/") or not prefix.isascii():
        raise ServiceError(
            "InvalidS3PrefixException",
            "The prefix must be at most 200 ASCII characters and must not end with a slash.",
        )
    return prefix


def _settings(call: Call, trail: Trail) -> Params:
    return {
        "Name": trail.name,
        "S3BucketName": trail.bucket,
        **({"S3KeyPrefix": trail.prefix} if trail.prefix else {}),
        "IncludeGlobalServiceEvents": True,
        "IsMultiRegionTrail": False,
        "TrailARN": arn_of(call.region, trail.account, trail.name),
        "LogFileValidationEnabled": trail.has_digests,
        "IsOrganizationTrail": False,
    }


def _described(call: Call, trail: Trail) -> Params:
    return {
        **_settings(call, trail),
        "HomeRegion": call.region.name,
        "HasCustomEventSelectors": False,
        "HasInsightSelectors": False,
    }
