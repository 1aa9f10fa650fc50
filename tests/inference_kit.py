"""Models and engines for tests: tiny GGUF files, wheels of them, and a scripted engine."""

import asyncio
import hashlib
import json
import os
import ssl
import struct
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from bastide.inference.cache_points import CachePoints
from bastide.inference.converse import Conversations
from bastide.inference.engine_client import EngineClient
from bastide.inference.engines import Engines
from bastide.inference.invoke_model import ModelInvocations
from bastide.inference.model import EngineTask, RemoteEngine
from bastide.inference.quotas import Quotas
from bastide.inference.walls import Walls
from bastide.jobs.host import find_bwrap
from bastide.jobs.seccomp import write_filter
from bastide.kernel.call import Call, Principal, PrincipalKind
from bastide.kernel.clock import SystemClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import SystemIds
from bastide.kernel.regions import Region
from bastide.models.aliases import Aliases
from bastide.models.catalogue import Models
from bastide.models.model import Beside, Entry, ModelKind, Source
from bastide.models.shelf import Shelf
from bastide.settings import Quota
from tests.labels_kit import UNCLASSIFIED, labelling
from tests.receipts_kit import RECEIPTS

GOV = Region("us-gov-west-1", "aws-us-gov", "amazonaws.com")
ACCOUNT, OTHER = "111111111111", "222222222222"
STUB = "bench.stub-v1:0"
ENGINE_UID = 199_999


def call(operation: str = "bedrock-runtime.Converse", account: str = ACCOUNT) -> Call:
    principal = Principal(
        account=account, arn=f"arn:aws-us-gov:iam::{account}:user/u", user_id="U",
        kind=PrincipalKind.USER, issuer_arn=f"arn:aws-us-gov:iam::{account}:user/u", name="u",
        access_key_id="AKIA", **UNCLASSIFIED,
    )  # fmt: skip
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    return Call(operation=operation, region=GOV, principal=principal, request_id="r", time=moment)


def gguf(**values: Any) -> bytes:
    """A small file with a sound header: string and whole-number metadata, one tensor."""
    values = {"general.architecture": "llama", "llama.context_length": 512, **values}
    out = b"GGUF" + struct.pack("<IQQ", 3, 1, len(values))
    for name, value in values.items():
        out += _text(name)
        if isinstance(value, str):
            out += struct.pack("<I", 8) + _text(value)
        elif isinstance(value, list):
            out += struct.pack("<IIQ", 9, 8, len(value)) + b"".join(map(_text, value))
        else:
            out += struct.pack("<II", 4, value)
    return out + _text("t") + struct.pack("<IQIQ", 1, 32, 0, 0) + bytes(128)


def _text(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def entry(data: bytes, *sources: Source, model_id: str = "test.tiny-v1:0") -> Entry:
    return Entry(
        model_id=model_id, title="Tiny", provider="Test",
        sha256=hashlib.sha256(data).hexdigest(), size=len(data), licence="MIT",
        context_tokens=512, sources=list(sources),
    )  # fmt: skip


def embedding_entry(
    data: bytes, tokenizer: bytes, *sources: Source, beside: tuple[Source, ...] = ()
) -> Entry:
    """Weights of no form that anybody checks, and the file beside them."""
    made = entry(data, *sources, model_id="test.vectors-v1:0")
    digest = hashlib.sha256(tokenizer).hexdigest()
    one = Beside(name="tokenizer.json", sha256=digest, size=len(tokenizer), sources=list(beside))
    return msgspec.structs.replace(made, kind=ModelKind.EMBEDDING, dimensions=4, beside=[one])


def wheel(folder: Path, name: str, members: dict[str, bytes]) -> Path:
    """A wheel that pip takes, version 1.0."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name.replace('-', '_')}-1.0-py3-none-any.whl"
    info = f"{name.replace('-', '_')}-1.0.dist-info"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        archive.writestr(f"{info}/WHEEL", tags)
        archive.writestr(f"{info}/RECORD", "")
    return path


def models_at(folder: Path, entries: dict[str, Entry] | None = None, **kept: Any) -> Models:
    shelf = Shelf(folder=folder / "models", clock=SystemClock())
    aliases = Aliases(folder / "aliases.json", kept.pop("site_aliases", {}))
    return Models(
        shelf=shelf, entries=entries or {}, aliases=aliases, labelling=labelling(), **kept
    )


def turn(text: str = "hello", role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": [{"text": text}]}


def chunk(text: str | None = None, finish: str | None = None, **more: Any) -> bytes:
    delta = {} if text is None else {"content": text}
    body = {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


NO_QUOTA = Quota()
USAGE = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 8}
DONE = b"data: [DONE]\n\n"
GOOD_STREAM = [chunk("one "), chunk("two"), chunk(finish="stop", usage=USAGE), DONE]


def completion(text: str = "one two", finish: str = "stop", **more: Any) -> bytes:
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish, **more}
    return json.dumps({"choices": [choice], "usage": USAGE}).encode()


@dataclass
class StubEngine:
    """Answers what the test scripts: `status`, then `parts`, or the next ones of `script`; `cut`
    ends the connection without the end of the body; `held` waits for `go` before the last part.
    Requests are kept in `seen`."""

    parts: list[bytes] = field(default_factory=lambda: [completion()])
    status: int = 200
    cut: bool = False
    held: bool = False
    silent: bool = False
    fails_from: int | None = None  # so many requests are answered well before
    requests_per_connection: int = 1000
    tls: ssl.SSLContext | None = None
    seen: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0
    script: list[list[bytes]] = field(default_factory=list)
    gone: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> "StubEngine":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self.tls else 'http'}://127.0.0.1:{port}/v1"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.go.set()
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            for _ in range(self.requests_per_connection):
                await self._one(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.gone.set()
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        self.headers.append(headers)
        body = json.loads(await reader.readexactly(int(headers["content-length"])))
        self.seen.append({"path": head[0].split()[1], **body})
        if self.silent:
            await reader.read()  # until the client goes away
            raise ConnectionError
        kind = "text/event-stream" if body.get("stream") else "application/json"
        is_late = self.fails_from is not None and len(self.seen) > self.fails_from
        status = 500 if is_late else self.status
        start = f"HTTP/1.1 {status} X\r\ncontent-type: {kind}\r\ntransfer-encoding: chunked"
        writer.write(start.encode() + b"\r\n\r\n")
        parts = self.script[len(self.seen) - 1] if self.script else self.parts
        for number, part in enumerate(parts):
            if self.held and number == len(parts) - 1:
                await asyncio.wait(
                    [asyncio.create_task(self.go.wait()), asyncio.create_task(reader.read(1))],
                    return_when=asyncio.FIRST_COMPLETED,
                )
                if not self.go.is_set():
                    raise ConnectionError
            writer.write(b"%x\r\n%s\r\n" % (len(part), part))
            await writer.drain()
        if self.cut:
            raise ConnectionError
        writer.write(b"0\r\n\r\n")
        await writer.drain()


@asynccontextmanager
async def stub_room(
    folder: Path,
    stub: StubEngine,
    *,
    ca_file: str = "",
    guards: Any = None,
    threads: Any = None,
    further: tuple[str, ...] = (),
    tokens: int | None = None,
    **client: Any,
) -> AsyncIterator[Conversations]:
    """Conversations with one remote model, on one engine or on several."""
    server = RemoteEngine(
        url=stub.url, model="stub", key="sesame", ca_file=ca_file, further_urls=further,
        tokens_at_once=tokens,
    )  # fmt: skip
    pool = engines(folder, {STUB: server})
    asked = EngineClient(unreachable=pool.unreachable, **client)
    try:
        models = models_at(folder, remote_ids=(STUB,))
        yield conversations(models, pool, asked, guards=guards, threads=threads)
    finally:
        await asked.close()
        await pool.close()


def conversations(
    models: Models,
    engines: Engines,
    client: EngineClient | None = None,
    quota: Quota = NO_QUOTA,
    guards: Any = None,
    threads: Any = None,
) -> Conversations:
    client = client or EngineClient()
    return Conversations(
        models=models, engines=engines, client=client, clock=SystemClock(), ids=SystemIds(),
        receipts=RECEIPTS, guards=guards or NoGuards(),
        threads=threads or AnyThread(), cache_points=CachePoints(SystemClock()),
        quotas=Quotas(clock=SystemClock(), of_all=quota),
    )  # fmt: skip


class AnyThread:
    """Of whom it is asked does not count."""

    async def run(self, agency, work, *args, **kwargs):
        return await asyncio.to_thread(work, *args, **kwargs)


class NoGuards:
    """A region without guardrails."""

    def guard(self, call, config):
        raise ServiceError("ResourceNotFoundException", "There is no guardrail.")


def invocations(models: Models, engines: Engines, client: EngineClient) -> ModelInvocations:
    talk = conversations(models, engines, client)
    return ModelInvocations(talk=talk, models=models, clock=SystemClock(), receipts=RECEIPTS)


def engines(folder: Path, remote: dict[str, RemoteEngine] | None = None, **task: Any) -> Engines:
    return Engines(
        task=EngineTask(**task), folder=folder, walls=walls(folder), clock=SystemClock(),
        ids=SystemIds(), remote=remote or {},
    )  # fmt: skip


def walls(folder: Path) -> Walls:
    """Those of this machine, as a region has them."""
    program = folder / "seccomp.bpf"
    write_filter(program)
    bwrap = find_bwrap(Path(sys.executable).parent / "bwrap")
    assert bwrap is not None, "tools/setup installs it"
    return Walls(bwrap=bwrap, seccomp=program, uid=ENGINE_UID if os.getuid() == 0 else None)
