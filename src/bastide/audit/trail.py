"""What happened, to whom and by whom, as records of the Merkle log; wire's `Auditor`.

A record takes from a request only the members named in `resources.py`: names and ARNs. Bodies,
prompts, signatures and secrets have no way in.
"""

import logging
import re
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from dataclasses import asdict
from datetime import datetime
from typing import Any

from msgspec.structs import replace

from bastide.audit.log import MerkleLog
from bastide.audit.model import TEXT_MAX, Kind, Record, bounded, encode
from bastide.audit.resources import named_in
from bastide.kernel.call import Call, Crossed, Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import Unavailable
from bastide.kernel.ids import Ids
from bastide.kernel.labels.label import Label
from bastide.kernel.receipts import END_LOST, INFERENCES, LOST, Transfer, lost_inference

logger = logging.getLogger(__name__)
AGENT_MAX = 256
FACTS_MAX = 32
OPEN_MAX = 100_000
_ACCESS_KEY = re.compile(r"A[A-Z0-9]{15,31}")  # a secret pasted in its place is not recorded
_SECRETIVE = re.compile(r"secret|password|signature|token|prompt|body|credential", re.IGNORECASE)

_Opened = tuple[str, "Future[int]"]  # the event's id, and where it was written


class AuditTrail:
    """Records of calls, of what operators do and of what becomes of jobs."""

    def __init__(self, log: MerkleLog, clock: Clock, ids: Ids, use: Callable[[Label], str]) -> None:
        """`use` gives a label's marking, which records may carry from now on."""
        self._log = log
        self._use = use
        self._clock = clock
        self._ids = ids
        self._open: dict[str, _Opened] = {}
        self._lock = threading.Lock()

    def opened(self, call: Call, params: Mapping[str, Any]) -> "Future[int]":
        """Record a call that is allowed, before its effect; of what another account shares, in
        that one's trail too. The log is in order: the later record is durable after the first."""
        record = self._of_call(call, params, Kind.CALL, decision="allow")
        done = self._append(record)
        with self._lock:
            if len(self._open) >= OPEN_MAX:
                self._open.pop(next(iter(self._open)))
            self._open[call.request_id] = (record.id, done)
        call.notes.event_id = record.id
        if call.notes.crossed is not None:
            return self._append(_for_owner(record, call.notes.crossed, self._ids.uuid()))
        return done

    def crossed(self, principal: Principal, what: Crossed) -> None:
        """Record, durably and in both trails, what is about to be read of another account's where
        no call says so: what a job stages, and by which key a shared object is opened."""
        operation, named = _read_of(what.arn)
        record = Record(
            account=principal.account,
            time=self._now_ms(),
            kind=Kind.CALL,
            id=self._ids.uuid(),
            operation=operation,
            resources=named,
            principal=principal.arn,
            user_id=principal.user_id,
            decision="allow",
            label=self._use(principal.session),
        )
        self._append(record)
        self._append(_for_owner(record, what, self._ids.uuid())).result()

    def denied(self, call: Call, params: Mapping[str, Any], code: str) -> "Future[int]":
        """Record a call that was refused before it had an effect."""
        return self._append(
            self._of_call(call, params, Kind.DENIED, decision="deny", code=bounded(code, 128))
        )

    def rejected(self, facts: Mapping[str, str], code: str) -> "Future[int]":
        """Record a request whose sender could not be authenticated. It belongs to no account:
        who claims a key does not write into that agency's trail."""
        known = {name.replace(" ", "_").replace("-", "_"): text for name, text in facts.items()}
        claimed = known.get("access_key_id", "")
        path = known.get("path", "").partition("?")[0]  # a presigned query is a credential
        record = Record(
            account="",
            time=self._now_ms(),
            kind=Kind.REJECTED,
            id=self._ids.uuid(),
            request_id=bounded(known.get("request_id", ""), 128),
            access_key=claimed if _ACCESS_KEY.fullmatch(claimed) else "",
            source_ip=bounded(known.get("source_ip", ""), 64),
            user_agent=bounded(known.get("user_agent", ""), AGENT_MAX),
            facts={"method": bounded(known.get("method", ""), 16), "path": bounded(path)},
            decision="deny",
            code=bounded(code, 128),
        )
        return self._append(record)

    def further_rejected(self, source: str, count: int, since: datetime) -> "Future[int]":
        """Record how many more were rejected from one address, beside those of the log."""
        return self._append(
            Record(
                account="",
                time=self._now_ms(),
                kind=Kind.REJECTED,
                id=self._ids.uuid(),
                source_ip=bounded(source, 64),
                facts={"further": str(count), "since": since.isoformat(timespec="seconds")},
                decision="deny",
            )
        )

    def closed(self, call: Call, status: int, code: str) -> None:
        """Record how an opened call ended. Never fails the caller."""
        with self._lock:
            event_id, written = self._open.pop(call.request_id, ("", None))
        record = Record(
            account=call.account,
            time=self._now_ms(),
            kind=Kind.CLOSED,
            id=event_id or self._ids.uuid(),
            request_id=bounded(call.request_id, 128),
            operation=call.operation,
            status=status,
            code=bounded(code, 128),
            opened=_index_of(written),
            facts=_bounded_facts(call.notes.audit),
            inference=call.notes.inference,
            label=call.principal.session.text,
        )
        try:
            self._append(record)
        except Unavailable:
            logger.exception("the end of call %s is not in the audit log", call.request_id)

    def lost(self, index: int, call: Record) -> "Future[int]":
        """Record of the call at that index that nobody saw its end."""
        is_inference = call.operation in INFERENCES
        words = ("modelId", "model", "EndpointName")
        named = next(filter(None, map(call.resources.get, words)), "nothing")
        return self._append(
            Record(
                account=call.account,
                time=self._now_ms(),
                kind=Kind.CLOSED,
                id=call.id,
                request_id=call.request_id,
                operation=call.operation,
                code=END_LOST,
                opened=index,
                facts={"end": LOST},
                inference=lost_inference(named, call.label) if is_inference else None,
                label=call.label,
            ),
            patient=False,
        )

    def operator(self, action: str, facts: Mapping[str, Any], code: str = "") -> "Future[int]":
        """Record what an operator of the region does or, with `code`, was refused."""
        return self._append(self._of_operator(action, facts, code))

    def transfer(
        self, action: str, facts: Mapping[str, Any], transfer: Transfer
    ) -> "tuple[str, Future[int]]":
        """Record an act at the gate. Its receipt has the id that is answered."""
        record = self._of_operator(action, facts, "", _bounded_transfer(transfer))
        return record.id, self._append(record)

    def _of_operator(
        self, action: str, facts: Mapping[str, Any], code: str, transfer: Transfer | None = None
    ) -> Record:
        return Record(
            account=_account(facts.get("account", "")),
            time=self._now_ms(),
            kind=Kind.OPERATOR,
            id=self._ids.uuid(),
            operation=bounded(action, 128),
            decision="deny" if code else "allow",
            code=bounded(code, 128),
            facts=_bounded_facts(facts),
            transfer=transfer,
        )

    def job(
        self, account: str, job_id: str, status: str, facts: Mapping[str, Any] | None = None
    ) -> "Future[int]":
        """Record a job's transition."""
        return self._append(
            Record(
                account=_account(account),
                time=self._now_ms(),
                kind=Kind.JOB,
                id=self._ids.uuid(),
                operation=f"job.{bounded(status, 64)}",
                resources={"Job": bounded(job_id)},
                facts=_bounded_facts(facts or {}),
            )
        )

    def _of_call(
        self,
        call: Call,
        params: Mapping[str, Any],
        kind: Kind,
        *,
        decision: str,
        code: str = "",
    ) -> Record:
        principal = call.principal
        return Record(
            account=principal.account,
            time=self._now_ms(),
            kind=kind,
            id=self._ids.uuid(),
            request_id=bounded(call.request_id, 128),
            operation=call.operation,
            principal=principal.arn,
            user_id=principal.user_id,
            access_key=principal.access_key_id,
            source_ip=bounded(call.source_ip, 64),
            user_agent=bounded(call.user_agent, AGENT_MAX),
            resources=named_in(call.operation, params),
            decision=decision,
            code=code,
            label=self._use(principal.session),
        )

    def _append(self, record: Record, patient: bool | None = None) -> "Future[int]":
        """`patient`: whether nobody waits for it, as for the end of a call."""
        return self._log.append(
            encode(record),
            account=record.account,
            time_ms=record.time,
            closes=record.opened,
            label=record.label,
            patient=record.kind == Kind.CLOSED if patient is None else patient,
        )

    def _now_ms(self) -> int:
        return epoch_ms(self._clock.now())


def _index_of(written: "Future[int] | None") -> int | None:
    if written is None or not written.done() or written.exception() is not None:
        return None
    return written.result()


def _for_owner(record: Record, crossed: Crossed, event_id: str) -> Record:
    """The record that an owner gets of a read of what it shares: its own names, and who it was."""
    return replace(
        record,
        account=crossed.owner,
        id=event_id,
        access_key="",
        resources=_read_of(crossed.arn)[1],
    )


def _read_of(arn: str) -> tuple[str, dict[str, str]]:
    """What reads a thing that is shared, or opens it, and what the members that name it say."""
    bucket, _, key = arn.partition(":::")[2].partition("/")
    if not bucket:
        return "kms.Decrypt", {"KeyId": bounded(arn)}
    if not key:
        return "s3.ListObjectsV2", {"Bucket": bounded(bucket)}
    return "s3.GetObject", {"Bucket": bounded(bucket), "Key": bounded(key)}


def _account(text: object) -> str:
    account = str(text)
    return account if len(account) == 12 and account.isascii() and account.isdigit() else ""


def _bounded_transfer(transfer: Transfer) -> Transfer:
    """A bundle's statement is a stranger's: what it says of itself is bounded like all else."""
    said: dict[str, Any] = {
        name: bounded(fact) if isinstance(fact, str) else fact
        for name, fact in asdict(transfer).items()
    }
    return Transfer(**said)


def _bounded_facts(facts: Mapping[str, Any]) -> dict[str, str]:
    """Short texts and numbers under names that do not promise a secret."""
    kept: dict[str, str] = {}
    for name, fact in list(facts.items())[:FACTS_MAX]:
        if isinstance(fact, str | int | float) and not _SECRETIVE.search(name):
            kept[bounded(name, 64)] = bounded(str(fact), TEXT_MAX)
    return kept
