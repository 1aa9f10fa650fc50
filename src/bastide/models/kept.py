"""What agencies keep of one kind of thing, as a session finds it: for the operations, for policies,
and as the keeper of its tags (`tags.py`)."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Generic, Protocol, TypeVar

from sqlalchemy import Connection

from bastide.db.database import Database
from bastide.db.marks import Marks
from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.view import View
from bastide.kernel.regions import Region
from bastide.models.tags import with_room


class Row(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def account(self) -> str: ...
    @property
    def label(self) -> str: ...
    @property
    def tags(self) -> Mapping[str, str]: ...


T = TypeVar("T", bound=Row)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept(ABC, Generic[T]):
    """Named by its ARN, or by a name of the agency's. `kind`: the first word of the ARN's resource;
    `missing`: what is said of one that a session does not see."""

    region: Region
    database: Database
    marks: Marks
    kind: ClassVar[str]
    missing: ClassVar[str]

    @abstractmethod
    def read(self, c: Connection, account: str, named: str, view: View, *, by_id: bool) -> T | None:
        """The one of that id, or of that name."""

    def may_be(self, named: str) -> bool:
        """Whether it looks like an id or a name of these: where not, the database is not asked."""
        return True

    @abstractmethod
    def write_tags(self, c: Connection, one: T, tags: Mapping[str, str]) -> None: ...

    def arn(self, account: str, id_: str) -> str:
        return arns.regional(self.region, "bedrock", account, f"{self.kind}/{id_}")

    def find(self, who: Principal, identifier: str) -> T | None:
        """By its ARN or its name."""
        prefix, view = self.arn(who.account, ""), self.marks.view(who)
        is_arn = identifier.startswith("arn:")
        if is_arn and not identifier.startswith(prefix):
            return None
        named = identifier.removeprefix(prefix)
        if not self.may_be(named):
            return None
        return self.database.read(lambda c: self.read(c, who.account, named, view, by_id=is_arn))

    def identified(self, who: Principal, identifier: str) -> str:
        """Its ARN, for policies, whichever name the caller used."""
        found = self.find(who, identifier)
        if found is not None:
            return self.arn(found.account, found.id)
        return identifier if identifier.startswith("arn:") else self.arn(who.account, identifier)

    def label(self, who: Principal, arn: str) -> Label | None:
        found = self.find(who, arn)
        return None if found is None else self.marks.parse(found.label)

    def tags(self, who: Principal, arn: str) -> Mapping[str, str]:
        found = self.find(who, arn)
        return {} if found is None else found.tags

    def tags_of(self, call: Call, arn: str) -> Mapping[str, str]:
        found = self.found(call, arn)
        call.notes.label = found.label
        return found.tags

    def retag(self, call: Call, arn: str, put: Mapping[str, str], dropped: frozenset[str]) -> None:
        one, view = self.own(call, arn), self.marks.view(call.principal)
        self.marks.check_tags(call, put, one.label)

        def write(c: Connection) -> None:  # of the tags as they are now: others may change them too
            now = self.read(c, one.account, one.id, view, by_id=True)
            if now is None:
                raise self._not_found()
            kept = {key: value for key, value in now.tags.items() if key not in dropped}
            self.write_tags(c, now, with_room(kept | dict(put)))

        self.database.write(write)

    def found(self, call: Call, identifier: str) -> T:
        found = self.find(call.principal, identifier)
        if found is None:
            raise self._not_found()
        return found

    def own(self, call: Call, identifier: str) -> T:
        """To be changed."""
        found = self.found(call, identifier)
        self.marks.check_own(call, found.label)
        return found

    def _not_found(self) -> ServiceError:
        return ServiceError("ResourceNotFoundException", self.missing)
