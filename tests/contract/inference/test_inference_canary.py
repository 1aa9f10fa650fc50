"""A model that was brought in, asked by the real engine: what is its own fault, and what is not."""

import hashlib
from dataclasses import replace

import msgspec
import pytest
from tests.contract.inference.test_inference_engine import SMOL, STORY, Two, room
from tests.inference_kit import ACCOUNT, call
from tests.labels_kit import US

from bastide.inference.canary import Canary
from bastide.kernel.errors import Unavailable

pytestmark = pytest.mark.asyncio


async def reason_against(talk, card):
    return await Canary(talk.engines, talk.client).reason_against(card, ACCOUNT, "U")


async def test_while_others_have_the_memory_it_is_tried_later(smol):
    two = Two(smol)
    async with room(two, memory_budget_mib=500) as talk:
        stream = (await talk.converse_stream(call(), STORY))["stream"]
        usual, talk.engines.task = (
            talk.engines.task,
            replace(talk.engines.task, load_timeout_s=0.05),
        )
        with pytest.raises(Unavailable):
            await reason_against(talk, two.second)
        talk.engines.task = usual
        await stream.aclose()
        assert await reason_against(talk, two.second) == ""


async def test_what_does_not_load_is_its_own_fault(smol, tmp_path):
    path, data = tmp_path / "model.gguf", b"GGUF" + bytes(2000)
    path.write_bytes(data)
    card = msgspec.structs.replace(
        smol.resolve(SMOL, US.lowest), path=path, size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )  # fmt: skip
    async with room(smol) as talk:
        assert await reason_against(talk, card) == "The engine could not load the model."
