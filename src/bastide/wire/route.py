"""Which operation a request means, on the raw path and the raw host.

A model id's `%2F`, a trailing slash and a query parameter without a value all decide here, so
nothing is decoded or normalised before. The credential scope's service narrows the candidates;
four Bedrock services sign as `bedrock` and are told apart by host, path and ARN.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from bastide.kernel.errors import ServiceError
from bastide.wire.model import SERVICES, Catalogue, Operation, Service
from bastide.wire.types import RawRequest

FORM_ITEMS_MAX = 10_000
REST = ("rest-json", "rest-xml")


@dataclass(frozen=True, slots=True)
class Route:
    """The operation, how its request is written, and the parameters that the path holds."""

    operation: Operation
    protocol: str
    uri: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Rest:
    """A REST operation's path, as segments, and what else it needs to be the one meant."""

    operation: Operation
    segments: tuple[str, ...]
    greedy: bool
    literals: tuple[tuple[str, str | None], ...]
    needs: tuple[tuple[str, str], ...]  # ("querystring" | "header", wire name)

    def score(self, query: Mapping[str, str], headers: frozenset[str]) -> int:
        """How well it fits; -1 if something that it needs is not there."""
        for name, value in self.literals:
            if name not in query or (value and query[name] != value):
                return -1
        for where, name in self.needs:
            if name not in (query if where == "querystring" else headers):
                return -1
        return len(self.literals) * 2 + len(self.needs)


class Router:
    """Resolves requests of all services on one host and port."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._by_signing: dict[str, list[Service]] = {}
        self._targets: dict[str, Service] = {}
        self._tables: dict[str, dict[tuple[str, int], list[_Rest]]] = {}
        for name in SERVICES:
            service = catalogue.service(name)
            self._by_signing.setdefault(service.signing_name, []).append(service)
            if service.target_prefix:
                self._targets[service.target_prefix] = service
            if service.protocol in REST:
                self._tables[name] = _table(service)

    @property
    def signing_names(self) -> frozenset[str]:
        return frozenset(self._by_signing)

    def reads_form(self, raw: RawRequest, signing_name: str) -> bool:
        """Whether the operation's name is in the body."""
        services = self._by_signing.get(signing_name, [])
        return (
            any("query" in service.protocols for service in services)
            and raw.header("x-amz-target") is None
            and not raw.raw_path.startswith("/service/")
        )

    def resolve(self, raw: RawRequest, signing_name: str, form: bytes = b"") -> Route:
        """The route of a request; `form` is the body where `reads_form` says so."""
        services = self._by_signing.get(signing_name)
        if not services:
            raise _unknown(f"Nothing here is signed for {signing_name}.")
        target = raw.header("x-amz-target")
        if target is not None:
            return self._by_target(target, services)
        if raw.raw_path.startswith("/service/"):
            return self._by_rpc(raw.raw_path, services)
        if self.reads_form(raw, signing_name):
            return _by_form(raw, services, form)
        return self._by_path(raw, services)

    def _by_target(self, target: str, services: Sequence[Service]) -> Route:
        prefix, _, name = target.rpartition(".")
        service = self._targets.get(prefix)
        if service is not None and service in services:
            operation = service.operation(name)
            if operation is not None:
                return Route(operation, "json")
        raise _unknown(f"There is no operation {target[:128]}.")

    def _by_rpc(self, path: str, services: Sequence[Service]) -> Route:
        parts = path.split("/")  # /service/NAME/operation/NAME
        if len(parts) == 5 and parts[3] == "operation":
            service = self._targets.get(parts[2])
            if service is not None and service in services:
                operation = service.operation(parts[4])
                if operation is not None:
                    return Route(operation, "smithy-rpc-v2-cbor")
        raise _unknown(f"There is no operation at {path[:128]}.")

    def _by_path(self, raw: RawRequest, services: Sequence[Service]) -> Route:
        query = dict(parse_qsl(raw.raw_query, keep_blank_values=True, max_num_fields=1000))
        headers = frozenset(name for name, _ in raw.headers)
        path = raw.raw_path
        if services[0].name == "s3":
            path = _with_bucket(raw, path)
        found: list[tuple[int, _Rest]] = []
        for service in _narrowed(raw, services):
            found += _matching(self._tables[service.name], raw.method, path, query, headers)
        if not found:
            raise _unknown(f"There is no operation {raw.method} {raw.raw_path[:128]}.")
        best = max(score for score, _ in found)
        rests = [rest for score, rest in found if score == best]
        rest = rests[0] if len(rests) == 1 else _by_name(rests, raw, path)
        return Route(rest.operation, rest.operation.service.protocol, _labels(rest, path))


def _unknown(message: str) -> ServiceError:
    return ServiceError("UnknownOperationException", message, status=404)


def _table(service: Service) -> dict[tuple[str, int], list[_Rest]]:
    """REST operations by method and number of segments; greedy ones under every number below."""
    table: dict[tuple[str, int], list[_Rest]] = {}
    for operation in service.operations.values():
        if operation.model.deprecated and service.name == "s3":
            continue  # GetBucketLifecycle and its kind share their path with what replaced them
        rest = _rest(operation)
        key = (operation.method, -1 if rest.greedy else len(rest.segments))
        table.setdefault(key, []).append(rest)
    return table


def _rest(operation: Operation) -> _Rest:
    path, _, query = operation.uri.partition("?")
    segments = tuple(path.split("/")[1:])
    literals = tuple(
        (name, value or None) for name, value in parse_qsl(query, keep_blank_values=True)
    )
    needs: list[tuple[str, str]] = []
    if operation.input is not None:
        for name in operation.input.required_members:
            shape = operation.input.members[name]
            where = shape.serialization.get("location", "")
            if where in ("querystring", "header"):
                wire_name = shape.serialization.get("name", name)
                needs.append((where, wire_name.lower() if where == "header" else wire_name))
    greedy = bool(segments) and segments[-1].endswith("+}")
    return _Rest(operation, segments, greedy, literals, tuple(needs))


def _matching(
    table: Mapping[tuple[str, int], list[_Rest]],
    method: str,
    path: str,
    query: Mapping[str, str],
    headers: frozenset[str],
) -> list[tuple[int, _Rest]]:
    segments = path.split("/")[1:]
    found = []
    for rest in (*table.get((method, len(segments)), ()), *table.get((method, -1), ())):
        literal = _fit(rest, segments)
        if literal < 0:
            continue
        score = rest.score(query, headers)
        if score >= 0:
            found.append((literal * 100 + score, rest))
    return found


def _fit(rest: _Rest, segments: Sequence[str]) -> int:
    """How many literal segments agree; -1 when the path is another one."""
    if rest.greedy and len(segments) < len(rest.segments):
        return -1
    literal = 0
    for want, have in zip(rest.segments, segments, strict=False):
        if want.startswith("{"):
            if not have and not (rest.greedy and want.endswith("+}")):
                return -1
        elif want == have:
            literal += 1
        else:
            return -1
    if (
        rest.greedy
        and not "".join(segments[len(rest.segments) - 1 :])
        and (len(segments) == len(rest.segments))
    ):
        return -1  # an empty key is the bucket itself
    return literal


def _labels(rest: _Rest, path: str) -> dict[str, str]:
    segments = path.split("/")[1:]
    labels: dict[str, str] = {}
    for index, want in enumerate(rest.segments):
        if not want.startswith("{"):
            continue
        if want.endswith("+}"):
            labels[want[1:-2]] = unquote("/".join(segments[index:]))
        else:
            labels[want[1:-1]] = unquote(segments[index])
    return labels


def _by_name(rests: Sequence[_Rest], raw: RawRequest, path: str) -> _Rest:
    """Which of several operations of one path. ListDirectoryBuckets has a host of its own. Of
    `/tags/{resourceArn}`, a session's ARN is bedrock-agent-runtime's, all others bedrock-agent's.
    """
    if rests[0].operation.service.name == "s3":
        is_directory = (raw.header("host") or "").startswith("s3express-control.")
        return next(r for r in rests if ("Directory" in r.operation.name) == is_directory)
    is_session = ":session/" in unquote(path.rpartition("/")[2])
    for rest in rests:
        if (rest.operation.service.name == "bedrock-agent-runtime") == is_session:
            return rest
    return rests[0]


def _narrowed(raw: RawRequest, services: Sequence[Service]) -> Sequence[Service]:
    """The services that the host names, e.g. `bedrock-agent.us-gov-west-1.amazonaws.com`."""
    if len(services) == 1:
        return services
    first = (raw.header("host") or "").split(":")[0].split(".")[0].removesuffix("-fips")
    named = [service for service in services if service.endpoint_prefix.split(".")[0] == first]
    rest = [service for service in named or services if service.protocol in REST]
    return rest or services


def _with_bucket(raw: RawRequest, path: str) -> str:
    """The path with the bucket of a virtual-host request put in front: `b.s3.REGION.SUFFIX`."""
    host = (raw.header("host") or "").rsplit(":", 1)[0]
    for mark in (".s3.", ".s3-"):
        bucket, found, _ = host.partition(mark)
        if found and bucket:
            return f"/{bucket}{'' if path == '/' else path}"
    if host.endswith(".localhost"):
        bucket = host.removesuffix(".localhost")
        return path if bucket in ("s3", "") else f"/{bucket}{'' if path == '/' else path}"
    return path.rstrip("/") if path.count("/") == 2 and path.endswith("/") else path


def _by_form(raw: RawRequest, services: Sequence[Service], body: bytes) -> Route:
    try:
        text = f"{raw.raw_query}&{body.decode()}" if raw.raw_query else body.decode()
        form = dict(parse_qsl(text, keep_blank_values=True, max_num_fields=FORM_ITEMS_MAX))
    except ValueError as error:
        raise ServiceError("MalformedInput", "The form is malformed.", status=400) from error
    name = form.get("Action", "")
    for service in services:
        if "query" in service.protocols:
            operation = service.operation(name)
            if operation is not None:
                return Route(operation, "query", form=form)
    raise ServiceError("InvalidAction", f"Could not find operation {name[:128]}.", status=400)
