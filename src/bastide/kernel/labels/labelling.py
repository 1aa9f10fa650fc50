"""Which label a new thing gets, in one region: its tag's, else what it lies in or its agency's
default, and never less than the session that makes it (no write down; Bell and LaPadula's
*-property), never more than the region may hold."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.scheme import MarkingError, Scheme

TAG = "bastide:label"


@dataclass(frozen=True, slots=True, kw_only=True)
class Labelling:
    """`default`: of the region. `default_of`: an agency's own marking, "" for the region's."""

    scheme: Scheme
    ceiling: Label
    default: Label
    default_of: Callable[[str], str] = lambda account: ""

    def of_account(self, account: str) -> Label:
        """The label of what an agency keeps without one."""
        own = self.default_of(account)
        return self.scheme.parse(own) if own else self.default

    def clearance(self, account: str, granted: str) -> Label:
        """Up to where a principal may see: what it was granted, else its agency's default; and
        never beyond the region."""
        text = granted or self.default_of(account) or self.default.text
        return self.scheme.clearance(text).meet(self.ceiling)

    def parse(self, text: str, code: str) -> Label:
        """The label of a marking that a caller gave."""
        try:
            label = self.scheme.parse(text)
        except MarkingError as error:
            raise ServiceError(code, str(error), status=400) from error
        if not self.ceiling.dominates(label):
            message = f"{label} is above what this region holds, {self.ceiling}."
            raise ServiceError(code, message, status=400)
        return label

    def of_new(self, session: Label, tags: Mapping[str, str], around: Label, code: str) -> Label:
        """The label of what a session makes. `around`: of what it lies in. `code`: the service's
        word for a tag that cannot be taken."""
        asked = tags.get(TAG)
        if asked is None:
            return around.join(session)
        label = self.parse(asked, code)
        if not label.dominates(session):
            message = f"A session at {session} cannot write to {label}."
            raise ServiceError("AccessDenied", message, status=403)
        return label
