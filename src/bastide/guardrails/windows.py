"""A text in windows that overlap, cut by what it says and not by how it arrives.

So that a stream is judged as the whole text is: whatever the parts it came in, the windows are the
same. What is found is at most OVERLAP visible characters long, or begins in the window where it
ends; a longer one is found as far as the windows go. What a window has settled may be let go.
"""

from dataclasses import dataclass

from bastide.guardrails.folding import is_visible

STRIDE = 800  # visible characters after which a window may end at the next white space
STRIDE_MAX = 1_000  # after which it ends
OVERLAP = 200  # visible characters that the next window begins with
TEXT_MAX = 250_000  # characters of one text


@dataclass(frozen=True, slots=True)
class Window:
    """`text` starts at `start` of the whole. Behind `settled`, the next window says it anew; of the
    last one all is settled."""

    text: str
    start: int
    settled: int
    is_last: bool

    @property
    def end(self) -> int:
        return self.start + len(self.text)


class Windows:
    """The windows of one text that arrives in parts."""

    def __init__(self) -> None:
        self._held = ""  # from `_start` of the whole on
        self._start = 0
        self._read = 0  # of what is held
        self._places: list[int] = []  # of those, in what is held

    def add(self, part: str) -> list[Window]:
        """The windows that are whole with this part."""
        self._held += part
        found = []
        while (window := self._next()) is not None:
            found.append(window)
        return found

    def end(self) -> Window:
        """The last one, which may be empty."""
        return Window(self._held, self._start, self._start + len(self._held), is_last=True)

    def _next(self) -> Window | None:
        held = self._held
        while self._read < len(held):
            character = held[self._read]
            if is_visible(character):
                self._places.append(self._read)
            self._read += 1
            count = len(self._places)
            if count >= STRIDE_MAX or (count >= STRIDE and character.isspace()):
                return self._cut()
        return None

    def _cut(self) -> Window:
        overlap = self._places[-OVERLAP]
        window = Window(self._held[: self._read], self._start, self._start + overlap, is_last=False)
        self._places = [place - overlap for place in self._places[-OVERLAP:]]
        self._held, self._read = self._held[overlap:], self._read - overlap
        self._start += overlap
        return window
