"""Which label a new thing gets, in one region: its tag's, else what it lies in or its agency's
default, and never less than the session that makes it (no write down; Bell and LaPadula's
*-property), never more than the region may hold."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

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

    @property
    def ungranted(self) -> Label:
        """Up to where who was granted nothing may see, in an agency without a default."""
        return self.scheme.clearance(self.default.text).meet(self.ceiling)

    @property
    def said(self) -> str:
        """All that decides what a marking means here, in one spelling."""
        said = {
            "scheme": json.loads(self.scheme.said),
            "default_label": self.default.text,
            "ceiling": self.ceiling.text,
        }
        return json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @property
    def digest(self) -> str:
        return sha256(self.said.encode()).hexdigest()

    def faults(self, markings: Iterable[str]) -> Iterator[str]:
        """Why what is stored under these markings could not stay what it is here. A row is found
        by its marking's text, so that another spelling is another label."""
        for text in sorted(markings):
            try:
                label = self.scheme.parse(text)
            except MarkingError as error:
                yield f"{text} is in use: {error}"
                continue
            if label.text != text:
                yield f"{text} is in use, and would be written {label}."
            elif not self.ceiling.dominates(label):
                yield f"{text} is in use, and above the ceiling {self.ceiling}."

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


def of_region(scheme: Scheme, default_label: str, ceiling: str) -> Labelling:
    """The labels of a region. Raises MarkingError where its settings do not go together."""
    default, most = scheme.parse(default_label), scheme.clearance(ceiling or default_label)
    if not most.dominates(default):
        raise MarkingError(f"default_label {default} is above the region's ceiling {most}.")
    return Labelling(scheme=scheme, ceiling=most, default=default)
