"""What markings mean in a region, as operators see and change it, with two officers' signatures."""

from dataclasses import dataclass
from hashlib import sha256

from bastide.db import setting_records as records
from bastide.db.label_settings import LabelSettings, OtherMeaning
from bastide.kernel.approvals import Approvals, Kind
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels import scheme as schemes
from bastide.kernel.labels.labelling import Labelling, of_region
from bastide.kernel.labels.scheme import MarkingError, SchemeError
from bastide.operators.ports import Row


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionLabelRoom:
    """What `bastide label adopt` asks for. `now`: what the region works with until it is started
    anew."""

    settings: LabelSettings
    now: Labelling
    approvals: Approvals

    def adopt(self, scheme: str, default_label: str, ceiling: str, requester: str) -> Row:
        """NotApproved until two security officers have signed for exactly this. `scheme`: what
        its file says. What the region works with takes back what was signed for and has not
        begun."""
        try:
            asked = of_region(schemes.read(scheme, "sent"), default_label, ceiling)
            if asked.said == self.now.said:
                unsay, database = records.unsay_next, self.settings.database
                if database.write(lambda c: unsay(c, records.LABELS)):
                    return _told(asked)
                raise OtherMeaning("The region works with exactly these settings already.")
            self.settings.check(asked)
        except (SchemeError, MarkingError, OtherMeaning) as error:
            raise ServiceError("ValidationException", str(error)) from error
        before, after = _told(self.now), _told(asked)
        action = {"change": "adopt other label settings", "from": before, "to": after}
        self.approvals.carry_out(
            Kind.TRUST_ANCHOR_CHANGE, action, requester,
            lambda c: records.say_next(c, records.LABELS, asked.said),
        )  # fmt: skip
        return after


def _told(labelling: Labelling) -> Row:
    return {
        "scheme": labelling.scheme.name,
        "scheme_sha256": sha256(labelling.scheme.said.encode()).hexdigest(),
        "default_label": labelling.default.text,
        "ceiling": labelling.ceiling.text,
        "who_was_granted_nothing_sees_up_to": labelling.ungranted.text,
        "sha256": labelling.digest,
    }
