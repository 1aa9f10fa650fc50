"""The thread that looks at the calendar of keys."""

import logging
import threading

from bastide.kernel.errors import Unavailable
from bastide.kms.deletion import Calendar

logger = logging.getLogger(__name__)
LOOK_S = 30.0


class Clockwork:
    """What is due is done within half a minute; a key whose day has come is gone before that."""

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="kms-calendar", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                done = self._calendar.run()
            except Unavailable:
                logger.warning("the key database does not answer", exc_info=True)
                done = 0
            if not done:
                self._stopping.wait(LOOK_S)
