"""Which operation a request means, on the raw path and the raw host.

A model id's `%2F`, a trailing slash and a query parameter without a value all decide here, so
nothing is decoded or normalised before. The credential scope's service narrows the candidates;
four Bedrock services sign as `bedrock` and are told apart by host, path prefix, path and ARN.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

from bastide.kernel.errors import ServiceError
from bastide.wire import mantle
from bastide.wire.model import EVERY, Catalogue, Operation, Service
from bastide.wire.rest_paths import PathTree, Rest, decoded, split
from bastide.wire.types import RawRequest

QUERY_FIELDS_MAX = 1000
FORM_FIELDS_MAX = 10_000
SHOWN_MAX = 128
CBOR = "smithy-rpc-v2-cbor"
REST = ("rest-json", "rest-xml", mantle.OPENAI)
# Services that sign as `bedrock` too and share paths with it, and that are not here.
ELSEWHERE = frozenset({"bedrock-data-automation", "bedrock-data-automation-runtime"})
# `bucket.s3.REGION.SUFFIX`, `bucket.s3-fips.…`, `bucket.s3-REGION.…`, `bucket.s3.localhost`
_VIRTUAL_HOST = re.compile(r"(.+)\.s3(?!-object-lambda)(?:-[a-z0-9-]+)?\.")


@dataclass(frozen=True, slots=True)
class Route:
    """The operation, how its request is written, and the parameters that are not in the body."""

    operation: Operation
    protocol: str
    uri: Mapping[str, str] = field(default_factory=dict)
    query: Sequence[tuple[str, str]] = ()
    form: Mapping[str, str] = field(default_factory=dict)


class Router:
    """Resolves requests of all services on one host and port."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._groups: dict[str, _Group] = {}
        for name in EVERY:
            service = catalogue.service(name)
            group = self._groups.setdefault(service.signing_name, _Group())
            group.add(service)
        self._groups["bedrock"].add(catalogue.service(mantle.NAME))  # as AWS's runtime has it

    def reads_form(self, raw: RawRequest, signing_name: str) -> bool:
        """Whether the operation's name is in the body."""
        group = self._groups.get(signing_name)
        return group is not None and group.form_of(raw) is not None

    def resolve(self, raw: RawRequest, signing_name: str, form: bytes = b"") -> Route:
        """The route of a request; `form` is the body where `reads_form` says so."""
        group = self._groups.get(signing_name)
        if group is None:
            raise _unknown(f"Nothing here is signed for {signing_name[:SHOWN_MAX]}.")
        target = raw.header("x-amz-target")
        if target is not None and group.targets:
            return _by_target(target, group.targets)
        if group.speaks_cbor and raw.raw_path.startswith("/service/"):
            return _by_rpc(raw.raw_path, group.targets)
        service = group.form_of(raw)
        if service is not None:
            return _by_form(service, raw, form)
        return group.by_path(raw)


class _Group:
    """The services that sign with one name."""

    def __init__(self) -> None:
        self.targets: dict[str, Service] = {}
        self.speaks_cbor = False
        self._form: Service | None = None
        self._trees: dict[str, PathTree] = {}
        self._hosts: dict[str, str] = {}

    def add(self, service: Service) -> None:
        if service.target_prefix:
            self.targets[service.target_prefix] = service
        self.speaks_cbor |= CBOR in service.protocols
        if "query" in service.protocols:
            self._form = service
        self._hosts[service.endpoint_prefix.partition(".")[0]] = service.name
        if service.protocol in REST:
            self._trees[service.name] = PathTree(service)

    def form_of(self, raw: RawRequest) -> Service | None:
        """The service of the query protocol, if the request is one of it."""
        if self._form is None or raw.header("x-amz-target") is not None:
            return None
        is_rpc = self.speaks_cbor and raw.raw_path.startswith("/service/")
        return None if is_rpc else self._form

    def by_path(self, raw: RawRequest) -> Route:
        host = host_of(raw)
        names, path = self._narrowed(host, raw.raw_path)
        is_s3 = "s3" in self._trees
        segments = split(with_bucket(host, path) if is_s3 else path)
        pairs = query_pairs(raw.raw_query)
        query = dict(pairs)
        headers = frozenset(name for name, _ in raw.headers)
        ranked: list[tuple[tuple[int, ...], Rest]] = []
        for name in names:
            for rest in self._trees[name].find(raw.method, segments):
                rank = rest.rank(query, headers)
                if rank is not None:
                    ranked.append(((rest.depth, *rank), rest))
        if not ranked:
            raise _no_method(raw) if is_s3 else _unknown(_nothing_at(raw))
        best = max(rank for rank, _ in ranked)
        rests = [rest for rank, rest in ranked if rank == best]
        try:
            rest = rests[0] if len(rests) == 1 else _told_apart(rests, host, segments)
            labels = rest.labels(segments)
        except UnicodeDecodeError as error:
            message = "Couldn't parse the specified URI."
            raise ServiceError("InvalidURI", message, status=400) from error
        return Route(rest.operation, rest.operation.protocol, labels, pairs)

    def _narrowed(self, host: str, path: str) -> tuple[Sequence[str], str]:
        """The services that the host or the path's first segment names, and the path without it:
        `bedrock-agent.us-gov-west-1.amazonaws.com`, or an endpoint URL ending `/bedrock-agent`.
        A host that names a service which is not here has no operations here."""
        if len(self._trees) <= 1:
            return tuple(self._trees), path
        first = path[1:].partition("/")[0]
        if first in self._trees:
            return (first,), path[1 + len(first) :] or "/"
        label = host.partition(".")[0].removesuffix("-fips")
        name = self._hosts.get(label)
        if name is not None:
            names = (name, mantle.NAME) if name == "bedrock-runtime" else (name,)
            return tuple(each for each in names if each in self._trees), path
        return (() if label in ELSEWHERE else tuple(self._trees)), path


def _unknown(message: str) -> ServiceError:
    return ServiceError("UnknownOperationException", message, status=404)


def _nothing_at(raw: RawRequest) -> str:
    return f"There is no operation {raw.method[:SHOWN_MAX]} {raw.raw_path[:SHOWN_MAX]}."


def _no_method(raw: RawRequest) -> ServiceError:
    return ServiceError(
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
        status=405,
        members={"Method": raw.method[:SHOWN_MAX], "ResourceType": "SERVICE"},
    )


def _by_target(target: str, targets: Mapping[str, Service]) -> Route:
    prefix, _, name = target.rpartition(".")
    service = targets.get(prefix)
    operation = service.operation(name) if service is not None else None
    if operation is None:
        raise _unknown(f"There is no operation {target[:SHOWN_MAX]}.")
    return Route(operation, "json")


def _by_rpc(path: str, targets: Mapping[str, Service]) -> Route:
    parts = path.split("/")  # /service/NAME/operation/NAME
    service = targets.get(parts[2]) if len(parts) == 5 and parts[3] == "operation" else None
    operation = service.operation(parts[4]) if service is not None else None
    if operation is None:
        raise _unknown(f"There is no operation at {path[:SHOWN_MAX]}.")
    return Route(operation, CBOR)


def _by_form(service: Service, raw: RawRequest, body: bytes) -> Route:
    text = body + b"&" + raw.raw_query.encode("latin-1") if raw.raw_query else body
    form = dict(_pairs(text, FORM_FIELDS_MAX, "MalformedInput"))
    name, version = form.get("Action", ""), form.get("Version", service.api_version)
    operation = service.operation(name) if version == service.api_version else None
    if operation is None:
        raise ServiceError(
            "InvalidAction",
            f"Could not find operation {name[:SHOWN_MAX]} for version {version[:SHOWN_MAX]}",
            status=400,
        )
    return Route(operation, "query", form=form)


def query_pairs(raw_query: str) -> Sequence[tuple[str, str]]:
    """The query string's parameters in their order, decoded."""
    if not raw_query:
        return ()
    return _pairs(raw_query.encode("latin-1"), QUERY_FIELDS_MAX, "InvalidArgument")


def _pairs(text: bytes, fields_max: int, code: str) -> Sequence[tuple[str, str]]:
    try:
        return parse_qsl(
            text.decode(), keep_blank_values=True, errors="strict", max_num_fields=fields_max
        )
    except ValueError as error:
        raise ServiceError(code, "The parameters are malformed or too many.", status=400) from error


def _told_apart(rests: Sequence[Rest], host: str, segments: Sequence[str]) -> Rest:
    """Which of several operations of one path. ListDirectoryBuckets has a host of its own. Of
    `/tags/{resourceArn}`, a session's ARN is bedrock-agent-runtime's, all others bedrock-agent's.
    """
    if rests[0].operation.service.name == "s3":
        is_directory = host.startswith("s3express-control.")
        return next(r for r in rests if ("Directory" in r.operation.name) == is_directory)
    is_session = ":session/" in decoded(segments[-1])
    owner = "bedrock-agent-runtime" if is_session else "bedrock-agent"
    return next((rest for rest in rests if rest.operation.service.name == owner), rests[0])


def host_of(raw: RawRequest) -> str:
    """The host without its port, in lower case."""
    host = (raw.header("host") or "").lower()
    return host.rpartition(":")[0] if re.search(r":\d*\Z", host) else host


def with_bucket(host: str, path: str) -> str:
    """The path with the bucket of a virtual-host request put in front: `b.s3.REGION.SUFFIX`,
    `b.s3.localhost`, `b.localhost`. `/b/` is the bucket too, as S3 reads it."""
    found = _VIRTUAL_HOST.match(host)
    bucket = found.group(1) if found else ""
    if not found and host.endswith(".localhost") and not host.startswith("s3."):
        bucket = host.removesuffix(".localhost")
    whole = f"/{bucket}{path}" if bucket else path
    return whole[:-1] if whole.count("/") == 2 and whole.endswith("/") else whole
