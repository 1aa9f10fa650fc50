"""REST operations by method and path: a tree of path segments, walked once for each request.

Nothing is decoded or normalised before the walk: an escaped slash stays inside its segment, and
`/agents/x/` is another path than `/agents/x`. A literal segment wins over a label.
Source: https://smithy.io/2.0/spec/http-bindings.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote_to_bytes

from bastide.wire.model import Operation, Service, Shape


@dataclass(frozen=True, slots=True)
class Rest:
    """A REST operation: its path as segments, and what else tells it from others of that path."""

    operation: Operation
    segments: tuple[str, ...]
    literals: tuple[tuple[str, str], ...]  # of the query string: ("list-type", "2"), ("acl", "")
    queries: frozenset[str]  # the query parameters that it cannot do without
    headers: frozenset[str]
    depth: int  # how many segments are literal: between services, the more exact path wins

    def rank(
        self, query: Mapping[str, str], headers: frozenset[str]
    ) -> tuple[int, int, int] | None:
        """How well a request fits, greater is better. None if a literal of the query is missing,
        or if nothing but a missing parameter tells this operation from a plainer one."""
        for name, value in self.literals:
            if name not in query or (value and query[name] != value):
                return None
        needed = len(self.queries) + len(self.headers)
        if not needed:
            return len(self.literals), 0, 0
        present = len(self.queries & query.keys()) + len(self.headers & headers)
        if not present and not self.literals and self.operation.service.protocol == "rest-xml":
            return None
        return len(self.literals), present, present - needed

    def labels(self, segments: Sequence[str]) -> dict[str, str]:
        """The path's parameters, decoded. UnicodeDecodeError for one that is not UTF-8."""
        found: dict[str, str] = {}
        for index, want in enumerate(self.segments):
            if want.endswith("+}"):
                found[want[1:-2]] = decoded("/".join(segments[index:]))
            elif want.startswith("{"):
                found[want[1:-1]] = decoded(segments[index])
        return found


@dataclass(slots=True)
class _Node:
    literal: dict[str, "_Node"] = field(default_factory=dict)
    label: "_Node | None" = None
    ends: list[Rest] = field(default_factory=list)
    greedy: list[Rest] = field(default_factory=list)

    def find(self, segments: Sequence[str], at: int) -> list[Rest]:
        """The operations of the path `segments[at:]` below this node."""
        if at == len(segments):
            return self.ends
        segment = segments[at]
        inner = self.literal.get(segment)
        if inner is not None and (found := inner.find(segments, at + 1)):
            return found
        is_last = at + 1 == len(segments)
        if self.label is not None and segment and (found := self.label.find(segments, at + 1)):
            return found
        return self.greedy if segment or not is_last else []


class PathTree:
    """One service's REST operations."""

    def __init__(self, service: Service) -> None:
        self._roots: dict[str, _Node] = {}
        for operation in service.operations.values():
            # GetBucketLifecycle and its kind share their path with what replaced them.
            if not (service.name == "s3" and operation.model.deprecated):
                for uri in operation.uris:
                    self._plant(_rest(operation, uri))

    def _plant(self, rest: Rest) -> None:
        node = self._roots.setdefault(rest.operation.method, _Node())
        for segment in rest.segments:
            if segment.endswith("+}"):
                node.greedy.append(rest)
                return
            if segment.startswith("{"):
                node.label = node = node.label or _Node()
            else:
                node = node.literal.setdefault(segment, _Node())
        node.ends.append(rest)

    def find(self, method: str, segments: Sequence[str]) -> list[Rest]:
        root = self._roots.get(method)
        return root.find(segments, 0) if root is not None else []


def _rest(operation: Operation, uri: str) -> Rest:
    path, _, query = uri.partition("?")
    needed: dict[str, set[str]] = {"querystring": set(), "header": set()}
    shape: Shape = operation.input
    for name in shape.required_members if shape is not None else ():
        traits = shape.members[name].serialization
        where, wire_name = traits.get("location"), traits.get("name", name)
        if where in needed:
            needed[where].add(wire_name.lower() if where == "header" else wire_name)
    segments = split(path)
    return Rest(
        operation,
        segments,
        tuple(parse_qsl(query, keep_blank_values=True)),
        frozenset(needed["querystring"]),
        frozenset(needed["header"]),
        sum(not segment.startswith("{") for segment in segments),
    )


def split(path: str) -> tuple[str, ...]:
    """`/agents/x/` → `("agents", "x", "")`."""
    return tuple(path.split("/")[1:])


def decoded(text: str) -> str:
    """Percent-decoded UTF-8; UnicodeDecodeError for anything else, since two different keys must
    not turn into the same one. `text` is latin-1, as the request target came."""
    if "%" not in text and text.isascii():
        return text
    return unquote_to_bytes(text.encode("latin-1")).decode()
