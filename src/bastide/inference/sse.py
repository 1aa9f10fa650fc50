"""Server-sent events, cut out of the bytes as they arrive.

Source: https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream
"""

EVENT_BYTES_MAX = 4 << 20


class BadEvents(Exception):
    """The stream is not one of bounded events."""


class EventSplitter:
    """`feed` any cut of the stream; it answers the data of the events that are whole by then."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []
        self._size = 0

    def feed(self, block: bytes) -> list[bytes]:
        *lines, self._rest = (self._rest + block).split(b"\n")
        if len(self._rest) > EVENT_BYTES_MAX:
            raise BadEvents("a line has no end")
        events: list[bytes] = []
        for line in lines:
            self._line(line.removesuffix(b"\r"), events)
        return events

    def _line(self, line: bytes, events: list[bytes]) -> None:
        if not line:
            if self._data:
                events.append(b"\n".join(self._data))
            self._data, self._size = [], 0
        elif line.startswith(b"data:"):
            data = line[5:].removeprefix(b" ")
            self._size += len(data)
            if self._size > EVENT_BYTES_MAX:
                raise BadEvents("an event has no end")
            self._data.append(data)
