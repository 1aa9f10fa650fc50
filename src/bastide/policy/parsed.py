"""Policy documents, parsed once: a call looks at several, and most of them at every call."""

import threading
from collections import OrderedDict

from bastide.policy.document import Document, PolicyKind, parse

PARSED_MAX = 4_096


class ParsedDocuments:
    """The most recently used documents, parsed. A document's text is its key."""

    def __init__(self, size_max: int = PARSED_MAX) -> None:
        self._size_max = size_max
        self._held: OrderedDict[tuple[str, PolicyKind], Document] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, text: str, kind: PolicyKind) -> Document:
        key = (text, kind)
        with self._lock:
            found = self._held.get(key)
            if found is not None:
                self._held.move_to_end(key)
                return found
        found = parse(text, kind)
        with self._lock:
            self._held[key] = found
            while len(self._held) > self._size_max:
                self._held.popitem(last=False)
        return found
