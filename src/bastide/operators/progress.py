"""Long work as lines of JSON: `{"step", "done", "total"}` …, last `{"result"}` or `{"error"}`."""

import contextlib
import json
import logging
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

from aiohttp import web

from bastide.kernel.errors import ServiceError, Unavailable
from bastide.operators.off_loop import off_loop
from bastide.operators.ports import Steps

LAST: Any = object()
logger = logging.getLogger(__name__)


async def stream(
    request: web.Request, executor: Executor, begin: Callable[[], Steps]
) -> web.StreamResponse:
    """Answer with the lines that `begin()` yields, each as soon as it is there.

    The work runs on `executor`; a client that goes away ends it at its next step.
    """
    response = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
    await response.prepare(request)
    steps = begin()
    with contextlib.suppress(ConnectionResetError):  # the client has gone, or has read enough
        try:
            while (step := await off_loop(executor, lambda: _next(steps))) is not LAST:
                await response.write(json.dumps(step).encode() + b"\n")
        finally:
            close = getattr(steps, "close", None)
            if close is not None:
                await off_loop(executor, close)
        await response.write_eof()
    return response


def _next(steps: Steps) -> Any:
    try:
        return next(steps, LAST)
    except ServiceError as error:
        return {"error": error.message}
    except Unavailable as error:
        return {"error": error.what}
    except Exception:  # an edge, as the gateway is: our bug is logged, and told as one
        logger.exception("an operator's command failed")
        return {"error": "Internal failure; the region's log (region.log) says why."}
