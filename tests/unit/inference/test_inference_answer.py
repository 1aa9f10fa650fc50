"""A streamed answer, and what its end sets free."""

import asyncio

import pytest

from bastide.inference.answer import Answer
from bastide.inference.lease import Lease
from bastide.inference.model import Endpoint
from bastide.inference.voice import Voice


async def events():
    yield {"messageStart": {}}
    yield {"metadata": {}}


def broken():
    raise RuntimeError("the bill")


@pytest.mark.parametrize("how", ["ends", "is closed"])
def test_a_bill_that_fails_keeps_no_place(how):
    freed = []
    endpoint = Endpoint(url="u", key="", model="m")
    lease = Lease(endpoint, lambda: freed.append("place"))
    voice = Voice(None, endpoint, streams=True)
    voice.close = lambda: freed.append("voice")

    async def read():
        answer = Answer(voice, lease, (events(), events()), broken)
        if how == "is closed":
            await answer.aclose()
        else:
            _ = [event async for event in answer]

    with pytest.raises(RuntimeError, match="the bill"):
        asyncio.run(read())
    assert freed == ["voice", "place"]
