"""Agencies' keys, as operators see them: how many versions, what they open, and their end."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from bastide.identity.agencies import Agencies
from bastide.kernel.approvals import Approvals, Kind
from bastide.kernel.errors import ServiceError
from bastide.keys.keyring import Keyring, KeyState
from bastide.operators.turns import Turns
from bastide.store.model import Held
from bastide.store.upkeep import Upkeep


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRoom:
    """What `bastide keys …` asks for. Two changes at once would move data keys to and fro, so
    there is one at a time. `shred`: what an agency keeps unsealed at labels goes with its keys."""

    agencies: Agencies
    keyring: Keyring
    upkeep: Upkeep
    approvals: Approvals
    shred: Callable[[str, Sequence[str]], None]
    _turns: Turns = field(default_factory=lambda: Turns("changing keys"))

    def rows(self, agency: str) -> list[dict[str, Any]]:
        """The keys of `agency`, or of all of them when it is empty."""
        account = self.agencies.account_of(agency) if agency else ""
        names = {one.account_id: one.name for one in self.agencies.list()}
        held = self.upkeep.held(account)
        return [
            _row(state, names.get(state.account, ""), held)
            for state in self.keyring.states(account)
        ]

    def chosen(self, agency: str, label: str | None) -> list[KeyState]:
        """The keys of `agency`, or only that for `label`, that can be changed."""
        found = [
            state
            for state in self.keyring.states(self.agencies.account_of(agency))
            if state.living and label in (None, state.label)
        ]
        if not found:
            wanted = "no key" if label is None else f"no key for the label {label}"
            raise ServiceError("NoSuchEntity", f"Agency {agency} has {wanted}.")
        return found

    def check_confirmed(self, agency: str, keys: Sequence[KeyState], confirm: str) -> None:
        """Raises ServiceError that says what would be lost, unless the account is named."""
        account = keys[0].account
        if confirm != account:
            lost = self._opened(keys)
            raise ServiceError(
                "ValidationException",
                f"This makes {lost.objects} objects ({lost.size} bytes) of agency {agency} "
                f"unreadable, for everybody and for ever. If that is meant: --confirm {account}",
            )

    def rotate(self, keys: Sequence[KeyState]) -> Iterator[dict[str, Any]]:
        """A new version of each key; then the data keys move under it. Ended half-way, it leaves
        everything readable, and the next rotation moves the rest."""
        with self._turns.alone():
            keys = self._now(keys)
            for state in keys:
                self.keyring.rotate(state.account, state.label)
            total = self._opened(keys).data_keys
            done = 0
            for state in keys:
                for moved in self.upkeep.rewrap(state.account, state.label, state.living):
                    done += moved
                    yield {"step": "moving data keys", "done": done, "total": max(total, done)}
            yield {"result": self._rows(keys)}

    def rotate_all(self) -> Iterator[dict[str, Any]]:
        """A new region key, and a new version of every agency's keys; then the data keys of what
        is stored move under them. As `rotate`, it may end half-way."""
        with self._turns.alone():
            total, done = self.keyring.count(), 0
            for renewed in self.keyring.rotate_all():
                done += renewed
                yield {"step": "renewing keys", "done": done, "total": max(total, done)}
            moved = 0
            for state, older in self._behind():
                for some in self.upkeep.rewrap(state.account, state.label, older):
                    moved += some
                    yield {"step": "moving data keys", "done": moved, "total": moved}
            yield {"result": [{"keys": done, "data_keys": moved}]}

    def _behind(self) -> Iterator[tuple[KeyState, list[str]]]:
        """The keys under whose older versions something is stored, and these versions."""
        held = self.upkeep.held()
        for account in sorted({kek_id.partition("-")[0] for kek_id in held}):
            for state in self.keyring.states(account):
                older = [one for one in state.living[:-1] if one in held]
                if older:
                    yield state, older

    def destroy(
        self, keys: Sequence[KeyState], requester: str, recorded: Callable[[], None]
    ) -> list[dict[str, Any]]:
        """Every version of each key, once two custodians have signed for exactly these; answers
        what cannot be read any more. The approval is used up first: a crash may lose it."""
        with self._turns.alone():
            self.approvals.require(Kind.KEY_DELETION, self._deletion(keys), requester)
            recorded()
            for state in keys:
                self.keyring.destroy(state.account, state.label)
            self.shred(keys[0].account, [state.label for state in keys])
            return self._rows(keys)

    def _deletion(self, keys: Sequence[KeyState]) -> dict[str, Any]:
        account = keys[0].account
        named = {one.account_id: one.name for one in self.agencies.list()}
        return {
            "agency": named.get(account, ""),
            "account": account,
            "keys": [{"key": family(state), "label": state.label} for state in keys],
            "versions": "every one",
        }

    def _now(self, keys: Sequence[KeyState]) -> list[KeyState]:
        """`keys`, which are of one agency, as another command may have left them."""
        labels = {state.label for state in keys}
        return [one for one in self.keyring.states(keys[0].account) if one.label in labels]

    def _rows(self, keys: Sequence[KeyState]) -> list[dict[str, Any]]:
        labels = {state.label for state in keys}
        return [row for row in self.rows(keys[0].account) if row["label"] in labels]

    def _opened(self, keys: Sequence[KeyState]) -> Held:
        held = self.upkeep.held(keys[0].account)
        return _sum(held, [one for state in keys for one in state.living])


def family(state: KeyState) -> str:
    """What names a key in the audit log, where its label is not told."""
    return (state.living or state.destroyed)[-1].rpartition("-")[0]


def _row(state: KeyState, agency: str, held: dict[str, Held]) -> dict[str, Any]:
    """`behind`: data keys that an older version wraps; `lost`: objects that nobody can read."""
    return {
        "agency": agency,
        "account_id": state.account,
        "label": state.label,
        "key": state.living[-1] if state.living else "",
        "versions": len(state.living),
        "destroyed": len(state.destroyed),
        "objects": _sum(held, state.living).objects,
        "bytes": _sum(held, state.living).size,
        "behind": _sum(held, state.living[:-1]).data_keys,
        "lost": _sum(held, state.destroyed).objects,
    }


def _sum(held: dict[str, Held], kek_ids: Sequence[str]) -> Held:
    return sum((held.get(one, Held()) for one in kek_ids), Held())
