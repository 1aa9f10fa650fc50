"""Talks to a running region through its control socket: HTTP and JSON over a unix socket."""

import contextlib
import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bastide.kernel.unix_names import short_name
from bastide.settings import Site

TIMEOUT_S = 3600.0


class CommandFailed(Exception):
    """A command could not do what it was asked to; the text says what to do about it."""


class NotYetApproved(CommandFailed):
    """What was asked for needs a second person: `request` waits for their signatures."""

    def __init__(self, text: str, request: str) -> None:
        super().__init__(text)
        self.request = request


def path_of(*parts: str) -> str:
    """A path of the API; a part may be whatever a person typed."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        try:
            with short_name(self._path) as name:
                self.sock.connect(name)
        except OSError:
            self.close()
            raise


class Control:
    """The operators' API of one region."""

    def __init__(self, site: Site, region: str, timeout_s: float = TIMEOUT_S) -> None:
        self.region = region
        self._path = site.control_socket(region)
        self._timeout_s = timeout_s

    def get(self, path: str) -> Any:
        return self._json("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> Any:
        return self._json("POST", path, body or {})

    def steps(self, path: str, body: Mapping[str, Any] | None = None) -> Iterator[dict[str, Any]]:
        """The progress of long work, one dict for each line: `{"step", "done", "total"}`.
        The last one holds `result`; one that holds `error` is raised."""
        done = False
        with self._sent("POST", path, body or {}) as response:
            for step in _lines(response):
                if "error" in step:
                    raise CommandFailed(step["error"])
                done = "result" in step
                yield step
        if not done:
            raise self._broke_off()

    def _json(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        with self._sent(method, path, body) as response:
            return json.loads(response.read() or b"null")

    @contextlib.contextmanager
    def _sent(
        self, method: str, path: str, body: Mapping[str, Any] | None
    ) -> Iterator[http.client.HTTPResponse]:
        with contextlib.closing(_SocketConnection(self._path, self._timeout_s)) as connection:
            payload = None if body is None else json.dumps(body)
            try:
                connection.request(method, path, payload, {"content-type": "application/json"})
                response = connection.getresponse()
            except (FileNotFoundError, ConnectionRefusedError) as error:
                raise CommandFailed(
                    f"Region {self.region} is not running. "
                    f"Start it: bastide up --region {self.region}"
                ) from error
            except ConnectionError as error:
                raise self._broke_off() from error
            except PermissionError as error:
                raise CommandFailed(
                    f"Only the owner of {self._path} may operate the region."
                ) from error
            with response:
                if response.status >= 400:
                    raise _failure(json.loads(response.read()))
                yield response

    def _broke_off(self) -> CommandFailed:
        return CommandFailed(
            f"Region {self.region} broke off before that was done; region.log may say why."
        )


def _lines(response: http.client.HTTPResponse) -> Iterator[dict[str, Any]]:
    """Each whole line. `http.client` takes an answer that is cut off for one that ends."""
    with contextlib.suppress(ConnectionError, http.client.IncompleteRead):
        while (line := response.readline()).endswith(b"\n"):
            yield json.loads(line)


def _failure(answer: Mapping[str, str]) -> CommandFailed:
    if "request" in answer:
        return NotYetApproved(answer["error"], answer["request"])
    return CommandFailed(answer["error"])
