"""Long work told line by line: its last line is a result or an error, whatever happens."""

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bastide.kernel.errors import ServiceError, Unavailable
from bastide.operators.progress import stream


def told(begin) -> list[dict]:
    async def ask():
        async def handler(request):
            return await stream(request, executor, begin)

        application = web.Application()
        application.router.add_post("/work", handler)
        async with TestClient(TestServer(application)) as client:
            answer = await client.post("/work")
            return [json.loads(line) async for line in answer.content]

    with ThreadPoolExecutor(1) as executor:
        return asyncio.run(ask())


def failing(error):
    yield {"step": "one"}
    raise error


def test_steps_then_the_result():
    assert told(lambda: iter([{"step": "one"}, {"result": 2}])) == [{"step": "one"}, {"result": 2}]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ServiceError("ValidationException", "No such model."), "No such model."),
        (Unavailable("The index did not answer."), "The index did not answer."),
        (ZeroDivisionError("secret"), "Internal failure; the region's log (region.log) says why."),
    ],
)
def test_a_failure_is_the_last_line(error, text):
    assert told(lambda: failing(error)) == [{"step": "one"}, {"error": text}]
