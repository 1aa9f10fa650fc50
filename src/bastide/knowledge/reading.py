"""Why a document is not in a knowledge base, or not yet."""

from bastide.kernel.errors import Unavailable


class Unreadable(Exception):
    """The document failed; its reason is told to whoever asks for it, and the job goes on."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NotYet(Unavailable):
    """What there is too little of comes by itself: waiting for it is no failure."""
