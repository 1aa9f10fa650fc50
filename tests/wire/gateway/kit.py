"""A gateway with stub neighbours: one key, one session, one bearer key; everything is recorded.

`Request` is signed by botocore's own signers, at any time and for any scope; `ask` runs one
request through the ASGI application without a socket.
"""

import asyncio
import hashlib
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from botocore.auth import S3SigV4Auth, S3SigV4QueryAuth, SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from bastide.kernel.call import Call, Credential, Principal, PrincipalKind
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.ids import SeededIds
from bastide.kernel.operation import operation
from bastide.kernel.regions import Region
from bastide.wire.authenticate import Authenticator
from bastide.wire.gateway import Gateway, Stages
from bastide.wire.model import EVERY, Catalogue
from bastide.wire.page_tokens import PageTokens
from bastide.wire.pool import Pool
from tests.labels_kit import UNCLASSIFIED, at
from tests.stores import FakeKeyring

KEY, SECRET = "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
SESSION_KEY, SESSION_SECRET, TOKEN = "ASIAIOSFODNN7EXAMPLE", "session/secret", "token//of+session="
BEARER = "bedrock-api-key-0123456789"
REGION = Region("us-gov-west-1", "aws-us-gov", "amazonaws.com")
NOW = datetime(2026, 11, 23, 4, 0, 0, tzinfo=UTC)
HOST = "localhost:4566"
CATALOGUE = Catalogue()
SIGNING = frozenset(CATALOGUE.service(name).signing_name for name in EVERY)
PRINCIPAL = Principal(
    account="123456789012",
    arn="arn:aws-us-gov:iam::123456789012:user/alice",
    user_id="AIDAEXAMPLE",
    kind=PrincipalKind.USER,
    issuer_arn="arn:aws-us-gov:iam::123456789012:user/alice",
    name="alice",
    access_key_id=KEY,
    **UNCLASSIFIED,
)


OTHER_KEY = "AKIAIOSFODNN7OTHER00"
OTHER = replace(PRINCIPAL, account="210987654321", access_key_id=OTHER_KEY)
SECRET_KEY = "AKIAIOSFODNN7SECRET0"  # the same agency, at another label
AT_SECRET = replace(PRINCIPAL, access_key_id=SECRET_KEY, **at("S"))


class StubCredentials:
    def __init__(self) -> None:
        self.finds = 0

    def find(self, access_key_id, session_token, now):
        self.finds += 1
        if (access_key_id, session_token) == (KEY, None):
            return Credential(SECRET, PRINCIPAL)
        if (access_key_id, session_token) == (OTHER_KEY, None):
            return Credential(SECRET, OTHER)
        if (access_key_id, session_token) == (SECRET_KEY, None):
            return Credential(SECRET, AT_SECRET)
        if (access_key_id, session_token) == (SESSION_KEY, TOKEN):
            return Credential(SESSION_SECRET, PRINCIPAL)
        return None

    def bearer(self, token, now):
        return PRINCIPAL if token == BEARER else None


class StubAuthorizer:
    denies = False

    def canonical(self, call, params):
        return params

    def authorize(self, call, params):
        if self.denies:
            raise ServiceError("AccessDenied", "No policy allows it.", status=403)


class StubAuditor:
    """Records are durable at once, unless `holds`: then whoever tests resolves them."""

    def __init__(self) -> None:
        self.events: list[tuple[str, str, str]] = []
        self.held: list[Future] = []
        self.holds = self.unavailable = False
        self.facts: list[dict[str, str]] = []

    def _take(self, kind: str, what: str, code: str = "") -> Future:
        if self.unavailable:
            raise Unavailable("the audit log", 7)
        self.events.append((kind, what, code))
        future: Future = Future()
        if self.holds:
            self.held.append(future)
        else:
            future.set_result(len(self.events))
        return future

    def opened(self, call, params):
        return self._take("opened", call.operation)

    def denied(self, call, params, code):
        return self._take("denied", call.operation, code)

    def rejected(self, facts, code):
        self.facts.append(dict(facts))
        return self._take("rejected", facts["path"], code)

    def further_rejected(self, source, count, since):
        return self._take("further", source, str(count))

    def closed(self, call, status, code):
        self.events.append(("closed", f"{call.operation} {status}", code))

    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.events]


@dataclass
class Handlers:
    """What every stub handler does to show that it was reached."""

    reached: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    failure: Exception | None = None
    closed: list[str] = field(default_factory=list)
    gate: threading.Event = field(default_factory=threading.Event)

    def reach(self, call: Call) -> None:
        self.reached.append(call.operation)
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure


@dataclass
class S3:
    all: Handlers

    @operation("Bucket", "Key", "Body", "ContentLength", "Metadata", "ContentType",
               "ChecksumAlgorithm", "ChecksumCRC32", "ChecksumCRC32C", "ChecksumCRC64NVME",
               "ChecksumSHA1", "ChecksumSHA256", "ContentMD5", "ContentEncoding",
               "ContentDisposition")  # fmt: skip
    def put_object(self, call, req):
        self.all.reach(call)
        if (call.body.declared_size or 0) > 1 << 30:
            raise ServiceError("EntityTooLarge", "Too large.", status=400)
        size, digest = 0, hashlib.sha256()
        while part := call.body.read(1 << 16):
            size += len(part)
            digest.update(part)
        self.all.bodies.append(b"%d %s" % (size, digest.hexdigest().encode()))
        return {"ETag": '"e"', **{f"Checksum{k}": v for k, v in call.body.checksums.items()}}

    @operation("Bucket", "Key", "Range", "ChecksumMode", "ResponseContentType")
    def get_object(self, call, req):
        self.all.reach(call)
        size = int(req["Key"]) if req["Key"].isdigit() else 5
        return {"Body": self._parts(size), "ContentLength": size}

    def _parts(self, size):
        try:
            while size:
                part = b"x" * min(size, 1 << 16)
                size -= len(part)
                yield part
        finally:
            self.all.closed.append("get_object")

    @operation("MaxBuckets", "Prefix")
    def list_buckets(self, call, req):
        self.all.reach(call)
        if req.get("Prefix") == "slow":
            self.all.gate.wait(60)
        return {"Buckets": []}

    @operation("Bucket", "Delete", "ChecksumAlgorithm")
    def delete_objects(self, call, req):
        self.all.reach(call)
        return {}

    @operation("Bucket", "Key", "UploadId", "MultipartUpload", "ChecksumCRC32")
    def complete_multipart_upload(self, call, req):
        self.all.reach(call)
        return {"ETag": '"e"'}


@dataclass
class SageMaker:
    all: Handlers

    @operation("MaxResults", "NameContains")
    def list_training_jobs(self, call, req):
        self.all.reach(call)
        return {"TrainingJobSummaries": []}

    @operation("ModelName", "ExecutionRoleArn", "PrimaryContainer", "Tags")
    def create_model(self, call, req):
        self.all.reach(call)
        return {"ModelArn": "arn:aws-us-gov:sagemaker:us-gov-west-1:123456789012:model/m"}


@dataclass
class Sts:
    all: Handlers

    @operation()
    def get_caller_identity(self, call, req):
        self.all.reach(call)
        return {"Account": call.account, "Arn": call.principal.arn, "UserId": "A"}


@dataclass
class CloudWatch:
    all: Handlers

    @operation("Namespace", "MetricData", "EntityMetricData", "StrictEntityValidation")
    def put_metric_data(self, call, req):
        self.all.reach(call)
        self.all.bodies.append(str(len(req.get("MetricData", []))).encode())
        return {}

    @operation("Namespace", "MetricName")
    def list_metrics(self, call, req):
        self.all.reach(call)
        return {"Metrics": []}


@dataclass
class Runtime:
    all: Handlers

    @operation("body", "modelId", "contentType", "accept")
    async def invoke_model(self, call, req):
        self.all.reach(call)
        if req["modelId"] == "slow":
            try:
                await asyncio.sleep(60)
            finally:
                self.all.closed.append("invoke_model")
        return {"body": b"{}", "contentType": "application/json"}

    @operation("modelId", "messages", "system", "inferenceConfig")
    async def converse_stream(self, call, req):
        self.all.reach(call)
        return {"stream": self._events(endless=req["modelId"] == "endless")}

    async def _events(self, *, endless):
        try:
            yield {"messageStart": {"role": "assistant"}}
            while endless:
                await asyncio.sleep(0.01)
                yield {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "x"}}}
            yield {"messageStop": {"stopReason": "end_turn"}}
        finally:
            self.all.closed.append("converse_stream")


@dataclass
class Mantle:
    all: Handlers

    @operation("model", "messages", "stream", "max_tokens")
    async def create_chat_completion(self, call, req):
        return self._answer(call, req)

    @operation("model", "messages", "stream", "max_tokens")
    async def create_message(self, call, req):
        return self._answer(call, req)

    @operation()
    def list_models(self, call, req):
        self.all.reach(call)
        return {"body": {"data": []}}

    def _answer(self, call, req):
        self.all.reach(call)
        if req.get("stream"):
            return {"events": self._events(req["model"])}
        return {"body": {"model": req["model"]}}

    async def _events(self, model):
        try:
            yield {"type": "begun", "text": "\udc80"}
            while model == "endless":
                await asyncio.sleep(0.01)
                yield {"n": 1}
            if model == "broken":
                raise ServiceError("ModelStreamErrorException", "It broke.")
            yield "[DONE]"
        finally:
            self.all.closed.append(f"mantle {model}")


@dataclass
class Bedrock:
    all: Handlers

    @operation("byProvider")
    def list_foundation_models(self, call, req):
        self.all.reach(call)
        return {"modelSummaries": []}


@dataclass
class Agents:
    all: Handlers

    @operation("maxResults")
    def list_agents(self, call, req):
        self.all.reach(call)
        return {"agentSummaries": []}

    @operation("agentId", "agentVersion", "actionGroupId")
    def delete_agent_action_group(self, call, req):
        self.all.reach(call)
        return {}


SERVED = {"s3": S3, "sagemaker": SageMaker, "sts": Sts, "cloudwatch": CloudWatch,
          "bedrock-runtime": Runtime, "bedrock": Bedrock, "bedrock-agent": Agents,
          "bedrock-mantle": Mantle}  # fmt: skip


class World:
    """One gateway and its neighbours."""

    def __init__(self, *, clock: Any = None, allow_plain: bool = False) -> None:
        self.clock = clock or ManualClock(NOW)
        self.credentials, self.authorizer = StubCredentials(), StubAuthorizer()
        self.auditor, self.handlers = StubAuditor(), Handlers()
        self.pools = [Pool(4, "test-handler"), Pool(4, "test-upload")]
        regions = {"": frozenset({REGION.name}), "iam": frozenset({"us-gov-west-1"})}
        self.authenticator = Authenticator(
            credentials=self.credentials, services=SIGNING, regions=regions, allow_plain=allow_plain
        )
        self.gateway = Gateway(
            Stages(
                region=REGION,
                clock=self.clock,
                ids=SeededIds(),
                catalogue=CATALOGUE,
                authenticator=self.authenticator,
                authorizer=self.authorizer,
                auditor=self.auditor,
                tokens=PageTokens(FakeKeyring()),
                threads=self.pools[0],
                upload_threads=self.pools[1],
            )
        )
        for service, made in SERVED.items():
            self.gateway.register(service, made(self.handlers))

    def close(self) -> None:
        for pool in self.pools:
            pool.close()

    def ask(self, request: "Request", **options: Any) -> "Answer":
        return asyncio.run(ask(self.gateway, request, **options))


@dataclass
class Request:
    """An HTTP request that can be signed, and altered before or after."""

    method: str = "GET"
    target: str = "/"
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    service: str = "s3"
    scheme: str = "https"
    version: str = "1.1"

    def set(self, name: str, value: str | None) -> "Request":
        self.headers = [(k, v) for k, v in self.headers if k.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))
        return self

    def get(self, name: str) -> str:
        return next(v for k, v in self.headers if k.lower() == name.lower())

    def sign(self, *, key=KEY, secret=SECRET, token=None, at=NOW, region=REGION.name,
             service=None, form=None) -> "Request":  # fmt: skip
        """`form`: instead of the body's hash."""
        is_s3 = self.service == "s3"
        signer = (S3SigV4Auth if is_s3 else SigV4Auth)(
            BotoCredentials(key, secret, token), service or self.service, region
        )
        self.set("host", HOST)
        if form is not None:
            signer.payload = lambda _: form
            if not is_s3:
                self.set("x-amz-content-sha256", form)
        made = self._sign(signer, at)
        self.headers = [("host", HOST)] + [
            (k, v) for k, v in made.headers.items() if k.lower() != "host"
        ]
        if self.body and not any(k.lower() == "transfer-encoding" for k, _ in self.headers):
            self.set("content-length", str(len(self.body)))
        return self

    def presign(self, *, key=KEY, secret=SECRET, token=None, at=NOW, region=REGION.name,
                expires=900) -> "Request":  # fmt: skip
        kind = S3SigV4QueryAuth if self.service == "s3" else SigV4QueryAuth
        signer = kind(BotoCredentials(key, secret, token), self.service, region, expires=expires)
        self.set("host", HOST)
        body, self.body = self.body, b""  # botocore would move a form into the query
        made = self._sign(signer, at)
        self.body = body
        self.target = made.url.removeprefix(f"https://{HOST}")
        return self

    def _sign(self, signer: Any, at: datetime) -> AWSRequest:
        made = AWSRequest(self.method, f"https://{HOST}{self.target}", data=self.body)
        for name, value in self.headers:
            made.headers[name] = value
        made.context["timestamp"] = at.strftime("%Y%m%dT%H%M%SZ")
        signer._modify_request_before_signing(made)
        canonical = signer.canonical_request(made)
        text = signer.string_to_sign(made, canonical)
        signer._inject_signature_to_request(made, signer.signature(text, made))
        return made

    def scope(self) -> dict[str, Any]:
        path, _, query = self.target.partition("?")
        return {
            "type": "http",
            "method": self.method,
            "http_version": self.version,
            "scheme": self.scheme,
            "raw_path": path.encode("latin-1"),
            "query_string": query.encode("latin-1"),
            "headers": [
                (k.lower().encode("latin-1"), v.encode("latin-1")) for k, v in self.headers
            ],
            "client": ("192.0.2.7", 4711),
        }

    def wire(self) -> bytes:
        lines = [f"{self.method} {self.target} HTTP/{self.version}"]
        lines += [f"{k}: {v}" for k, v in self.headers]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + self.body


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


async def ask(application: Any, request: Request, *, part: int = 1 << 16) -> Answer:
    """One request through the application."""
    parts = [request.body[i : i + part] for i in range(0, len(request.body), part)] or [b""]
    queue = [
        {"type": "http.request", "body": one, "more_body": index + 1 < len(parts)}
        for index, one in enumerate(parts)
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if queue:
            return queue.pop(0)
        await asyncio.sleep(30)
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(request.scope(), receive, send)
    assert [m["type"] for m in sent].count("http.response.start") == 1
    headers = {k.decode(): v.decode() for k, v in sent[0]["headers"]}
    return Answer(sent[0]["status"], headers, b"".join(m.get("body", b"") for m in sent[1:]))
