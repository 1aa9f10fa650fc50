"""bedrock: the inference profiles that an agency makes of a model, for its own tags and policies.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateInferenceProfile.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.db.marks import Marks
from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import ALNUM, Ids
from bastide.kernel.labels.label import Label
from bastide.kernel.regions import Region
from bastide.models import records
from bastide.models.naming import APPLICATION
from bastide.models.records import Profile
from bastide.models.tags import checked, with_room

Params = dict[str, Any]
ID_LETTERS = 12
PROFILES_MAX = 1000  # of one agency at one label
NOT_FOUND = "The provided inference profile identifier could not be found."


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplicationProfiles:
    """Kept with their tags. What a session does not see is not there for it."""

    region: Region
    database: Database
    clock: Clock
    ids: Ids
    marks: Marks

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

    def find(self, who: Principal, identifier: str) -> Profile | None:
        """By its ARN or its id."""
        prefix = self.arn(who.account, "")
        if identifier.startswith("arn:") and not identifier.startswith(prefix):
            return None
        id_, seen = identifier.removeprefix(prefix), self.marks.view(who).seen
        if len(id_) != ID_LETTERS or not id_.isalnum():  # no model's id: those have a dot
            return None
        return self.database.read(lambda c: records.find(c, who.account, id_, seen))

    def page(self, who: Principal, after: str, limit: int) -> list[Profile]:
        seen = self.marks.view(who).seen
        return self.database.read(lambda c: records.page(c, who.account, seen, after, limit))

    def remove(self, call: Call, identifier: str) -> None:
        gone = self._own(call, identifier)
        self.database.write(lambda c: records.remove(c, gone.account, gone.id))

    def tags_of(self, call: Call, arn: str) -> Mapping[str, str]:
        found = self._found(call, arn)
        call.notes.label = found.label
        return found.tags

    def retag(self, call: Call, arn: str, put: Mapping[str, str], dropped: frozenset[str]) -> None:
        one = self._own(call, arn)
        self.marks.check_tags(call, put, one.label)

        def write(c: Connection) -> None:
            now = records.find(c, one.account, one.id, (one.label,))
            if now is None:
                raise not_found()
            kept = {key: value for key, value in now.tags.items() if key not in dropped}
            records.set_tags(c, one.account, one.id, with_room(kept | dict(put)))

        self.database.write(write)

    def label(self, who: Principal, arn: str) -> Label | None:
        found = self.find(who, arn)
        return None if found is None else self.marks.parse(found.label)

    def tags(self, who: Principal, arn: str) -> Mapping[str, str]:
        found = self.find(who, arn)
        return {} if found is None else found.tags

    def arn(self, account: str, id_: str) -> str:
        return arns.regional(self.region, "bedrock", account, f"{APPLICATION}/{id_}")

    def _found(self, call: Call, identifier: str) -> Profile:
        found = self.find(call.principal, identifier)
        if found is None:
            raise not_found()
        return found

    def _own(self, call: Call, identifier: str) -> Profile:
        found = self._found(call, identifier)
        self.marks.check_own(call, found.label)
        return found


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
