"""Where guardrails are found: by their id or ARN, as far as a session sees.

The rules of a version are read once and kept: a version never changes, and a draft that did has
another digest.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.db.marks import Marks
from bastide.guardrails import records
from bastide.guardrails.judging import Matchers
from bastide.guardrails.model import DRAFT, DRAFT_NUMBER, Guardrail, Version
from bastide.guardrails.rules import rules_of
from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import Ids
from bastide.kernel.labels.label import Label
from bastide.kernel.regions import Region

NOT_FOUND = "The guardrail identifier or version provided in the request does not exist."
MATCHERS_MAX = 256


class KnownMatchers:
    """The rules that were used last, ready."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[tuple[str, str], Matchers] = OrderedDict()

    def get(self, key: tuple[str, str]) -> Matchers | None:
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
            return self._kept.get(key)

    def keep(self, key: tuple[str, str], matchers: Matchers) -> Matchers:
        with self._lock:
            self._kept[key] = matchers
            if len(self._kept) > MATCHERS_MAX:
                self._kept.popitem(last=False)
        return matchers


@dataclass(frozen=True, slots=True, kw_only=True)
class Applied:
    """One version, found for a caller and ready."""

    id: str
    arn: str
    version: str
    matchers: Matchers


@dataclass(frozen=True, slots=True, kw_only=True)
class Shelf:
    region: Region
    database: Database
    clock: Clock
    ids: Ids
    marks: Marks
    matchers: KnownMatchers = field(default_factory=KnownMatchers)

    def now_ms(self) -> int:
        return epoch_ms(self.clock.now())

    def arn(self, account: str, id_: str) -> str:
        return arns.regional(self.region, "bedrock", account, f"guardrail/{id_}")

    def id_of(self, account: str, identifier: str) -> str:
        return identifier.removeprefix(self.arn(account, ""))

    def seen(self, principal: Principal, identifier: str) -> Guardrail | None:
        """What a session finds: at its label, or below."""
        return self.database.read(lambda c: self.found(c, principal, identifier))

    def found(self, c: Connection, principal: Principal, identifier: str) -> Guardrail | None:
        id_ = self.id_of(principal.account, identifier)
        return records.find(c, principal.account, id_, self.marks.view(principal).seen)

    def mine(self, c: Connection, call: Call, identifier: str) -> Guardrail:
        """What the session may change, found within the transaction that does."""
        found = self.found(c, call.principal, identifier)
        if found is None:
            raise absent()
        self.marks.check_own(call, found.label)
        return found

    def version(
        self, principal: Principal, identifier: str, name: str, *, whole: bool = False
    ) -> tuple[Guardrail, Version] | None:
        number = number_of(name)

        def read(c: Connection) -> tuple[Guardrail, Version] | None:
            one = self.found(c, principal, identifier)
            found = records.version(c, one.id, number, whole=whole) if one else None
            return (one, found) if one and found else None

        return self.database.read(read)

    def matchers_of(self, version: Version) -> Matchers:
        key = (version.guardrail_id, version.digest)
        known = self.matchers.get(key)
        if known is not None:
            return known
        whole = self.database.read(
            lambda c: records.version(c, version.guardrail_id, version.number, whole=True)
        )
        if whole is None:  # it went since it was found
            raise absent()
        matchers = Matchers.of(rules_of(json.loads(whole.config)))
        return self.matchers.keep((whole.guardrail_id, whole.digest), matchers)

    def applied(self, principal: Principal, identifier: str, version: str) -> Applied:
        found = self.version(principal, identifier, version) if identifier and version else None
        if found is None:
            raise absent()
        one, held = found
        matchers = self.matchers_of(held)
        arn = self.arn(one.account, one.id)
        return Applied(id=one.id, arn=arn, version=held.name, matchers=matchers)

    # What the authorizer asks, by an ARN.
    def tags(self, principal: Principal, arn: str) -> Mapping[str, str]:
        found = self.seen(principal, arn)
        return found.tags if found else {}

    def label(self, principal: Principal, arn: str) -> Label | None:
        found = self.seen(principal, arn)
        return self.marks.parse(found.label) if found else None


def number_of(name: str) -> int:
    return DRAFT_NUMBER if name == DRAFT else int(name)


def absent() -> ServiceError:
    return ServiceError("ResourceNotFoundException", NOT_FOUND)
