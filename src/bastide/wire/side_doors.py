"""Ways in for one role's sessions alone: a unix socket each, for code that is shut in.

What comes through one is a request as any other: authenticated, authorised, audited. But only what
that role signs at that label is taken, whatever other keys the code brought along (decision 0067).
The code gets the role's keys at the same door, as AWS's containers do, at a path that no operation
can have: https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html
"""

import contextlib
import hmac
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.unix_names import short_name
from bastide.wire.arrival import Receive
from bastide.wire.door import Door
from bastide.wire.gateway import BOUND
from bastide.wire.sending import Send
from bastide.wire.server import Server
from bastide.wire.strict import fault
from bastide.wire.types import Bound

CREDENTIALS = b"/.bastide/credentials"
Application = Callable[[dict[str, Any], Receive, Send], Awaitable[None]]
Issue = Callable[[], Awaitable[Mapping[str, str]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Doorway:
    """The application behind one door. `issue` makes keys, which `token` is asked for."""

    gateway: Application
    bound: Bound
    token: str
    issue: Issue

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        if scope["raw_path"] != CREDENTIALS or fault(scope):
            await self.gateway({**scope, BOUND: self.bound}, receive, send)
            return
        status, members = await self._credentials(scope)
        body = json.dumps(members).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _credentials(self, scope: Mapping[str, Any]) -> tuple[int, Mapping[str, str]]:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, self.token.encode()):
            return 403, {"code": "AccessDenied", "message": "The token is not that of this door."}
        try:
            return 200, await self.issue()
        except ServiceError as error:
            return 400, {"code": error.code, "message": error.message}
        except Unavailable:
            return 503, {"code": "ServiceUnavailable", "message": "Try again."}


@dataclass(slots=True)
class SideDoors:
    """Belongs to the event loop. `server` is there once the region serves."""

    gateway: Application
    server: Server | None = None
    _open: dict[Path, tuple[Door, socket.socket]] = field(default_factory=dict)

    def open(self, path: Path, bound: Bound, token: str, issue: Issue) -> None:
        """Whoever can reach `path` may come in; one that is open stays as it is."""
        assert self.server is not None, "opened before the region serves"
        if path in self._open:
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o711)
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        with short_name(path) as name:
            listener.bind(name)
        path.chmod(0o666)  # its folder's folders are the region's own
        doorway = Doorway(gateway=self.gateway, bound=bound, token=token, issue=issue)
        door = self.server.open_beside(listener, doorway, bound.source)
        self._open[path] = (door, listener)

    def close(self, path: Path) -> None:
        """For good: the socket's file and its folder go with it."""
        self._shut(path)
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            path.parent.rmdir()

    def close_all(self) -> None:
        """Until the region is there again: whoever stands in a door's folder finds the next one."""
        for path in list(self._open):
            self._shut(path)

    def _shut(self, path: Path) -> None:
        door, listener = self._open.pop(path, (None, None))
        if door is not None and listener is not None and self.server is not None:
            self.server.close_beside(door)
            listener.close()
