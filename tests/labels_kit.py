"""Labels for tests: the scheme of the US, and a region that may hold all of it."""

from bastide.db.database import Database
from bastide.db.labels_in_use import LabelsInUse
from bastide.db.marks import Marks
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import Labelling
from bastide.kernel.labels.scheme import load

US = load("us")
CEILING = US.clearance("TS//SI-G/TK")
UNCLASSIFIED = {"clearance": US.clearance("U"), "session": US.lowest}  # of a principal


def labelling(default: str = "U") -> Labelling:
    return Labelling(scheme=US, ceiling=CEILING, default=US.parse(default))


def in_use(database: Database) -> LabelsInUse:
    return LabelsInUse(database, US)


def at(marking: str) -> dict[str, Label]:
    """The clearance and label of a principal whose session works at its clearance."""
    return {"clearance": CEILING, "session": US.parse(marking)}


def marks(database: Database, labels: LabelsInUse | None = None) -> Marks:
    """Of a region whose agencies' default is U."""
    return Marks(labelling=labelling(), in_use=labels or in_use(database))
