"""What a region implements, asked of a region that is joined in this process and serves nobody."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from bastide.app.region import RegionProcess
from bastide.settings import load
from bastide.wire.server import bound_socket

T = TypeVar("T")


def ask_region(home: Path, question: Callable[[RegionProcess], T | Awaitable[T]]) -> T:
    """The answer of a region whose folder is below `home`; a coroutine's, when it is done."""
    (home / "bastide.toml").write_text("[regions.us-gov-west-1]\nport = 0\n")

    async def asked() -> T:
        site = load({"BASTIDE_HOME": str(home)})
        region = RegionProcess(site, "us-gov-west-1", bound_socket("127.0.0.1", 0))
        try:
            answer = question(region)
            return await answer if inspect.isawaitable(answer) else answer
        finally:
            region.listener.close()
            await region.close()

    return asyncio.run(asked())
