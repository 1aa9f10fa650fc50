"""The end of a key: after a time to think it over, for good.

https://docs.aws.amazon.com/kms/latest/developerguide/deleting-keys.html
"""

from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.kernel.call import Call
from bastide.kernel.clock import moment
from bastide.kernel.operation import operation
from bastide.kms import errors, records
from bastide.kms.model import Key, Params, State
from bastide.kms.ports import Approvals
from bastide.kms.rotation import AUTOMATIC, DAY_MS, rotate
from bastide.kms.vault import Vault

WINDOW_DEFAULT_DAYS = 30
WINDOW_MIN_DAYS = 7
WINDOW_MAX_DAYS = 30
DUE_BATCH = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Deletion:
    vault: Vault
    approvals: Approvals

    @operation("KeyId", "PendingWindowInDays")
    def schedule_key_deletion(self, call: Call, req: Params) -> Params:
        given = req.get("PendingWindowInDays")
        days = WINDOW_DEFAULT_DAYS if given is None else given
        if not WINDOW_MIN_DAYS <= days <= WINDOW_MAX_DAYS:
            raise errors.invalid(
                f"PendingWindowInDays must be from {WINDOW_MIN_DAYS} to {WINDOW_MAX_DAYS}."
            )
        found = self.vault.key(call, req["KeyId"])
        self.vault.check_not_pending(found)
        self.approvals.check(call, "kms:ScheduleKeyDeletion", self.vault.arn(found))

        def work(key: Key) -> Key:
            self.vault.check_not_pending(key)
            return replace(
                key,
                state=State.PENDING_DELETION,
                deletion_ms=self.vault.now_ms() + days * DAY_MS,
                window_days=days,
            )

        key = self.vault.change(call, req["KeyId"], work)
        assert key.deletion_ms is not None
        return {
            "KeyId": self.vault.arn(key),
            "DeletionDate": moment(key.deletion_ms),
            "KeyState": key.state.value,
            "PendingWindowInDays": days,
        }

    @operation("KeyId")
    def cancel_key_deletion(self, call: Call, req: Params) -> Params:
        """It stays disabled until somebody enables it."""

        def work(key: Key) -> Key:
            if key.state is not State.PENDING_DELETION:
                raise errors.not_pending(self.vault.arn(key))
            return replace(key, state=State.DISABLED, deletion_ms=None, window_days=None)

        return {"KeyId": self.vault.arn(self.vault.change(call, req["KeyId"], work))}


@dataclass(frozen=True, slots=True, kw_only=True)
class Calendar:
    """What comes due: the destruction of keys, and their rotation by the calendar."""

    vault: Vault

    def run(self) -> int:
        """Do a bounded lot of what is due now; how many keys that was."""
        now = self.vault.now_ms()
        found = self.vault.database.read(lambda c: records.due(c, now, DUE_BATCH))
        for key in found:
            if key.deletion_ms is not None and key.deletion_ms <= now:
                self._destroy(key, now)
            elif key.state is State.ENABLED:
                rotate(self.vault, key, AUTOMATIC)
            else:
                self._put_off(key, now)
        return len(found)

    def _destroy(self, key: Key, now: int) -> None:
        """If it is still to be destroyed: its owner may just have thought better of it."""

        def work(c: Connection) -> None:
            still = records.find(c, key.account, key.id)
            if still is not None and still.deletion_ms is not None and still.deletion_ms <= now:
                records.destroy(c, still)

        self.vault.write(work)

    def _put_off(self, key: Key, now: int) -> None:
        """A key that is not enabled is not rotated; it comes due again."""
        days = key.rotation_days or 1

        def work(c: Connection) -> None:
            if records.find(c, key.account, key.id) == key:
                records.save(c, replace(key, rotation_ms=now + days * DAY_MS))

        self.vault.write(work)
