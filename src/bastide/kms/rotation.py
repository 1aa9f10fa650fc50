"""New versions of a key: on demand, or by the calendar. Older ones still open what they sealed.

https://docs.aws.amazon.com/kms/latest/developerguide/rotate-keys.html
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.kms import pages, records
from bastide.kms.model import Key, Material, Params
from bastide.kms.specs import SYMMETRIC
from bastide.kms.vault import Vault

DAY_MS = 24 * 3600 * 1000
PERIOD_DEFAULT_DAYS = 365
ON_DEMAND_MAX = 25
VERSIONS_MAX = 10_000
AUTOMATIC, ON_DEMAND = "AUTOMATIC", "ON_DEMAND"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotation:
    vault: Vault

    @operation("KeyId", "RotationPeriodInDays")
    def enable_key_rotation(self, call: Call, req: Params) -> Params:
        days = req.get("RotationPeriodInDays") or PERIOD_DEFAULT_DAYS

        def work(key: Key) -> Key:
            self._check(key)
            due = self.vault.now_ms() + days * DAY_MS
            return replace(key, rotation_days=days, rotation_ms=due)

        self.vault.change(call, req["KeyId"], work)
        return {}

    @operation("KeyId")
    def disable_key_rotation(self, call: Call, req: Params) -> Params:
        def work(key: Key) -> Key:
            self._check(key)
            return replace(key, rotation_days=None, rotation_ms=None)

        self.vault.change(call, req["KeyId"], work)
        return {}

    @operation("KeyId")
    def get_key_rotation_status(self, call: Call, req: Params) -> Params:
        key = self.vault.key(call, req["KeyId"])
        _check_symmetric(key)
        status: Params = {
            "KeyId": self.vault.arn(key),
            "KeyRotationEnabled": key.rotation_days is not None,
        }
        if key.rotation_ms is not None:
            status["RotationPeriodInDays"] = key.rotation_days
            status["NextRotationDate"] = moment(key.rotation_ms)
        return status

    @operation("KeyId")
    def rotate_key_on_demand(self, call: Call, req: Params) -> Params:
        key = self.vault.key(call, req["KeyId"])
        self._check(key)
        made = [one for one in self._made(key) if one.reason == ON_DEMAND]
        if len(made) >= ON_DEMAND_MAX:
            raise ServiceError(
                "LimitExceededException", f"A key is rotated on demand {ON_DEMAND_MAX} times."
            )
        if not rotate(self.vault, key, ON_DEMAND):
            raise ServiceError(
                "ConflictException", "The key was changed meanwhile. Please try again."
            )
        return {"KeyId": self.vault.arn(key)}

    @operation("KeyId", "Limit", "Marker")
    def list_key_rotations(self, call: Call, req: Params) -> Params:
        key, limit = self.vault.key(call, req["KeyId"]), pages.limit_of(req)
        _check_symmetric(key)
        seen = pages.after(req)
        behind = [one for one in self._made(key) if _name(one) > seen]
        return pages.answer(
            "Rotations", behind, limit, _name,
            lambda one: {
                "KeyId": key.id,
                "RotationDate": moment(one.created_ms),
                "RotationType": one.reason,
            },
        )  # fmt: skip

    def _made(self, key: Key) -> list[Material]:
        return self.vault.database.read(lambda c: records.later_versions(c, key, 0, VERSIONS_MAX))

    def _check(self, key: Key) -> None:
        _check_symmetric(key)
        self.vault.check_enabled(key)


def rotate(vault: Vault, key: Key, reason: str) -> bool:
    """Give it a new version; False if it is not as it was. A calendar goes on from now."""
    material, _ = vault.material(key, key.version + 1, reason)

    def work(c: Connection) -> bool:
        if records.find(c, key.account, key.id) != key:
            return False
        records.add_version(c, material)
        days = key.rotation_days if reason == AUTOMATIC else None
        due = key.rotation_ms if days is None else vault.now_ms() + days * DAY_MS
        records.save(c, replace(key, version=material.number, rotation_ms=due))
        return True

    return vault.write(work)


def _name(one: Material) -> str:
    return f"{one.number:08}"


def _check_symmetric(key: Key) -> None:
    if key.spec != SYMMETRIC:
        raise ServiceError("UnsupportedOperationException", f"A {key.spec} key cannot be rotated.")
