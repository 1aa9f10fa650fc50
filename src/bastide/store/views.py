"""What a principal sees of the store."""

from dataclasses import replace

from bastide.db.labels_in_use import LabelsInUse
from bastide.kernel.call import EVIDENCE_WRITER, Duty, Principal
from bastide.kernel.labels.view import View


def view_of(labels: LabelsInUse, who: Principal) -> View:
    """An auditor sees of objects the evidence alone: what anybody else put, under whichever key, is
    not there for it."""
    view = labels.view(who.session)
    return replace(view, writer=EVIDENCE_WRITER) if who.duty is Duty.AUDITOR else view
