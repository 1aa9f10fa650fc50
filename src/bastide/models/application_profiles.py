"""bedrock: the inference profiles that an agency makes of a model, for its own tags and policies.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateInferenceProfile.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from sqlalchemy import Connection

from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import ALNUM, Ids
from bastide.kernel.labels.view import View
from bastide.models import records
from bastide.models.kept import Kept
from bastide.models.naming import APPLICATION
from bastide.models.records import Profile
from bastide.models.tags import checked

Params = dict[str, Any]
ID_LETTERS = 12
PROFILES_MAX = 1000  # of one agency at one label
NOT_FOUND = "The provided inference profile identifier could not be found."


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationProfiles(Kept[Profile]):
    """Kept with their tags. What a session does not see is not there for it."""

    clock: Clock
    ids: Ids
    kind: ClassVar[str] = APPLICATION
    missing: ClassVar[str] = NOT_FOUND

    def add(self, call: Call, req: Params, source: str) -> Profile:
        """Raises ServiceError."""
        tags = checked(req.get("tags") or [])
        new = Profile(
            id=self.ids.word(ID_LETTERS, ALNUM),
            account=call.account,
            label=self.marks.of_new(call, tags, "An inference profile"),
            name=req["inferenceProfileName"],
            description=req.get("description", ""),
            source=source,
            token=req.get("clientRequestToken", ""),
            created_ms=epoch_ms(self.clock.now()),
            tags=tags,
        )
        return self.database.write(lambda c: _added(c, new))

    def read(
        self, c: Connection, account: str, named: str, view: View, *, by_id: bool
    ) -> Profile | None:
        """By its id alone: its name is no name for a model."""
        return records.find(c, account, named, view.seen)

    def may_be(self, named: str) -> bool:
        return len(named) == ID_LETTERS and named.isalnum()  # no model's id: those have a dot

    def write_tags(self, c: Connection, one: Profile, tags: Mapping[str, str]) -> None:
        records.set_tags(c, one.account, one.id, tags)

    def page(self, who: Principal, after: str, limit: int) -> list[Profile]:
        seen = self.marks.view(who).seen
        return self.database.read(lambda c: records.page(c, who.account, seen, after, limit))

    def remove(self, call: Call, identifier: str) -> None:
        gone = self.own(call, identifier)
        self.database.write(lambda c: records.remove(c, gone.account, gone.id))


def not_found() -> ServiceError:
    return ServiceError("ResourceNotFoundException", NOT_FOUND)


def _added(c: Connection, new: Profile) -> Profile:
    """The same request twice makes one."""
    before = records.of_token(c, new.account, new.label, new.token) if new.token else None
    if before is not None:
        asked = (new.name, new.description, new.source, dict(new.tags))
        if (before.name, before.description, before.source, dict(before.tags)) != asked:
            message = "The client request token was used for another inference profile."
            raise ServiceError("ConflictException", message)
        return before
    if records.count(c, new.account, new.label) >= PROFILES_MAX:
        message = f"An account has at most {PROFILES_MAX} application inference profiles."
        raise ServiceError("ServiceQuotaExceededException", message)
    if not records.add(c, new):
        raise ServiceError("ConflictException", f"An inference profile {new.name} already exists.")
    return new
