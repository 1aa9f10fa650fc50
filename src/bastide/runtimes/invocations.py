"""bedrock-agentcore: InvokeAgentRuntime and StopRuntimeSession.

https://docs.aws.amazon.com/bedrock-agentcore/latest/APIReference/API_InvokeAgentRuntime.html
"""

import asyncio
import re
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from dataclasses import dataclass

from sqlalchemy import Connection

from bastide.jobs.replicas import Answer, Asked, NotAnswered, NotReached, Replicas
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, invalid
from bastide.kernel.operation import operation
from bastide.runtimes import records
from bastide.runtimes.book import Book, missing, runtime_arn
from bastide.runtimes.model import DEFAULT, Params, Session, SessionKey, Version
from bastide.runtimes.sessions import Sessions

PROCESSES_TRIED_MAX = 2
TIMEOUT_S = 900.0  # of one invocation: AWS's own
ANSWER_MAX = 100 * 1024 * 1024
SESSION_HEADER = "X-Amzn-Bedrock-AgentCore-Runtime-Session-Id"
_SESSION_ID = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_-]*\Z")
_HEADERS = {
    "accept": "Accept",
    "traceId": "X-Amzn-Trace-Id",
    "traceParent": "traceparent",
    "traceState": "tracestate",
    "baggage": "baggage",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeInvocations:
    book: Book
    sessions: Sessions
    replicas: Replicas

    @operation(
        "agentRuntimeArn", "qualifier", "accountId", "runtimeSessionId", "contentType", "payload",
        *_HEADERS,
    )  # fmt: skip
    async def invoke_agent_runtime(self, call: Call, req: Params) -> Params:
        session_id = req.get("runtimeSessionId") or self.book.ids.uuid()
        asked = _asked(req, session_id)
        with ExitStack() as held:
            answer = await self._answer(call, req, asked, held)
            if not 200 <= answer.status < 300:
                raise _failed(f"Received error ({answer.status}) from runtime.")
            parts = Parts(answer, held.pop_all())
        return {
            "runtimeSessionId": session_id,
            "contentType": _printable(answer.headers.get("content-type", "")),
            "statusCode": 200,
            "response": parts,
        }

    @operation("agentRuntimeArn", "qualifier", "runtimeSessionId", accepted={
        "clientToken": "a session that was stopped is stopped",
    })  # fmt: skip
    def stop_runtime_session(self, call: Call, req: Params) -> Params:
        session_id = req["runtimeSessionId"]
        key = self._key(call, req, session_id)

        def read(c: Connection) -> Session | None:
            self.book.runtime_in(c, call, key.runtime_id)
            row = records.session(c, key)
            return None if row is None else self.book.session(row)

        found = self.book.database.read(read)
        if found is None:
            raise missing(f"No session {session_id} was found.")
        call.notes.label = key.label
        self.sessions.end(found)
        return {"runtimeSessionId": session_id, "statusCode": 200}

    def _session(self, call: Call, req: Params, session_id: str) -> tuple[Session, Version]:
        key = self._key(call, req, session_id)
        self.book.database.read(lambda c: self.book.runtime_in(c, call, key.runtime_id))
        session = self.sessions.found(call, key.runtime_id, key.endpoint, session_id)
        version = self.book.version_of(session)
        if version is None:
            raise missing(f"No agent runtime {key.runtime_id} was found.")
        return session, version

    def _key(self, call: Call, req: Params, session_id: str) -> SessionKey:
        if not _SESSION_ID.match(session_id):
            raise invalid("runtimeSessionId has letters, digits, - and _ alone.")
        named = req["agentRuntimeArn"]
        arn = arns.parse(named)
        here = (call.region.partition, "bedrock-agentcore", call.region.name, call.account)
        if arn is None or (arn.partition, arn.service, arn.region, arn.account) != here:
            raise missing(f"No agent runtime {named[:200]} was found.")
        runtime_id = arn.resource.removeprefix("runtime/")
        if named != runtime_arn(call, runtime_id):  # policies were asked of the ARN that is given
            raise missing(f"No agent runtime {named[:200]} was found.")
        if req.get("accountId") not in (None, "", call.account):
            raise missing(f"No agent runtime {named[:200]} was found.")
        return SessionKey(
            account=call.account, runtime_id=runtime_id,
            endpoint=req.get("qualifier") or DEFAULT, id=session_id,
            label=self.book.marks.own(call.principal),
        )  # fmt: skip

    async def _answer(self, call: Call, req: Params, asked: Asked, held: ExitStack) -> Answer:
        """Held until the answer is over. A process that has not taken the call may have died, and
        the next one is asked; nothing else is asked twice: its work could be done twice."""
        session_id = asked.headers[SESSION_HEADER]
        for _ in range(PROCESSES_TRIED_MAX):
            session, version = await asyncio.to_thread(self._session, call, req, session_id)
            call.notes.label = session.key.label  # of what went in, and the runtime's lies below
            with ExitStack() as place:
                place.enter_context(self.sessions.call(session, version.idle_s, len(asked.body)))
                try:
                    answer = await self._ask(session, version, asked)
                except NotReached:
                    await asyncio.to_thread(self.sessions.end, session)
                    continue
                place.callback(answer.close)
                held.enter_context(place.pop_all())
                return answer
        raise _failed("The runtime's process has ended.")

    async def _ask(self, session: Session, version: Version, asked: Asked) -> Answer:
        path = await self.sessions.reached(session, version)
        try:
            return await self.replicas.ask(path, asked)
        except NotAnswered as error:
            if error.timed_out:
                raise _failed("The runtime did not answer in time.") from error
            await self.sessions.settle(session)
            raise _failed("The runtime broke off its answer.") from error


class Parts:
    """An answer's bytes as they come. When it ends, or is closed before its first, the session's
    place is free."""

    def __init__(self, answer: Answer, held: ExitStack) -> None:
        self._pieces: AsyncGenerator[bytes, None] = answer.pieces()
        self._held = held
        self._size = 0

    def __aiter__(self) -> "Parts":
        return self

    async def __anext__(self) -> bytes:
        with ExitStack() as ending:
            ending.callback(self._held.close)  # its end, a failure or a cancellation: all end it
            try:
                piece = await self._pieces.__anext__()
            except NotAnswered as error:
                raise _failed("The runtime broke off its answer.") from error
            self._size += len(piece)
            if self._size > ANSWER_MAX:
                raise _failed(f"The answer is larger than {ANSWER_MAX} bytes.")
            ending.pop_all()
        return piece

    async def aclose(self) -> None:
        self._held.close()
        await self._pieces.aclose()


def _asked(req: Params, session_id: str) -> Asked:
    headers = {header: req[name] for name, header in _HEADERS.items() if req.get(name)}
    headers["Content-Type"] = req.get("contentType") or "application/json"
    headers[SESSION_HEADER] = session_id
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise invalid("A header holds a line break or is not ASCII.")
    return Asked(headers=headers, body=bytes(req["payload"] or b""), timeout_s=TIMEOUT_S)


def _failed(what: str) -> ServiceError:
    said = f"{what} Please check your CloudWatch logs for more information."
    return ServiceError("RuntimeClientError", said)


def _printable(text: str) -> str:
    """A process may say anything; what no header can hold is left out."""
    return text if text and text.isascii() and text.isprintable() else "application/octet-stream"
