"""Labels as a context's handlers ask about them: what a caller sees, which label a new thing of its
gets, and whether it may change what it found."""

from collections.abc import Mapping
from dataclasses import dataclass

from bastide.db.labels_in_use import LabelsInUse
from bastide.kernel.call import Call, Principal
from bastide.kernel.errors import ServiceError, unsupported
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import TAG, Labelling
from bastide.kernel.labels.view import View


@dataclass(frozen=True, slots=True, kw_only=True)
class Marks:
    labelling: Labelling
    in_use: LabelsInUse

    def view(self, principal: Principal) -> View:
        return self.in_use.view(principal.session)

    def own(self, principal: Principal) -> str:
        """The session's own marking, for a row to carry."""
        return self.in_use.use(principal.session)

    def of_new(self, call: Call, tags: Mapping[str, str], noun: str) -> str:
        """The marking of a thing with a name. One above the session is refused: whether its name
        is free could not be told."""
        session, default = call.principal.session, self.labelling.of_account(call.account)
        label = self.labelling.of_new(session, tags, default, "ValidationException")
        if label != session:
            raise unsupported(call.operation, f"{noun} at {label}, above the session's {session}")
        return self.in_use.use(label)

    def check_own(self, call: Call, label: str) -> None:
        """AccessDeniedException for a change of what is below the session: it would tell
        downwards. The wall says so first; this is for what it cannot tell, and for races."""
        if label != call.principal.session.text:
            message = f"A session at {call.principal.session} cannot change what is {label}."
            raise ServiceError("AccessDeniedException", message, status=400)

    def check_tags(self, call: Call, tags: Mapping[str, str], label: str) -> None:
        """A tag says what the label is; it cannot make it another."""
        asked = tags.get(TAG)
        if asked is None:
            return
        if self.labelling.parse(asked, "ValidationException").text != label:
            raise unsupported(call.operation, f"Another {TAG} for what is {label}")

    def parse(self, marking: str) -> Label:
        """Of a marking that a row carries."""
        return self.labelling.scheme.parse(marking)
