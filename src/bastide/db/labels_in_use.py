"""Every label that a row of the region carries, so that a query can name those that a session sees.

They are few (some dozens), kept in memory and in a table; one is never taken back, as more names
in a query change no answer. They are bounded, as each is a word in the queries of all who see it,
and anybody may write up to one that nobody uses.
"""

import threading

from bastide.db import label_records as records
from bastide.db.database import Database
from bastide.kernel.errors import Unavailable
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.scheme import Scheme
from bastide.kernel.labels.view import View

_VIEWS_MAX = 4_096
LABELS_MAX = 8_192  # SQLite takes 32,766 words in one query


class LabelsInUse:
    """What contexts ask before a write, and for each query."""

    def __init__(self, database: Database, scheme: Scheme) -> None:
        self._database = database
        self._scheme = scheme
        self._lock = threading.Lock()
        held = database.read(records.all_of)
        self._used = {text: scheme.parse(text) for text in held}
        self._views: dict[Label, View] = {}

    def use(self, label: Label) -> str:
        """Its marking, durable before a row may carry it."""
        text = label.text
        if text not in self._used:
            if len(self._used) >= LABELS_MAX:
                raise Unavailable(f"This region works with {LABELS_MAX} labels already.")
            self._database.write(lambda c: records.keep(c, text))
            with self._lock:
                self._used[text] = label
                self._views.clear()
        return text

    def at(self, marking: str) -> View:
        """What works at a marking sees; a row may carry it from now on."""
        label = self._scheme.parse(marking)
        self.use(label)
        return self.view(label)

    def view(self, session: Label) -> View:
        """What a session sees: the markings in use that it dominates."""
        found = self._views.get(session)
        if found is None:
            with self._lock:
                seen = tuple(t for t, each in self._used.items() if session.dominates(each))
                if len(self._views) >= _VIEWS_MAX:
                    self._views.clear()
                found = self._views[session] = View(session, seen)
        return found
