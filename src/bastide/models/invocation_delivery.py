"""Invocations on their way to where an agency has them logged: a bounded line, and one thread.

No call waits for it, and none fails by it: what finds no room is dropped and counted, and what
cannot be delivered is tried again a few times, after pauses that hold nothing else up, and then
counted too. What waits when the region is killed is lost: the audit log, which is not, has each
call. A record is written at the label of the session that asked, so whoever works below finds
neither it nor its name. Of an agency's configurations that of the call's own label holds, else the
newest that its session sees.
"""

import json
import logging
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bastide.db.database import Database
from bastide.kernel import arns
from bastide.kernel.call import Principal, PrincipalKind
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.ids import Ids
from bastide.kernel.labels.labelling import Labelling
from bastide.kernel.regions import Region
from bastide.models import logging_records as records
from bastide.models.invocation_records import Invocation, folder, large_bodies, packed, record
from bastide.models.logging_records import Configuration
from bastide.models.ports import LoggingPermits, LoggingRoles, LogLines, LogObjects

logger = logging.getLogger(__name__)
SERVICE = "bedrock.amazonaws.com"
STREAM = "aws/bedrock/modelinvocations"
PAUSE_S = 2.0
BATCH = 100
LETTERS_MAX = 64 << 20  # that wait, of all agencies
SHARE = 4  # an agency has a fourth of it at each of its labels: none is crowded out by one above
PAUSES_S = (10.0, 60.0)  # between the three times that a delivery is tried
PLACES = ("s3Config", "cloudWatchConfig")


class Undelivered(Exception):
    """The text says where to, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """What goes to one place, which is looked up when it goes. `tries`: so far."""

    account: str
    label: str
    place: str
    some: Sequence[Invocation]
    tries: int = 0
    due_s: float = 0.0

    @property
    def letters(self) -> int:
        return sum(one.size for one in self.some)


@dataclass(slots=True, kw_only=True)
class InvocationLogs:
    """`record` may be called from anywhere, also from the event loop."""

    region: Region
    database: Database
    clock: Clock
    ids: Ids
    labelling: Labelling
    roles: LoggingRoles
    permits: LoggingPermits
    objects: LogObjects
    lines: LogLines
    _configured: dict[str, dict[str, Configuration]] = field(default_factory=dict)
    _waiting: deque[Invocation] = field(default_factory=deque)
    _later: list[Parcel] = field(default_factory=list)
    _letters: Counter[tuple[str, str]] = field(default_factory=Counter)  # by agency and label
    _dropped: Counter[str] = field(default_factory=Counter)  # not yet told
    _lost: Counter[str] = field(default_factory=Counter)  # since the start
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _delivering: threading.Lock = field(default_factory=threading.Lock)
    _stopping: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        self.refresh()
        self._thread = threading.Thread(target=self._run, name="invocation-logs", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def refresh(self) -> None:
        """The configurations, as they are now."""
        found: dict[str, dict[str, Configuration]] = defaultdict(dict)
        for one in self.database.read(records.every):
            found[one.account][one.label] = one
        self._configured = dict(found)

    def wants(self, account: str) -> bool:
        return account in self._configured

    def record(self, account: str, made: Callable[[], Invocation]) -> None:
        if not self.wants(account):
            return
        one = made()
        with self._lock:
            if not self._has_taken(account, one.label, one.size):
                self._dropped[account] += 1
                self._lost["dropped"] += 1
                return
            self._waiting.append(one)

    def counts(self) -> dict[str, int]:
        """What `bastide status` shows: of all agencies, and of what was lost since the start."""
        with self._lock:
            later = sum(len(parcel.some) for parcel in self._later)
            return {
                "waiting": len(self._waiting) + later,
                "dropped": self._lost["dropped"],
                "undelivered": self._lost["undelivered"],
            }

    def deliver(self, *, last: bool = False) -> None:
        """All that waits and is due. `last`: whatever is not due, and no more after that."""
        with self._delivering:
            for parcel in self._due(last=last):
                self._send(parcel, last=last)
            while batch := self._taken():
                for parcel in self._parcels(batch):
                    self._send(parcel, last=last)
            self._tell_dropped()

    def configuration(self, account: str, label: str) -> Configuration | None:
        """The one that holds for what is of that label."""
        mine = self._configured.get(account, {})
        if label in mine:
            return mine[label]
        session = self.labelling.scheme.parse(label)
        seen = [
            one
            for one in mine.values()
            if session.dominates(self.labelling.scheme.parse(one.label))
        ]
        return max(seen, key=lambda one: one.updated_ms, default=None)

    def check(self, account: str, label: str, config: Mapping[str, Any]) -> None:
        """Whether it could be delivered now. Raises ValidationException."""
        try:
            if "s3Config" in config:
                self._may_put(account, label, config["s3Config"])
            if "cloudWatchConfig" in config:
                self._may_log(account, label, config["cloudWatchConfig"])
                large = config["cloudWatchConfig"].get("largeDataDeliveryS3Config")
                if large:
                    self._may_put(account, label, large)
        except Undelivered as error:
            raise ServiceError("ValidationException", str(error)) from error

    def _run(self) -> None:
        while True:
            ended = self._stopping.wait(PAUSE_S)
            try:
                self.deliver(last=ended)
            except Unavailable:
                logger.warning("invocations could not be logged", exc_info=True)
            if ended:
                return

    def _taken(self) -> list[Invocation]:
        with self._lock:
            batch = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
            for one in batch:
                self._freed(one.account, one.label, one.size)
            return batch

    def _has_taken(self, account: str, label: str, letters: int) -> bool:
        """Whether there is room for so much more, which is taken then. The lock is held."""
        mine, all_ = self._letters.get((account, label), 0), self._letters.total()
        if mine + letters > LETTERS_MAX // SHARE or all_ + letters > LETTERS_MAX:
            return False
        self._letters[account, label] += letters
        return True

    def _freed(self, account: str, label: str, letters: int) -> None:
        """Who holds nothing is not kept. The lock is held."""
        self._letters[account, label] -= letters
        if not self._letters[account, label]:
            del self._letters[account, label]

    def _due(self, *, last: bool) -> list[Parcel]:
        """Of those that are tried again."""
        now_s = self.clock.monotonic_s()
        with self._lock:
            found = [one for one in self._later if last or one.due_s <= now_s]
            self._later = [one for one in self._later if not (last or one.due_s <= now_s)]
            for one in found:
                self._freed(one.account, one.label, one.letters)
        return found

    def _parcels(self, batch: Sequence[Invocation]) -> Iterator[Parcel]:
        groups: dict[tuple[str, str], list[Invocation]] = defaultdict(list)
        for one in batch:
            groups[one.account, one.label].append(one)
        for (account, label), some in groups.items():
            for place in PLACES:
                yield Parcel(account=account, label=label, place=place, some=some)

    def _send(self, parcel: Parcel, *, last: bool) -> None:
        found = self.configuration(parcel.account, parcel.label)
        where = found.config.get(parcel.place) if found is not None else None
        if found is None or not where:
            return
        wanted = [one for one in parcel.some if _is_wanted(found.config, one)]
        if not wanted:
            return
        put = self._to_s3 if parcel.place == "s3Config" else self._to_logs
        told = [record(self.region, one) for one in wanted]
        try:
            put(parcel.account, parcel.label, where, wanted, told)
        except (Undelivered, ServiceError, Unavailable, OSError) as error:
            self._failed(replace(parcel, some=wanted), error, last=last)

    def _failed(self, parcel: Parcel, error: Exception, *, last: bool) -> None:
        with self._lock:
            if not last and parcel.tries < len(PAUSES_S):
                due_s = self.clock.monotonic_s() + PAUSES_S[parcel.tries]
                if self._has_taken(parcel.account, parcel.label, parcel.letters):
                    self._later.append(replace(parcel, tries=parcel.tries + 1, due_s=due_s))
                    return
            self._lost["undelivered"] += len(parcel.some)
        logger.warning("%s invocations could not be logged: %s", len(parcel.some), error)

    def _to_s3(
        self,
        account: str,
        label: str,
        where: Mapping[str, Any],
        some: Sequence[Invocation],
        told: list[Any],
    ) -> None:
        who = self._may_put(account, label, where)
        for one in told:
            self._put_large(who, where, one, some[0])
        time = some[0].time
        name = f"{time:%Y%m%dT%H%M%S}{time.microsecond // 1000:03}Z_{self.ids.word(16)}.json.gz"
        at = folder(self.region, where.get("keyPrefix") or "", account, time)
        self._put(who, where, f"{at}/{name}", packed(told))

    def _to_logs(
        self,
        account: str,
        label: str,
        where: Mapping[str, Any],
        some: Sequence[Invocation],
        told: list[Any],
    ) -> None:
        self._may_log(account, label, where)
        large = where.get("largeDataDeliveryS3Config")
        for one in told:
            if large:
                self._put_large(self._may_put(account, label, large), large, one, some[0])
            else:
                large_bodies(one)  # there is no room for them in a line
        lines = [
            (epoch_ms(one.time), json.dumps(line, ensure_ascii=False))
            for one, line in zip(some, told, strict=True)
        ]
        self.lines.put(account, label, where["logGroupName"], STREAM, lines)

    def _put_large(
        self, who: Principal, where: Mapping[str, Any], told: Any, first: Invocation
    ) -> None:
        told["input"], told["output"] = dict(told["input"]), dict(told["output"])
        at = folder(self.region, where.get("keyPrefix") or "", first.account, first.time)
        for name, body in large_bodies(told).items():
            key = f"{at}/data/{name}"
            self._put(who, where, key, body)
            side = "input" if "_input" in name else "output"
            told[side][f"{side}BodyS3Path"] = f"s3://{where['bucketName']}/{key}"

    def _put(self, who: Principal, where: Mapping[str, Any], key: str, body: bytes) -> None:
        self.objects.put(
            who, where["bucketName"], key, iter((body,)), content_type="application/gzip"
        )

    def _may_put(self, account: str, label: str, where: Mapping[str, Any]) -> Principal:
        """As whom. Raises Undelivered."""
        bucket, session = where["bucketName"], self.labelling.scheme.parse(label)
        who = Principal(
            account=account, arn=SERVICE, user_id=SERVICE, kind=PrincipalKind.SERVICE,
            issuer_arn="", name=SERVICE, access_key_id="", clearance=session, session=session,
        )  # fmt: skip
        at = folder(self.region, where.get("keyPrefix") or "", account, self.clock.now())
        facts = {
            "aws:SourceArn": arns.regional(self.region, "bedrock", account, "*"),
            "aws:SourceAccount": account,
            "aws:SecureTransport": "true",
        }
        resource = arns.s3(self.region, bucket, f"{at}/x.json.gz")
        if not self.objects.has_bucket(who, bucket):
            raise Undelivered(f"There is no bucket {bucket}.")
        if not self.permits.permits_service(who, "s3:PutObject", resource, facts):
            raise Undelivered(f"The policy of bucket {bucket} does not let {SERVICE} write there.")
        return who

    def _may_log(self, account: str, label: str, where: Mapping[str, Any]) -> None:
        """Raises Undelivered, and ServiceError of a role that cannot work. The stream that it sees
        may be one below, which it does not change: its own is made then, as AWS's roles may."""
        group, role = where["logGroupName"], where["roleArn"]
        who = self.roles.assume_for_service(account, role, SERVICE, label)
        resource = arns.regional(
            self.region, "logs", account, f"log-group:{group}:log-stream:{STREAM}"
        )
        if self.permits.permits(who, "logs:PutLogEvents", resource, {}):
            return
        if self.permits.permits(who, "logs:CreateLogStream", resource, {}):
            self.lines.put(account, label, group, STREAM, ())
            if self.permits.permits(who, "logs:PutLogEvents", resource, {}):
                return
        raise Undelivered(f"{role} may not put events into log group {group}.")

    def _tell_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, Counter()
        for account, count in dropped.items():
            logger.warning("%s invocations of %s found no room and are not logged", count, account)


def _is_wanted(config: Mapping[str, Any], one: Invocation) -> bool:
    switch = "embeddingDataDeliveryEnabled" if one.is_embedding else "textDataDeliveryEnabled"
    return bool(config.get(switch, True))
