"""Each agency's jobs run as a uid of the agency's own, out of the region's range."""

import threading
from dataclasses import dataclass, field

from bastide.db.database import Database
from bastide.jobs import records
from bastide.kernel.errors import Unavailable


@dataclass(frozen=True, slots=True, kw_only=True)
class Uids:
    """`first` and `count` must not overlap with another region's, nor with the host's users."""

    database: Database
    first: int
    count: int
    _known: dict[str, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def of(self, account: str) -> int:
        """This agency's uid; never another's, never given again."""
        with self._lock:
            known = self._known.get(account)
        if known is not None:
            return known
        position = self.database.write(lambda c: records.uid_position(c, account))
        if position >= self.count:
            raise Unavailable("no uid is left in the region's range")
        with self._lock:
            self._known[account] = self.first + position
        return self.first + position
