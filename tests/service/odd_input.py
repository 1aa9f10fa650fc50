"""Input for any operation, made of its shape: well-formed, and as odd as its model allows.

Every choice is the dice's, so a seed makes the same input again. What answers have told (names,
ARNs, tokens, ids) is asked with now and then, so that more than the first check is reached.
"""

import json
import random
import re
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from bastide.kernel.operation import Honours
from bastide.wire.patterns import matcher

DEPTH_MAX = 6
REMEMBERED = 12  # values of each member
# No text that XML cannot hold: S3 names keys as they are, as AWS does, and no client can read that.
TEXTS = (
    "", "a", "A-1", "x_1.y", "0", "-1", "1", "true", "null", "*", "?", "%", "/", "/a/", "a/b", "..",
    "é𝄞", "\u202eab\u0301", "\ufffd", " a ", "a\tb\nc", "\x7f", "<a>&'\"", "${aws:username}",
    "arn:", "arn:aws:s3:::a", "arn:aws-us-gov:iam::123456789012:role/a", "s3://a/b", "s3://",
    "https://a.example/b?c=d", "aws:x", "bytes=0-1", "bytes=-0", "YQ==", "W10=", "eyJhIjoxfQ==",
    '"a b"', "{ $.a = 1 }", "[w1,w2]", "2020-01-01T00:00:00Z", "9999-12-31", "123456789012",
    "ml.m5.large", "ml.t3.medium", "application/json", "us-gov-west-1", "a" * 64, "ab1" * 341,
    "nobody/knows:1", "AKIAIOSFODNN7EXAMPLE",
)  # fmt: skip
STATEMENTS: tuple[Mapping[str, Any], ...] = (
    {"Effect": "Allow", "Action": "s3:*", "Resource": "*"},
    {"Effect": "Allow", "Action": [], "Resource": []},
    {"Effect": "Allow", "Principal": {"AWS": "123456789012"}, "Action": "sts:AssumeRole"},
    {"Effect": "Deny", "NotPrincipal": {"AWS": "*"}, "NotAction": "s3:Get*", "NotResource": "é"},
    {
        "Effect": "Deny", "Action": "iam:*", "Resource": "arn:aws-us-gov:iam::*:user/${aws:x}",
        "Condition": {"DateLessThan": {"aws:CurrentTime": "0001-01-01T00:00:00Z"}},
    },
    {
        "Sid": "", "Effect": "Allow", "Action": "*", "Resource": "*",
        "Condition": {"ForAllValues:NumericLessThanIfExists": {"a": ["1e400", "nan", "é"]}},
    },
)  # fmt: skip
POLICIES = (
    *(json.dumps({"Version": "2012-10-17", "Statement": one}) for one in STATEMENTS),
    json.dumps({"Version": "2008-10-17", "Statement": list(STATEMENTS)}),
    "{}", "[]", "null", "x", '{"Statement":1}', '{"Statement":[[]]}', "[" * 2000,
)  # fmt: skip
DOCUMENT_NAMES = ("policydocument", "policy", "policyinputlist")
DOCUMENTS = ({}, {"a": None}, {"a": [{}, [], "é", 1e300, -1]}, [], "a", 0, True)
BLOBS = (b"", b"x", b"\xff\x00" * 50, b"{}", "é".encode(), b"y" * 70_000)
FLOATS = (0.0, -0.0, 1.0, -1.0, 0.5, 1e-320, 1e308)
MOMENTS = (
    datetime(1, 1, 1, tzinfo=UTC), datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2024, 2, 29, 23, 59, 59, 999_999, tzinfo=UTC), datetime(9999, 12, 31, tzinfo=UTC),
)  # fmt: skip
AGES = (timedelta(0), timedelta(minutes=1), timedelta(days=1), timedelta(days=-1))


# What a client checks itself before it sends anything.
CLIENT_PATTERNS = {
    "bucket": r"[a-zA-Z0-9.\-_]{1,255}",
    "header name": r"[a-zA-Z0-9.\-_]{1,40}",
    "header value": r"|[!-~]([ -~]*[!-~])?",
}
DENSITIES = (0.0, 0.05, 0.2, 0.6)  # of the members that may be left out


@dataclass
class OddInput:
    """`of(shape, honours)` makes input; `know` and `remember` say what there is to ask for.
    `secret` values are never asked with: without the caller's own keys, nobody is a caller."""

    dice: random.Random
    now: datetime
    secret: frozenset[str]
    known: dict[str, deque[str]] = field(default_factory=dict)

    def know(self, **values: str) -> None:
        for name, value in values.items():
            if value not in self.secret:
                self.known.setdefault(name.lower(), deque(maxlen=REMEMBERED)).append(value)

    def remember(self, answer: Any) -> None:
        """Every text of an answer, by the name of its member; ARNs are each other's company."""
        if isinstance(answer, dict):
            for name, value in answer.items():
                if isinstance(value, str):
                    self.know(**{"arn" if value.startswith("arn:") else name: value})
                elif name != "ResponseMetadata":
                    self.remember(value)
        elif isinstance(answer, list):
            for value in answer[:REMEMBERED]:
                self.remember(value)

    def of(self, shape: Any, honours: Honours, good: Mapping[str, Any] | None = None) -> Any:
        """Mostly members that are honoured: others are refused by name, and nothing is reached.
        Half the time it is the `good` input, if one is given, with something else in places."""
        if shape is None:
            return {}
        honoured = [*honours.members, *honours.accepted]
        made = _Call(self, honoured, self.dice.choice(DENSITIES)).structure(shape)
        return self._altered(made, good) if good and self.dice.random() < 0.5 else made

    def _altered(self, made: Any, good: Any) -> Any:
        if isinstance(good, dict) and isinstance(made, dict):
            kept = {key: self._altered(made.get(key), value) for key, value in good.items()}
            return {**made, **kept}
        return made if made is not None and self.dice.random() < 0.1 else good


@dataclass
class _Call:
    """The input of one call."""

    odd: OddInput
    honoured: list[str]
    density: float

    @property
    def dice(self) -> random.Random:
        return self.odd.dice

    def structure(self, shape: Any, at: str = "", depth: int = 0) -> dict[str, Any]:
        members = list(shape.members.items())
        if getattr(shape, "is_tagged_union", False):
            honoured = [one for one in members if self._is_honoured(_below(at, one[0]))]
            members = [self.dice.choice(honoured or members)]
            return {name: self.value(inner, name, at, depth) for name, inner in members}
        return {
            name: self.value(inner, name, at, depth)
            for name, inner in members
            if self._is_set(name in shape.required_members, _below(at, name), inner, depth)
        }

    def _is_set(self, is_required: bool, at: str, shape: Any, depth: int) -> bool:
        if str(shape.serialization.get("name")).lower() == "content-length":
            return False  # a client that says a false length is not well-formed
        if is_required:
            return True
        share = self.density if self._is_honoured(at) else 0.003
        return depth < DEPTH_MAX and self.dice.random() < share

    def _is_honoured(self, at: str) -> bool:
        return any(
            path == at or path.startswith(f"{at}.") or at.startswith(f"{path}.")
            for path in self.honoured
        )

    def value(self, shape: Any, name: str, at: str, depth: int) -> Any:
        kind = shape.type_name
        if kind in ("list", "map"):
            return self._several(shape, name, at, depth + 1)
        if kind != "structure":
            return self._scalar(shape, name)
        if getattr(shape, "is_document_type", False):
            return self.dice.choice(DOCUMENTS)
        return self.structure(shape, _below(at, name), depth + 1)

    def _several(self, shape: Any, name: str, at: str, depth: int) -> Any:
        usual = self.dice.choice((0, 1, 1, 2, 3)) if depth < DEPTH_MAX else 0
        count = max(shape.metadata.get("min", 0), usual)
        if shape.type_name == "list":
            return [self.value(shape.member, name, at, depth) for _ in range(count)]
        if shape.serialization.get("location") == "headers":
            texts = (shape.key, "header name"), (shape.value, "header value")
            return dict([self._text(*text) for text in texts] for _ in range(count))
        keys = [self._text(shape.key, f"{name} key") for _ in range(count)]
        return {key: self.value(shape.value, name, at, depth) for key in keys}

    def _scalar(self, shape: Any, name: str) -> Any:
        kind = shape.type_name
        if kind in ("integer", "long"):
            return self._number(shape.metadata, 2**31 - 1 if kind == "integer" else 2**63 - 1)
        if kind in ("float", "double"):
            return self.dice.choice([*FLOATS, *_ends(shape.metadata)])
        if kind == "boolean":
            return self.dice.random() < 0.5
        if kind == "timestamp":
            return self.dice.choice([*MOMENTS, *(self.odd.now - age for age in AGES)])
        if kind == "blob":
            return self.dice.choice(BLOBS)
        return self._text(shape, name)

    def _number(self, metadata: Mapping[str, Any], most: int) -> int:
        ms = int(self.odd.now.timestamp() * 1000)
        usual = [0, 1, 2, 60, 3600, -1, most, *([ms, ms - 60_000] if most > 2**31 else [])]
        inside = [
            number
            for number in (*usual, *map(int, _ends(metadata)))
            if metadata.get("min", number) <= number <= metadata.get("max", number)
        ]
        return self.dice.choice(inside if self.dice.random() < 0.95 else usual)

    def _text(self, shape: Any, name: str) -> str:
        name = name.lower()
        pool = self.odd.known.get(name) or self.odd.known.get("arn" if name.endswith("arn") else "")
        if pool and self.dice.random() < 0.8:
            texts: Sequence[str] = pool
        elif name.endswith(DOCUMENT_NAMES):
            texts = POLICIES
        elif getattr(shape, "enum", None):
            texts = shape.enum if self.dice.random() < 0.95 else TEXTS
        else:
            texts = [*TEXTS, *(self.dice.choice(pool) for pool in self.odd.known.values())]
        fitting = [*_fitting(shape, name, texts)] or [*_fitting(shape, name, TEXTS)]
        if not fitting or (name not in CLIENT_PATTERNS and self.dice.random() < 0.02):
            fitting = [*_sendable(shape, name, TEXTS)]
        return self.dice.choice(fitting)


def _below(at: str, name: str) -> str:
    return f"{at}.{name}" if at else name


def _ends(metadata: Mapping[str, Any]) -> list[float]:
    return [metadata[end] for end in ("min", "max") if end in metadata]


def _fitting(shape: Any, name: str, texts: Iterable[str]) -> Iterable[str]:
    """The texts, cut and filled to the length they may have, that the model takes there."""
    metadata = shape.metadata
    matches = matcher(metadata["pattern"]) if "pattern" in metadata else None
    sized = (text[: metadata.get("max", len(text))] for text in texts)
    filled = (text + "a" * (metadata.get("min", 0) - len(text)) for text in sized)
    return (one for one in _sendable(shape, name, filled) if matches is None or matches(one))


def _sendable(shape: Any, name: str, texts: Iterable[str]) -> Iterable[str]:
    """The texts that a client does not refuse to send there."""
    is_header = shape.serialization.get("location") == "header"
    pattern = CLIENT_PATTERNS.get("header value" if is_header else name, "(?s).*")
    return (text for text in texts if re.fullmatch(pattern, text))
