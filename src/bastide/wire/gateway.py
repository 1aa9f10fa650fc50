"""The whole server as one list of stages, each turning one frozen type into the next:

    decode → authenticate → resolve operation → take body → validate → one spelling
           → authorize → open audit → open page token → dispatch → seal page token → encode
           → close audit

A refusal at any stage is audited and answered in the protocol's own form. An answer's first byte
leaves only when the record that allowed it is durable.
"""

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from botocore import xform_name

from bastide.kernel.call import BEHIND, Body, BytesBody, Call, EmptyBody
from bastide.kernel.clock import Clock
from bastide.kernel.errors import NOT_NOW, ServiceError, Unavailable, unsupported
from bastide.kernel.ids import Ids
from bastide.kernel.operation import honours_of
from bastide.kernel.regions import Region
from bastide.wire import honours
from bastide.wire.arrival import Arriving, Receive, Room, read_whole
from bastide.wire.authenticate import BEARER_SERVICES, Authenticator, Sender, needs_body
from bastide.wire.browser_upload import Upload, is_upload
from bastide.wire.denials import protocol_of, refusals_for
from bastide.wire.errors import serialize_error
from bastide.wire.form_data import FilePart, read_form
from bastide.wire.model import Catalogue, Operation
from bastide.wire.page_tokens import PageTokens
from bastide.wire.parse import Parsers
from bastide.wire.payload import CheckedBody, Source, inflated, promise_of
from bastide.wire.pool import Pool, Throttled
from bastide.wire.ports import Auditor, Authorizer
from bastide.wire.rejections import Rejections
from bastide.wire.route import Route, Router
from bastide.wire.sending import Send, Watched, discard, dressed, gone, send_response
from bastide.wire.serialize import Serializers
from bastide.wire.strict import fault
from bastide.wire.types import Params, RawRequest, RawResponse
from bastide.wire.validate import Validators

logger = logging.getLogger(__name__)
BODY_MAX = 10 * 1024 * 1024
LARGE_BODY_MAX = 25 * 1024 * 1024
UNVERIFIED_MAX = 256 * 1024 * 1024  # of all connections
KNOWN_MAX = 1024 * 1024 * 1024  # of known senders, until their calls are done
LARGE = frozenset(
    {
        "sagemaker-runtime.InvokeEndpoint",
        "sagemaker-runtime.InvokeEndpointWithResponseStream",
        "bedrock-runtime.InvokeModel",
    }
)
LARGE_PATHS = ("/endpoints/", "/model/")  # where they are, as nothing else is known yet
SECRET_HEADERS = frozenset({"authorization", "x-amz-security-token", "x-api-key", "cookie"})
COMPRESSED = frozenset({"monitoring"})  # signing names; an endpoint's own gzip is its own
EMPTY = EmptyBody()
BOUND = "bastide.bound"  # of a scope: no client can set it
_THROTTLED = {"rest-xml": "SlowDown", "query": "Throttling"}
_UNAVAILABLE = {"rest-xml": "SlowDown", "query": "ServiceUnavailable"}


@dataclass(frozen=True, slots=True)
class Handler:
    """A registered method, and the check of what it honours."""

    method: Callable[[Call, Params], Any]
    is_async: bool
    check: honours.Checker


@dataclass(slots=True)
class Progress:
    """How far a request has come, for the answer and the record of one that fails."""

    request_id: str
    raw: RawRequest
    protocol: str
    operation: Operation | None = None
    call: Call | None = None
    params: Params = field(default_factory=dict)
    opened: "Future[Any] | None" = None
    output: Params = field(default_factory=dict)
    code: str = ""
    claimed_key: str = ""  # where it is not in a header


@dataclass(frozen=True, slots=True, kw_only=True)
class Stages:
    """What the stages need; joined in `app.py`."""

    region: Region
    clock: Clock
    ids: Ids
    catalogue: Catalogue
    authenticator: Authenticator
    authorizer: Authorizer
    auditor: Auditor
    tokens: PageTokens
    threads: Pool
    upload_threads: Pool  # of bodies that stream in: a slow sender keeps one busy


class Gateway:
    """The ASGI application."""

    def __init__(self, stages: Stages) -> None:
        self._stages = stages
        self._router = Router(stages.catalogue)
        self._parsers, self._validators = Parsers(), Validators()
        self._serializers = Serializers()
        self._room = Room(UNVERIFIED_MAX)
        self._held = Room(KNOWN_MAX)
        self.rejections = Rejections(stages.auditor, stages.clock)
        self.handlers: dict[str, Handler] = {}

    def register(self, service: str, handler: object) -> None:
        """Take every public method of `handler` as the operation of that name. A name that is no
        operation, a method without its mark, and a second handler are mistakes at start-up."""
        catalogue = self._stages.catalogue
        names = {xform_name(name): name for name in catalogue.service(service).names}
        # Of the class: on an instance, Python 3.11.2 trips over the `__weakref__` of slots.
        for name, _ in inspect.getmembers(type(handler), inspect.isfunction):
            if name.startswith("_"):
                continue
            if name not in names:
                raise TypeError(f"{type(handler).__name__}.{name} is no operation of {service}")
            operation = catalogue.operation(f"{service}.{names[name]}")
            assert operation is not None
            method = getattr(handler, name)
            if operation.full_name in self.handlers:
                raise TypeError(f"{operation.full_name} has two handlers")
            check = honours.checker(operation, honours_of(method))
            is_async = inspect.iscoroutinefunction(method)
            if inspect.isasyncgenfunction(method) or inspect.isgeneratorfunction(method):
                raise TypeError(f"{operation.full_name} yields: an operation returns its output")
            self.handlers[operation.full_name] = Handler(method, is_async, check)

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        assert scope["type"] == "http"
        raw = decode(scope)
        progress = Progress(self._stages.ids.uuid(), raw, protocol_of(raw))
        try:
            reason = fault(scope)
            if reason:
                raise ServiceError("InvalidRequest", reason, status=400)
            response = await self._serve(progress, receive)
        except Exception as error:  # the edge: whatever it is, it is recorded and answered
            response = await self._failed(progress, error)
        await self._send(progress, response, receive, send)

    async def _serve(self, progress: Progress, receive: Receive) -> RawResponse:
        if is_upload(progress.raw):
            return await self._take_upload(progress, receive)
        sender, whole = await self._authenticate(progress, receive)
        _check_bound(progress.raw, sender)
        if whole is None and self._router.reads_form(progress.raw, sender.signing_name):
            whole = await _whole_body(progress.raw, sender, receive)
        is_gzip = progress.raw.header("content-encoding") == "gzip"
        if whole is not None and is_gzip and sender.signing_name in COMPRESSED:
            whole = inflated(whole, BODY_MAX)
        route = self._router.resolve(progress.raw, sender.signing_name, whole or b"")
        progress.protocol, progress.operation = route.protocol, route.operation
        progress.call = self._call(progress, sender)
        if sender.is_bearer and route.operation.service.name not in BEARER_SERVICES:
            raise ServiceError(
                "AccessDeniedException", "A Bedrock API key is not for this service.", status=403
            )
        if route.operation.streams_in is not None and whole is None:
            return await self._perform_streaming(progress, route, sender, receive)
        whose = sender.principal.whose
        if whole is None:
            room = (self._held, whose)
            whole = await _whole_body(progress.raw, sender, receive, route.operation, room)
        self._held.take(whose, len(whole))
        try:
            return await self._perform(progress, route, whole, receive)
        finally:
            self._held.leave(whose, len(whole))

    async def _take_upload(self, progress: Progress, receive: Receive) -> RawResponse:
        """A browser's form: its fields say who sends it, and how it is a PutObject."""
        raw, now = progress.raw, self._stages.clock.now()
        progress.protocol = "rest-xml"
        form = await read_form(raw, receive, self._room)
        progress.claimed_key = form.fields.get("x-amz-credential", "").partition("/")[0][:128]
        sender = self._stages.authenticator.poster(raw, form.fields, now)
        _check_bound(raw, sender)
        progress.operation = operation = self._stages.catalogue.operation("s3.PutObject")
        assert operation is not None
        progress.call = self._call(progress, sender)
        upload = Upload(raw, form)
        progress.params = {"Bucket": upload.bucket, "Key": upload.key}
        size_range = upload.check_policy(now)
        progress.raw = upload.as_put(self._tags_in(upload))
        route = Route(operation, progress.protocol, dict(progress.params))
        response = await self._perform_streaming(
            progress, route, sender, form.receive, lambda s: FilePart(s, form.mark, size_range)
        )
        return upload.answered(response)

    def _tags_in(self, upload: Upload) -> list[dict[str, str]]:
        """A form's tags are the document of PutObjectTagging."""
        document = upload.form.fields.get("tagging", "").encode()
        operation = self._stages.catalogue.operation("s3.PutObjectTagging")
        assert operation is not None
        parsed = self._parsers.parse(Route(operation, "rest-xml"), upload.raw, document)
        return (parsed.get("Tagging") or {}).get("TagSet") or []

    async def _authenticate(
        self, progress: Progress, receive: Receive
    ) -> tuple[Sender, bytes | None]:
        """Who it is; and the body, where the signature could not be checked without it."""
        raw, authenticator = progress.raw, self._stages.authenticator
        now = self._stages.clock.now()
        claim = authenticator.claim(raw)
        if claim is None:
            return authenticator.bearer(raw, now), None
        progress.protocol = protocol_of(raw, claim.scope.service)
        if not needs_body(raw, claim):
            return authenticator.verify(raw, claim, None, now), None
        authenticator.admit(raw, claim, now)
        limit = LARGE_BODY_MAX if raw.raw_path.startswith(LARGE_PATHS) else BODY_MAX
        length = raw.header("content-length")
        body = await read_whole(receive, limit, length, self._room, raw.source)
        sender = authenticator.prove(raw, claim, body, now)
        if raw.header("content-md5") or raw.header("x-amz-trailer"):
            promise = promise_of(raw, "", None, has_sums=False)
            body = CheckedBody(BytesBody(body), promise).read()
        return sender, body

    def _call(self, progress: Progress, sender: Sender, body: Body = EMPTY) -> Call:
        raw, operation = progress.raw, progress.operation
        assert operation is not None
        return Call(
            operation=operation.full_name,
            region=self._stages.region,
            principal=sender.principal,
            request_id=progress.request_id,
            time=self._stages.clock.now(),
            source_ip=raw.source_ip,
            user_agent=raw.header("user-agent") or "",
            secure=raw.secure,
            body=body,
            headers={name: value for name, value in raw.headers if name not in SECRET_HEADERS},
            auth_type=sender.auth_type,
        )

    async def _perform_streaming(
        self,
        progress: Progress,
        route: Route,
        sender: Sender,
        receive: Receive,
        body_in: Callable[[Source], Source] = lambda arriving: arriving,
    ) -> RawResponse:
        """The body is fed to the handler while it arrives, and not before it has a thread."""
        arriving = Arriving(asyncio.get_running_loop())
        promise = promise_of(progress.raw, sender.form, sender.signer)
        progress.call = self._call(progress, sender, CheckedBody(body_in(arriving), promise))
        return await self._perform(progress, route, b"", receive, arriving)

    async def _perform(
        self,
        progress: Progress,
        route: Route,
        body: bytes,
        receive: Receive,
        arriving: Arriving | None = None,
    ) -> RawResponse:
        """From a body to an answer. `receive` tells of a client that goes away meanwhile."""
        operation, call = route.operation, progress.call
        assert call is not None
        progress.params = params = self._parsers.parse(route, progress.raw, body)
        self._validators.validate(operation, params)
        handler = self.handlers.get(operation.full_name)
        if handler is None:
            raise unsupported(operation.full_name)
        handler.check(params)
        progress.params = params = self._stages.authorizer.canonical(call, params)
        self._stages.authorizer.authorize(call, params)
        progress.opened = self._stages.auditor.opened(call, params)
        tokens, given = self._stages.tokens, params
        params = tokens.opened(call, given)
        if arriving is not None:
            output = await self._feed(handler, call, params, receive, arriving) or {}
        else:
            output = await self._dispatch(handler, call, params, receive) or {}
        output = _watched(progress, tokens.sealed(call, given, params, output))
        progress.output = output
        response = self._serializers.serialize(
            operation, route.protocol, output, progress.request_id
        )
        return dressed(response, call, call.notes.status)

    async def _feed(
        self, handler: Handler, call: Call, params: Params, receive: Receive, arriving: Arriving
    ) -> Any:
        threads = self._stages.upload_threads
        async with threads.turn(call.whose):
            pump = asyncio.create_task(arriving.pump(receive))
            try:
                return await threads.in_turn(handler.method, call, params)
            finally:
                pump.cancel()
                arriving.abandon()

    async def _dispatch(
        self, handler: Handler, call: Call, params: Params, receive: Receive
    ) -> Any:
        if not handler.is_async:
            return await self._stages.threads.run(call.whose, handler.method, call, params)
        return await _while_there(handler.method(call, params), receive)

    async def _failed(self, progress: Progress, error: Exception) -> RawResponse:
        """The refusal as the protocol writes it, recorded before it leaves."""
        known = _as_service_error(error, progress)
        progress.code = known.code
        recorded = self._record_refusal(progress, known)
        if recorded is not None:
            with contextlib.suppress(Unavailable):  # it is refused either way
                await asyncio.wrap_future(recorded)
        response = serialize_error(
            progress.operation,
            progress.protocol,
            known,
            progress.request_id,
            is_head=progress.raw.method == "HEAD",
        )
        after_s = getattr(error, "retry_after_s", None)  # no bug of ours has it
        if after_s is not None:
            headers = (*response.headers, ("retry-after", str(max(1, round(after_s)))))
            response = RawResponse(status=response.status, headers=headers, body=response.body)
        return dressed(response, progress.call) if progress.call else response

    def _record_refusal(self, progress: Progress, error: ServiceError) -> "Future[Any] | None":
        """The record of a call that had no effect; None for one whose record is open already, and
        for a stranger's that is only counted."""
        auditor = self._stages.auditor
        if progress.opened is not None:
            return None
        try:
            if progress.call is not None:
                return auditor.denied(progress.call, progress.params, error.code)
            return self.rejections.record(_facts(progress), error.code)
        except Unavailable:
            return None

    async def _in_thread(self, progress: Progress, work: Callable[[Any], Any], of: Any) -> Any:
        """One step of an answer that streams: it is under way, so its turn is waited for."""
        assert progress.call is not None
        threads = self._stages.threads
        async with threads.turn(progress.call.whose, wait_s=None):
            return await threads.in_turn(work, of)

    async def _send(
        self, progress: Progress, response: RawResponse, receive: Receive, send: Send
    ) -> None:
        status = response.status
        try:
            if progress.opened is not None:
                try:
                    await asyncio.wrap_future(progress.opened)
                except Exception as error:  # whatever it is: what is not recorded is not answered
                    await discard(progress.output)
                    response = await self._failed(progress, error)
                    status = response.status
            await send_response(response, receive, send, partial(self._in_thread, progress))
        except Exception:  # recorded as a failure; uvicorn closes the connection
            progress.code = progress.code or "InternalFailure"
            raise
        finally:
            if progress.opened is not None and progress.call is not None:
                self._stages.auditor.closed(progress.call, status, progress.code)


def decode(scope: dict[str, Any]) -> RawRequest:
    """The ASGI scope as a request, with nothing decoded that decides anything."""
    client, bound = scope.get("client"), scope.get(BOUND)
    return RawRequest(
        method=scope["method"],
        raw_path=scope["raw_path"].decode("latin-1"),
        raw_query=scope["query_string"].decode("latin-1"),
        headers=tuple(
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ),
        secure=scope["scheme"] == "https" or bound is not None,  # it never left this machine
        source_ip=client[0] if client and bound is None else "",
        bound=bound,
    )


def _check_bound(raw: RawRequest, sender: Sender) -> None:
    """At a side door every other key is as one that is not known: what is in a sandbox at a label
    would else go out by a lower one's, or another agency's, which it brought along. And a door's
    keys are known nowhere else."""
    if raw.bound is None:
        is_known = BEHIND not in sender.principal.facts
    else:
        is_known = raw.bound.admits(sender.principal)
    if not is_known:
        raise refusals_for(raw, sender.signing_name).unknown_key()


def _watched(progress: Progress, output: Params) -> Params:
    def broke(error: ServiceError | Unavailable) -> None:
        progress.code = _as_service_error(error, progress).code

    streams = {name: Watched(one, broke) for name, one in output.items() if _is_stream(one)}
    return {**output, **streams} if streams else output


def _is_stream(value: Any) -> bool:
    return hasattr(value, "__anext__")


async def _while_there(work: Awaitable[Any], receive: Receive) -> Any:
    """Do `work` for as long as its client is there to be answered."""
    task = asyncio.current_task()
    assert task is not None
    leaving = asyncio.ensure_future(gone(receive))

    def stop(_: "asyncio.Future[None]") -> None:
        task.cancel()

    leaving.add_done_callback(stop)
    try:
        return await work
    except asyncio.CancelledError:
        if not leaving.done():
            raise
        task.uncancel()
        raise ServiceError("RequestTimeout", "The client has gone away.", status=400) from None
    finally:
        leaving.remove_done_callback(stop)
        leaving.cancel()


async def _whole_body(
    raw: RawRequest,
    sender: Sender,
    receive: Receive,
    operation: Operation | None = None,
    room: tuple[Room | None, str] = (None, ""),
) -> bytes:
    """A known sender's body. Only an operation with checksums has those of its body in headers."""
    size_max, has_sums = BODY_MAX, False
    if operation is not None:
        size_max = LARGE_BODY_MAX if operation.full_name in LARGE else BODY_MAX
        has_sums = "requestAlgorithmMember" in operation.model.http_checksum
    body = await read_whole(receive, size_max, raw.header("content-length"), *room)
    promise = promise_of(raw, sender.form, sender.signer, has_sums=has_sums)
    return CheckedBody(BytesBody(body), promise).read()


def _facts(progress: Progress) -> dict[str, str]:
    raw = progress.raw
    return {
        "request_id": progress.request_id,
        "method": raw.method,
        "path": raw.raw_path[:1024],
        "source_ip": raw.source,
        "user_agent": (raw.header("user-agent") or "")[:512],
        "access_key_id": progress.claimed_key or _claimed_key(raw),
    }


def _claimed_key(raw: RawRequest) -> str:
    header = raw.header("authorization") or ""
    return header.partition("Credential=")[2].partition("/")[0][:128]


def _as_service_error(error: Exception, progress: Progress) -> ServiceError:
    """Our own bugs are logged with their cause, and answered without any."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, Unavailable):
        if isinstance(error, Throttled):
            code = _THROTTLED.get(progress.protocol, "ThrottlingException")
            return ServiceError(code, "Please reduce your request rate.", status=503)
        code = _UNAVAILABLE.get(progress.protocol, "ServiceUnavailableException")
        return ServiceError(code, NOT_NOW, status=503)
    logger.error("request %s failed", progress.request_id, exc_info=error)
    is_xml = progress.protocol in ("rest-xml", "query")
    code = "InternalError" if progress.protocol == "rest-xml" else "InternalFailure"
    message = "We encountered an internal error. Please try again."
    return ServiceError(code, message if is_xml else "Internal failure.", status=500)
