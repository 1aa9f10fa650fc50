"""IAM access keys and Bedrock API keys. A secret is told once and kept sealed, or as a digest.

Sources: https://docs.aws.amazon.com/IAM/latest/UserGuide/id_credentials_access-keys.html and
https://docs.aws.amazon.com/bedrock/latest/userguide/api-keys.html
"""

import base64
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection

from bastide.db import Database
from bastide.identity import records
from bastide.identity.entities import Entities, limit, not_found
from bastide.identity.model import AccessKey, Entity, Kind, ServiceKey
from bastide.identity.pages import page
from bastide.identity.ports import Sealer
from bastide.identity.users import own_name
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock, epoch_ms, moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import Ids
from bastide.kernel.operation import operation

Params = dict[str, Any]
KEYS_MAX = 2
DAY_MS = 86_400_000
PURPOSE = "access-key"
BEDROCK = "bedrock.amazonaws.com"


class KnownKeys:
    """The ids of all access keys and the digests of all Bedrock API keys, so that a stranger's
    costs no look-up: as little as one that is held in memory. Some may be gone."""

    def __init__(self, database: Database) -> None:
        self._held = set(database.read(records.all_key_ids))

    def __contains__(self, key: str) -> bool:
        return key in self._held

    def add(self, key: str) -> None:
        self._held.add(key)

    def drop(self, key: str) -> None:
        """It was looked for, and is gone."""
        self._held.discard(key)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMaker:
    """Makes secrets; nothing is stored here. `known` is told of a key before anybody else is."""

    sealer: Sealer
    clock: Clock
    ids: Ids
    known: KnownKeys

    def access_key(self, account: str, user: str) -> tuple[AccessKey, str]:
        """A new key and its secret: 40 characters, as AWS's."""
        key_id = "AKIA" + self.ids.word(16)
        self.known.add(key_id)
        secret = base64.b64encode(self.ids.token(30)).decode()
        return AccessKey(
            id=key_id,
            account=account,
            user=user,
            active=True,
            sealed=self.sealer.seal(PURPOSE, secret.encode(), key_id.encode()),
            created_ms=epoch_ms(self.clock.now()),
        ), secret

    def opened(self, key: AccessKey) -> str:
        return self.sealer.open(PURPOSE, key.sealed, key.id.encode()).decode()

    def service_key(self, account: str, user: str, days: int | None) -> tuple[ServiceKey, str]:
        """A new Bedrock API key, `ABSK…`, and the only time that it is seen."""
        name = f"{user}-at-{account}:".encode()
        token = "ABSK" + base64.b64encode(name + base64.b64encode(self.ids.token(33))).decode()
        created = epoch_ms(self.clock.now())
        self.known.add(digest_of(token))
        return ServiceKey(
            id="ACCA" + self.ids.word(17),
            account=account,
            user=user,
            digest=digest_of(token),
            active=True,
            created_ms=created,
            expires_ms=created + days * DAY_MS if days else None,
        ), token


def digest_of(token: str) -> str:
    return sha256(token.encode()).hexdigest()


def status_of(active: bool) -> str:
    return "Active" if active else "Inactive"


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessKeys:
    """Long-term keys of users."""

    entities: Entities
    maker: KeyMaker

    @operation("UserName")
    def create_access_key(self, call: Call, req: Params) -> Params:
        user = own_name(call, req)
        key, secret = self.maker.access_key(call.account, user)

        def work(connection: Connection, entity: Entity) -> None:
            if len(records.keys_of(connection, call.account, user)) >= KEYS_MAX:
                raise limit(f"Cannot exceed quota for AccessKeysPerUser: {KEYS_MAX}")
            records.insert_all(connection, records.access_keys, [records.key_row(key)])

        self.entities.change(call.account, Kind.USER, user, work)
        self.entities.directory.memory.forget_key(key.id)
        return {"AccessKey": self._shown(key) | {"SecretAccessKey": secret}}

    def _shown(self, key: AccessKey) -> Params:
        return {
            "UserName": key.user,
            "AccessKeyId": key.id,
            "Status": status_of(key.active),
            "CreateDate": moment(key.created_ms),
        }

    @operation("UserName", "MaxItems", "Marker")
    def list_access_keys(self, call: Call, req: Params) -> Params:
        user = own_name(call, req)
        self.entities.directory.get(call.account, Kind.USER, user)
        keys = self.entities.database.read(lambda c: records.keys_of(c, call.account, user))
        found, rest = page(sorted(keys, key=lambda k: k.id), req, lambda key: key.id)
        return {"AccessKeyMetadata": [self._shown(key) for key in found], **rest}

    @operation("UserName", "AccessKeyId", "Status")
    def update_access_key(self, call: Call, req: Params) -> Params:
        active = req["Status"] == "Active"
        self._change(call, req, lambda c, key: records.set_key_active(c, key, active))
        return {}

    @operation("UserName", "AccessKeyId")
    def delete_access_key(self, call: Call, req: Params) -> Params:
        self._change(call, req, records.delete_key)
        return {}

    def _change(self, call: Call, req: Params, change: Any) -> None:
        user, key_id = own_name(call, req), req["AccessKeyId"]

        def work(connection: Connection, entity: Entity) -> None:
            keys = records.keys_of(connection, call.account, user)
            if not any(key.id == key_id for key in keys):
                raise not_found(f"The Access Key with id {key_id} cannot be found.")
            change(connection, key_id)

        try:
            self.entities.change(call.account, Kind.USER, user, work)
        finally:
            self.entities.directory.memory.forget_key(key_id)


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpecificCredentials:
    """Bedrock API keys of users: the only service that has them here."""

    entities: Entities
    maker: KeyMaker

    @operation("UserName", "ServiceName", "CredentialAgeDays")
    def create_service_specific_credential(self, call: Call, req: Params) -> Params:
        if req["ServiceName"] != BEDROCK:
            message = f"No such service {req['ServiceName']} has service specific credentials"
            raise ServiceError("NotSupportedService", message, status=404)
        days = req.get("CredentialAgeDays")
        key, token = issue(self.entities, self.maker, call.account, req["UserName"], days)
        secret = {"ServiceCredentialAlias": self._alias(key), "ServiceCredentialSecret": token}
        return {"ServiceSpecificCredential": self._shown(key) | secret}

    @operation("UserName", "ServiceName", "MaxItems", "Marker")
    def list_service_specific_credentials(self, call: Call, req: Params) -> Params:
        user = own_name(call, req)
        self.entities.directory.get(call.account, Kind.USER, user)
        keys = self.entities.database.read(lambda c: records.service_keys_of(c, call.account, user))
        kept = keys if req.get("ServiceName") in (None, BEDROCK) else []
        found, rest = page(sorted(kept, key=lambda k: k.id), req, lambda k: k.id)
        return {"ServiceSpecificCredentials": [self._shown(key) for key in found], **rest}

    @operation("UserName", "ServiceSpecificCredentialId", "Status")
    def update_service_specific_credential(self, call: Call, req: Params) -> Params:
        active = req["Status"] == "Active"
        self._change(call, req, lambda c, key: records.set_service_key_active(c, key, active))
        return {}

    @operation("UserName", "ServiceSpecificCredentialId")
    def delete_service_specific_credential(self, call: Call, req: Params) -> Params:
        self._change(call, req, records.delete_service_key)
        return {}

    def _alias(self, key: ServiceKey) -> str:
        return f"{key.user}-at-{key.account}"

    def _shown(self, key: ServiceKey) -> Params:
        row: Params = {
            "UserName": key.user,
            "Status": status_of(key.active),
            "CreateDate": moment(key.created_ms),
            "ServiceSpecificCredentialId": key.id,
            "ServiceName": BEDROCK,
            "ServiceCredentialAlias": self._alias(key),
        }
        if key.expires_ms is not None:
            row["ExpirationDate"] = moment(key.expires_ms)
        return row

    def _change(self, call: Call, req: Params, change: Any) -> None:
        user, key_id = own_name(call, req), req["ServiceSpecificCredentialId"]

        def work(connection: Connection, entity: Entity) -> list[str]:
            keys = records.service_keys_of(connection, call.account, user)
            if not any(key.id == key_id for key in keys):
                raise not_found(f"No such credential {key_id} exists.")
            change(connection, key_id)
            return [key.digest for key in keys]

        for digest in self.entities.change(call.account, Kind.USER, user, work):
            self.entities.directory.memory.forget_key(("bearer", digest))


def issue(
    entities: Entities, maker: KeyMaker, account: str, user: str, days: int | None = None
) -> tuple[ServiceKey, str]:
    """Store a new Bedrock API key of a user."""
    key, token = maker.service_key(account, user, days)

    def work(connection: Connection, entity: Entity) -> None:
        if len(records.service_keys_of(connection, account, user)) >= KEYS_MAX:
            raise limit(f"Cannot exceed quota for ServiceSpecificCredentialsPerUser: {KEYS_MAX}")
        records.add_service_key(connection, key)

    entities.change(account, Kind.USER, user, work)
    return key, token
