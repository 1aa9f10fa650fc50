"""A yes or a no on a scripted engine: nothing else can be said, and the agency pays."""

from contextlib import asynccontextmanager

import pytest
from tests.inference_kit import STUB, StubEngine, call, completion, stub_room

from bastide.inference.one_word import OneWord
from bastide.kernel.errors import ServiceError
from bastide.settings import Quota

pytestmark = pytest.mark.asyncio
WHO = call().principal


@asynccontextmanager
async def asked(tmp_path, stub):
    async with stub, stub_room(tmp_path, stub) as talk:
        yield OneWord(
            models=talk.models, engines=talk.engines, client=talk.client, quotas=talk.quotas
        )


def ask(one_word, model=STUB, timeout_s=10.0):
    return one_word.is_yes(WHO, model, "You reply yes or no.", "Is it?", timeout_s=timeout_s)


@pytest.mark.parametrize(("said", "found"), [('"yes"', True), ('"no"', False), ("yes", True)])
async def test_it_can_say_nothing_but_yes_or_no(tmp_path, said, found):
    stub = StubEngine([completion(said)])
    async with asked(tmp_path, stub) as one_word:
        assert await ask(one_word) is found
    (body,) = stub.seen
    assert body["response_format"]["json_schema"]["schema"] == {"enum": ["no", "yes"]}
    assert body["temperature"] == 0.0
    assert [one["role"] for one in body["messages"]] == ["system", "user"]


async def test_what_is_no_answer(tmp_path):
    stub = StubEngine([completion("perhaps")])
    async with asked(tmp_path, stub) as one_word:
        with pytest.raises(ServiceError, match="neither yes nor no"):
            await ask(one_word)
        with pytest.raises(ServiceError, match="not there"):
            await ask(one_word, "no.such-v1:0")
        stub.status = 500
        with pytest.raises(ServiceError):
            await ask(one_word)


async def test_a_silent_engine_is_given_up_and_its_place_is_free(tmp_path):
    stub = StubEngine([completion("yes")], silent=True)
    async with asked(tmp_path, stub) as one_word:
        for _ in range(40):  # more than there are places
            with pytest.raises(ServiceError) as caught:
                await ask(one_word, timeout_s=0.02)
            assert caught.value.code == "ModelTimeoutException"
        stub.silent = False
        assert await ask(one_word)


async def test_its_tokens_are_the_agencys_whatever_is_left(tmp_path):
    stub = StubEngine([completion("yes")])
    async with asked(tmp_path, stub) as one_word:
        one_word.quotas.of_all = Quota(tokens_per_minute=4)  # an answer takes 8
        card = one_word.models.resolve(STUB, WHO.session, WHO.account)
        assert await ask(one_word)
        assert await ask(one_word)
        with pytest.raises(ServiceError, match="Too many tokens"):
            one_word.quotas.admit(call(), card, letters=4, written_max=1)
