"""Officers: the persons whose signatures count, and how they come to be.

The first two are enrolled on the word of who owns the region's socket: there is nobody else to
ask yet. From then on an enrolment, and the end of a suspension, is itself a change that two
security officers sign. A suspension needs nobody: a stolen key cannot wait.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.db import Database
from bastide.kernel.approvals import Approvals, Kind
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.statements import BadKey, fingerprint, parse_public, public_pem
from bastide.policy import approval_records as records
from bastide.policy.approval_model import Officer, Role
from bastide.policy.ports import Trail

FIRST = 2
OFFICERS_MAX = 1000
NAME = re.compile(r"[a-z][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class NewOfficer:
    """Who is to be enrolled, as a person typed it."""

    name: str
    roles: Sequence[str]
    public_key: str
    known_as: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OfficerBook:
    """The officers of one region."""

    database: Database
    clock: Clock
    trail: Trail
    approvals: Approvals

    def list(self) -> list[Officer]:
        return list(self.database.read(records.all_officers).values())

    def can_sign(self) -> bool:
        """Whether there are two. Those who are suspended count: to suspend all opens nothing."""
        return len(self.list()) >= FIRST

    def enrol(self, new: NewOfficer, requester: str) -> Officer:
        officer, mark = self._judged(new)
        self._check_free(self.database.read(records.all_officers), officer, mark)
        if not self.can_sign():
            return self._enrol_first(officer, mark)
        action = {
            "change": "enrol officer", "name": officer.name, "roles": sorted(officer.roles),
            "known_as": list(officer.known_as), "key_sha256": mark,
        }  # fmt: skip

        def enrol(c: Connection) -> Officer:
            self._check_free(records.all_officers(c), officer, mark)
            records.add_officer(c, officer, mark)
            return officer

        return self.approvals.carry_out(Kind.TRUST_ANCHOR_CHANGE, action, requester, enrol)

    def suspend(self, name: str) -> Officer:
        self._audit("SuspendOfficer", name)
        return self.database.write(lambda c: self._suspended(c, name, True))

    def reinstate(self, name: str, requester: str) -> Officer:
        officer = self._found(self.database.read(records.all_officers), name)
        mark = fingerprint(parse_public(officer.public_key))
        action = {"change": "reinstate officer", "name": name, "key_sha256": mark}
        return self.approvals.carry_out(
            Kind.TRUST_ANCHOR_CHANGE, action, requester, lambda c: self._suspended(c, name, False)
        )

    def _enrol_first(self, officer: Officer, mark: str) -> Officer:
        if Role.SECURITY_OFFICER not in officer.roles:
            raise ServiceError(
                "ValidationException",
                f"The first {FIRST} officers enrol all others: give them --role security-officer.",
            )
        facts = {"name": officer.name, "roles": ",".join(sorted(officer.roles)), "key_sha256": mark}
        self.trail.operator("EnrolFirstOfficer", facts).result()

        def enrol(c: Connection) -> Officer:
            known = records.all_officers(c)
            if len(known) >= FIRST:
                raise ServiceError("ValidationException", "The first officers are there now.")
            self._check_free(known, officer, mark)
            records.add_officer(c, officer, mark)
            return officer

        return self.database.write(enrol)

    def _judged(self, new: NewOfficer) -> tuple[Officer, str]:
        if not NAME.fullmatch(new.name):
            raise ServiceError("ValidationException", "A name is a-z, 0-9, '.', '_' and '-'.")
        known = sorted(Role)
        if not new.roles or not set(new.roles) <= set(known):
            raise ServiceError("ValidationException", f"The roles are {', '.join(known)}.")
        try:
            key = parse_public(new.public_key)
        except BadKey as error:
            raise ServiceError("ValidationException", str(error)) from error
        officer = Officer(
            name=new.name, roles=frozenset(Role(one) for one in new.roles),
            public_key=public_pem(key), known_as=tuple(new.known_as),
            enrolled_ms=epoch_ms(self.clock.now()),
        )  # fmt: skip
        return officer, fingerprint(key)

    def _check_free(self, known: dict[str, Officer], officer: Officer, mark: str) -> None:
        if officer.name in known:
            raise ServiceError("ValidationException", f"There is an officer {officer.name}.")
        if any(fingerprint(parse_public(one.public_key)) == mark for one in known.values()):
            raise ServiceError("ValidationException", "That key is another officer's.")
        if len(known) >= OFFICERS_MAX:
            raise ServiceError("ValidationException", f"{OFFICERS_MAX} officers are enough.")

    def _suspended(self, c: Connection, name: str, suspended: bool) -> Officer:
        officer = self._found(records.all_officers(c), name)
        records.set_suspended(c, name, suspended)
        return replace(officer, suspended=suspended)

    def _found(self, known: dict[str, Officer], name: str) -> Officer:
        if name not in known:
            raise ServiceError("NoSuchEntity", f"There is no officer {name}.")
        return known[name]

    def _audit(self, action: str, name: str) -> None:
        self.trail.operator(action, {"name": name}).result()
