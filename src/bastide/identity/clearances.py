"""Up to where each user and role may see, and at which label a session of theirs works.

Who was granted nothing has its agency's default. A session begins at the floor, which is that
default too, and goes higher by the session tag `bastide:label`; down a chain of roles it never
goes lower, as what was read above would come with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bastide.identity import clearance_records as records
from bastide.identity.directory import Directory
from bastide.identity.model import Clearance, Entity
from bastide.kernel.call import Principal
from bastide.kernel.clock import Clock, epoch_ms, moment
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import TAG, Labelling


@dataclass(frozen=True, slots=True, kw_only=True)
class Clearances:
    directory: Directory
    labelling: Labelling
    clock: Clock

    def of(self, entity: Entity) -> Label:
        """The clearance of a user or role."""
        return self.directory.memory.get(
            (entity.account, "clearance", entity.id), lambda: self._read(entity)
        )

    def _read(self, entity: Entity) -> Label:
        account, unique = entity.account, entity.id
        found = self.directory.database.read(lambda c: records.find(c, account, unique))
        return self.labelling.clearance(account, found.label if found else "")

    def floor(self, clearance: Label, account: str) -> Label:
        """Where a session begins."""
        return self.labelling.of_account(account).meet(clearance)

    def parse(self, marking: str) -> Label:
        """A label that this region gave out before."""
        return self.labelling.scheme.parse(marking)

    def role_session(
        self, caller: Principal, role: Entity, tags: Mapping[str, str]
    ) -> tuple[Label, Label]:
        """The clearance and the label of a session of `role`; AccessDenied where the label asked
        for is below the caller's own, or above what both of them may see."""
        clearance = self.of(role).meet(caller.clearance)
        asked = next((text for key, text in tags.items() if key.lower() == TAG), None)
        label = caller.session if asked is None else self.labelling.parse(asked, "ValidationError")
        if not clearance.dominates(label) or not label.dominates(caller.session):
            message = (
                f"User: {caller.arn} is not authorized to work at {label} as {role.arn}: a session "
                f"is at or above {caller.session} and within the clearance of caller and role."
            )
            raise ServiceError("AccessDenied", message, status=403)
        return clearance, label

    def offer(self, account: str, who: str, marking: str) -> Clearance:
        """What `user/NAME` or `role/NAME` would be granted; it is nobody's yet."""
        label = self.labelling.parse(marking, "ValidationException")
        return Clearance(
            account=account,
            entity_id=self.directory.named(account, who).id,
            label=label.text,
            granted_ms=epoch_ms(self.clock.now()),
        )

    def changed(self, account: str) -> None:
        """Somebody's clearance there is another from now on."""
        self.directory.memory.forget(account)

    def revoke(self, account: str, who: str) -> dict[str, Any]:
        """Take it back: what is left is the agency's default, if that is no more than it was."""
        entity = self.directory.named(account, who)
        left = self.labelling.clearance(account, "")
        if not self.of(entity).dominates(left):
            message = f"Without it {who} may see up to {left}: grant that instead."
            raise ServiceError("ValidationException", message)
        self.directory.database.write(lambda c: records.remove(c, account, entity.id))
        self.changed(account)
        return self._row(entity, None)

    def now(self, account: str, who: str) -> Label:
        """The clearance of `user/NAME` or `role/NAME`."""
        return self.of(self.directory.named(account, who))

    def rows(self, account: str) -> list[dict[str, Any]]:
        """What was granted to those who are still there."""
        held = self.directory.database.read(lambda c: records.of_account(c, account))
        found = ((self.directory.by_id(account, one.entity_id), one) for one in held)
        return [self._row(entity, one) for entity, one in found if entity is not None]

    def _row(self, entity: Entity, granted: Clearance | None) -> dict[str, Any]:
        return {
            "principal": f"{entity.kind.value}/{entity.name}",
            "granted": granted.label if granted else "",
            "clearance": self.of(entity).text,
            "since": moment(granted.granted_ms).isoformat(timespec="seconds") if granted else "",
        }
