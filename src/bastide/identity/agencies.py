"""Agencies: each an account with an administrator, its keys and an execution role for jobs."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.identity import builtin, records
from bastide.identity.access_keys import KeyMaker, issue
from bastide.identity.entities import ID_PREFIX, Entities
from bastide.identity.model import AccessKey, Agency, Entity, Kind
from bastide.kernel import arns
from bastide.kernel.clock import epoch_ms
from bastide.kernel.errors import ServiceError

ADMINISTRATOR = "administrator"
EXECUTION_ROLE = "BastideExecutionRole"
BATCH = 500
DIGITS = "0123456789"
_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,62}[A-Za-z0-9])?\Z")
_ACCOUNT = re.compile(r"\d{12}\Z", re.ASCII)
Rows = list[records.Row]


@dataclass(frozen=True, slots=True, kw_only=True)
class Agencies:
    """What operators do with tenants; no AWS operation."""

    entities: Entities
    maker: KeyMaker

    def create(self, name: str, account_id: str | None = None) -> Agency:
        """A new agency; ServiceError if its name or account is taken or malformed."""
        return self.create_many([name], account_id)[0]

    def create_many(self, names: Iterable[str], account_id: str | None = None) -> list[Agency]:
        """Many at once: a write holds some hundreds. All names of a batch are made or none."""
        wanted = list(names)
        for name in wanted:
            if not _NAME.match(name):
                raise _invalid(f"{name[:80]!r} is not an agency name: letters, digits and -._")
        if account_id is not None and not _ACCOUNT.match(account_id):
            raise _invalid("An account id is 12 digits.")
        made: list[Agency] = []
        for start in range(0, len(wanted), BATCH):
            made += self._create_batch(wanted[start : start + BATCH], account_id)
        return made

    def _create_batch(self, names: Sequence[str], account_id: str | None) -> list[Agency]:
        now_ms = epoch_ms(self.entities.clock.now())
        made = [
            Agency(account_id=account_id or self._new_account(), name=name, created_ms=now_ms)
            for name in names
        ]
        users = [self._administrator(agency) for agency in made]
        roles = [self._execution_role(agency) for agency in made]
        keys = [self.maker.access_key(each.account, each.name)[0] for each in users]
        inline = [records.inline_row(user, "Everything", builtin.EVERYTHING) for user in users]
        inline += [records.inline_row(role, "Work", builtin.EXECUTION) for role in roles]

        def work(connection: Connection) -> None:
            for agency in made:
                _check_free(connection, agency)
            records.insert_all(connection, records.agencies, records.agency_rows(made))
            rows = [records.entity_row(each) for each in (*users, *roles)]
            records.insert_all(connection, records.entities, rows)
            records.insert_all(connection, records.inline, inline)
            rows = [records.key_row(key) for key in keys]
            records.insert_all(connection, records.access_keys, rows)

        if len(set(names)) != len(names):
            raise _taken("An agency name is given twice.")
        self.entities.database.write(work)
        return made

    def _new_account(self) -> str:
        return self.entities.ids.word(1, DIGITS[1:]) + self.entities.ids.word(11, DIGITS)

    def _administrator(self, agency: Agency) -> Entity:
        return self._entity(agency, Kind.USER, ADMINISTRATOR)

    def _execution_role(self, agency: Agency) -> Entity:
        role = self._entity(agency, Kind.ROLE, EXECUTION_ROLE)
        return replace(role, trust=builtin.EXECUTION_TRUST, session_max_s=43_200)

    def _entity(self, agency: Agency, kind: Kind, name: str) -> Entity:
        region = self.entities.directory.region
        return Entity(
            account=agency.account_id,
            kind=kind,
            name=name,
            path="/",
            id=ID_PREFIX[kind] + self.entities.ids.word(17),
            arn=arns.iam(region, agency.account_id, f"{kind.value}/{name}"),
            created_ms=agency.created_ms,
        )

    def list(self) -> list[Agency]:
        return self.entities.database.read(records.all_agencies)

    def find(self, name_or_account: str) -> Agency | None:
        return self.entities.database.read(lambda c: records.find_agency(c, name_or_account))

    def get(self, name_or_account: str) -> Agency:
        """Raises ServiceError where there is none of that name."""
        found = self.find(name_or_account)
        if found is None:
            raise ServiceError("NoSuchEntity", f"There is no agency {name_or_account}.")
        return found

    def account_of(self, name_or_account: str) -> str:
        return self.get(name_or_account).account_id

    def hand_out(self, agency: Agency) -> bool:
        """Whether the keys of its administrator are handed out for the first time, now."""
        now_ms = epoch_ms(self.entities.clock.now())
        return agency.handed_ms == 0 and self.entities.database.write(
            lambda c: records.hand_out(c, agency.account_id, now_ms)
        )

    def administrator_keys(self, agency: Agency) -> tuple[str, str]:
        """The administrator's oldest active access key id, and its secret; a new one if none."""
        account = agency.account_id
        keys = self.entities.database.read(lambda c: records.keys_of(c, account, ADMINISTRATOR))
        for key in keys:
            if key.active:
                return key.id, self.maker.opened(key)
        key, secret = self.maker.access_key(account, ADMINISTRATOR)
        self.entities.change(account, Kind.USER, ADMINISTRATOR, lambda c, _: _add(c, key))
        return key.id, secret

    def issue_bearer(self, account: str, user: str = ADMINISTRATOR) -> str:
        """A new long-term Bedrock API key. The oldest gives way when the user has all it may."""
        database = self.entities.database
        held = database.read(lambda c: records.service_keys_of(c, account, user))
        if len(held) >= 2:
            database.write(lambda c: records.delete_service_key(c, held[0].id))
            self.entities.directory.memory.forget_key(("bearer", held[0].digest))
        return issue(self.entities, self.maker, account, user)[1]


def _add(connection: Connection, key: AccessKey) -> None:
    records.insert_all(connection, records.access_keys, [records.key_row(key)])


def _check_free(connection: Connection, agency: Agency) -> None:
    for value in (agency.name, agency.account_id):
        if records.find_agency(connection, value):
            raise _taken(f"An agency {value} already exists.")


def _invalid(message: str) -> ServiceError:
    return ServiceError("ValidationError", message, status=400)


def _taken(message: str) -> ServiceError:
    return ServiceError("EntityAlreadyExists", message, status=409)
