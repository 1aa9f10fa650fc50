"""Server-sent events, however the bytes are cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.inference.sse import EVENT_BYTES_MAX, BadEvents, EventSplitter

DATA = st.binary(max_size=40).map(lambda raw: raw.replace(b"\n", b"").replace(b"\r", b""))


def cut(stream, places):
    points = sorted({min(place, len(stream)) for place in places})
    return [stream[a:b] for a, b in zip([0, *points], [*points, len(stream)], strict=True)]


@given(
    events=st.lists(st.lists(DATA, min_size=1, max_size=3), max_size=8),
    places=st.lists(st.integers(0, 400), max_size=30),
    ending=st.sampled_from([b"\n", b"\r\n"]),
)
def test_every_cut_gives_the_same_events(events, places, ending):
    stream = b": ping" + ending + ending + b"event: x" + ending
    for lines in events:
        stream += b"".join(b"data: " + line + ending for line in lines) + ending
    splitter = EventSplitter()
    found = [event for part in cut(stream, places) for event in splitter.feed(part)]
    assert found == [b"\n".join(lines) for lines in events]


@given(st.lists(st.binary(max_size=60), max_size=20))
def test_noise_is_taken(parts):
    splitter = EventSplitter()
    for part in parts:
        splitter.feed(part)


def test_an_unended_event_is_not_given():
    assert EventSplitter().feed(b"data: {}\n") == []


@pytest.mark.parametrize("piece", [b"x" * 65536, b"data: " + b"x" * 65536 + b"\n"])
def test_no_end(piece):
    splitter = EventSplitter()
    for _ in range(EVENT_BYTES_MAX // len(piece) - 1):
        splitter.feed(piece)
    with pytest.raises(BadEvents):
        splitter.feed(piece * 3)
