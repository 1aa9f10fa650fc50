"""Histories of all that thinks, over HTTP: what a chapter does below, above, and below again.

A chapter's steps are generators: each is told what its call was answered. Ids are random, and so
are told by the order in which they were first seen.
"""

import json
import re
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import zip_longest
from random import Random
from typing import Any

from botocore.eventstream import EventStream
from botocore.exceptions import ClientError

from bastide.kernel.clock import SystemClock
from tests.ni.apart import apart
from tests.ni.memory import Step
from tests.ni.seen import Seen, _has_moment
from tests.ni.stage import FENCE, HIGH, Agency, Stage
from tests.waiting import eventually

Answer = dict[str, Any]


@dataclass(frozen=True)
class Until:
    """A step that is done again until what it is answered is as wanted, and told once."""

    step: Step
    true: Callable[[Answer], bool]


Steps = Generator[Step | Until, Answer, Any]
TRUSTED = ("bedrock", "lambda", "bedrock-agentcore")
# Of what is made anew for each agency: of what else is named so, the names are ours.
IDS = frozenset({
    "guardrailId", "knowledgeBaseId", "dataSourceId", "ingestionJobId", "agentId",
    "agentAliasId", "actionGroupId", "agentRuntimeId", "sessionId", "collaboratorId",
    "inferenceProfileId", "id",
})  # fmt: skip
ID = re.compile(r"[a-zA-Z0-9]{10}|[a-z0-9]{12}|[a-zA-Z]\w*-[a-zA-Z0-9]{10}")  # and of a runtime
IN_ARN = re.compile(r"(?:/|-)([a-zA-Z0-9]{12})$")
# Told in the order of their names: they come in that of their ids, which are random.
BY_NAME = frozenset({
    "dataSourceSummaries", "knowledgeBaseSummaries", "agentSummaries", "guardrails",
    "inferenceProfileSummaries", "agentAliasSummaries", "actionGroupSummaries", "agentRuntimes",
})  # fmt: skip
SPAN = re.compile(r'("?\w*[lL]atency\w*"?: ?)\d+')  # in JSON that is in a text
CREATED = re.compile(r'("created": ?)\d+')
NAMED = re.compile(r"\bchatcmpl-[0-9a-f]{32}\b")
SPANS = frozenset({
    "guardrailProcessingLatency", "x-amzn-bedrock-invocation-latency", "totalTimeMs",
    "operationTotalTimeMs",
})  # fmt: skip
SECRETS = frozenset({"SecretAccessKey", "SessionToken"})
NAMES = ("name", "agentName", "agentAliasName", "actionGroupName", "agentRuntimeName")
TRACE = re.compile(r"\b[0-9a-z]{10}(?=-\d+$)")  # of a turn: its steps are numbered behind it
CHUNK = re.compile(r"\b[0-9a-f]{32}(?=-\d+$)")  # of a passage: its document's id, and its place


@dataclass
class Thoughts(Seen):
    """With the ids of what thinks, and with streams of events."""

    ids: list[str] = field(default_factory=list)

    def of(self, client: Any, operation: str, request: dict[str, Any]) -> Any:
        try:
            answer = getattr(client, operation)(**request)
            for name, part in answer.items():
                if isinstance(part, EventStream):
                    answer[name] = list(part)
                elif hasattr(part, "read"):
                    answer[name] = part.read()
        except ClientError as error:
            answer = error.response
        told = json.loads(json.dumps(answer, default=_plain))
        for name in BY_NAME & told.keys():
            told[name].sort(key=_name)
        self._learn(told)
        heads = (
            told["ResponseMetadata"].get("HTTPHeaders", {}) if "ResponseMetadata" in told else {}
        )
        if _has_moment(answer) or "LastModified" in answer or "metrics" in answer:
            heads.pop("content-length", None)
        return answer, self.told(told)

    def _learn(self, value: Any, key: str = "") -> None:
        match value:
            case dict():
                for name, each in value.items():
                    self._learn(each, name)
            case list():
                for each in value:
                    self._learn(each, key)
            case str() if key in IDS and ID.fullmatch(value) and value not in self.ids:
                self.ids.append(value)
            case str() if key.endswith(("Arn", "arn")) and (found := IN_ARN.search(value)):
                if found[1] not in self.ids and found[1] != self.account:
                    self.ids.append(found[1])

    def told(self, value: Any, key: str = "") -> Any:
        if key in SECRETS:
            return f"<secret of {len(value)}>"
        return "<span>" if key in SPANS else super().told(value, key)

    def _text(self, text: str, key: str) -> Any:
        told = super()._text(text, key)
        if isinstance(told, str):
            told = CREATED.sub(r"\1<time>", told)
            told = NAMED.sub(lambda found: self._number(found[0]), told)
            told = FENCE.sub(r"\1>", told)
            told = TRACE.sub("<trace>", told) if key == "traceId" else told
            told = CHUNK.sub(lambda found: self._number(found[0]), told)
            told = SPAN.sub(r"\1<span>", told)
            for each in self.ids:
                if each in told:
                    told = told.replace(each, self._number(each))
        return told


def _name(told: dict[str, Any]) -> str:
    return next((str(told[name]) for name in NAMES if name in told), "")


def _plain(value: Any) -> Any:
    """What is no text is of a key, and drawn anew."""
    if not isinstance(value, bytes):
        return "<time>"
    try:
        return value.decode()
    except UnicodeDecodeError:
        return f"<{len(value)} bytes>"


@dataclass
class Played:
    """`done`: level and operation of what was not refused; `refused`: above, and why."""

    done: set[tuple[str, str]] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)

    def on(self, side: str) -> set[str]:
        return {name for where, name in self.done if where == side}


@dataclass
class Cast:
    """One agency in one of two histories: what its low session knows, and what lies above it."""

    agency: Agency
    worker: str  # the role that its things work as
    seed: str
    seen: Thoughts
    known: dict[str, Any] = field(default_factory=dict)
    above: dict[str, str] = field(default_factory=dict)
    played: Played = field(default_factory=Played)
    began: datetime = field(default_factory=lambda: SystemClock().now())

    @property
    def account(self) -> str:
        return self.agency.account

    def arn(self, service: str, rest: str) -> str:
        return f"arn:aws-us-gov:{service}:us-gov-west-1:{self.account}:{rest}"

    def hidden(self, kind: str, made_up: str) -> str:
        """What is above, by its true id; where nothing is, by one that nobody has."""
        name = self.above.get(kind, made_up)
        if name not in self.seen.ids:
            self.seen.ids.append(name)
        return name

    def random(self, what: str) -> Random:
        return Random(f"{self.seed}/{what}")

    def low(self, steps: Steps) -> list[Any]:
        told = []

        def one(step: Step) -> Answer:
            service, operation, request = step
            answer, said = self.seen.of(self.agency.low[service], operation, request)
            if "Error" not in answer:
                self.played.done.add(("low", f"{service}.{operation}"))
            told.append([f"{service}.{operation}", sorted(request), said])
            return answer

        _play(steps, one, self.agency.low)
        return told

    def high(self, steps: Steps, label: str) -> None:
        def one(step: Step) -> Answer:
            service, operation, request = step
            answer, _ = Thoughts(self.account).of(
                self.agency.high[label][service], operation, request
            )
            if "Error" not in answer:
                self.played.done.add(("high", f"{service}.{operation}"))
            else:
                self.played.refused.append(f"{operation}: {answer['Error']}")
            return answer

        _play(steps, one, self.agency.high[label])


def _play(steps: Steps, one: Callable[[Step], Answer], clients: dict[str, Any]) -> None:
    """To its end."""
    answer: Any = None
    while True:
        try:
            step = next(steps) if answer is None else steps.send(answer)
        except StopIteration:
            return
        if isinstance(step, Until):
            (service, operation, request), true = step.step, step.true
            call = getattr(clients[service], operation)
            eventually(lambda call=call, request=request, true=true: true(call(**request)), 90)
            step = step.step
        answer = one(step)


@dataclass(frozen=True)
class Chapter:
    begin: Callable[[Cast], Steps]
    above: Callable[[Cast, str], Steps]
    below: Callable[[Cast], Steps]


def cast(stage: Stage, seed: str, played: Played) -> Cast:
    agency = stage.agency()
    trust = {"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow", "Action": "sts:AssumeRole",
        "Principal": {"Service": [f"{one}.amazonaws.com" for one in TRUSTED]},
    }]}  # fmt: skip
    may = {"Effect": "Allow", "Action": "*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [may]})
    iam = agency.low["iam"]
    role = iam.create_role(RoleName="Worker", AssumeRolePolicyDocument=json.dumps(trust))["Role"]
    iam.put_role_policy(RoleName="Worker", PolicyName="all", PolicyDocument=document)
    stage._clear(agency.account)
    return Cast(agency, role["Arn"], seed, Thoughts(agency.account), played=played)


def difference(stage: Stage, seed: str, chapters: Mapping[str, Chapter], played: Played) -> str:
    """The first thing that is seen below in one of two histories and not in the other; "" for
    none. Each chapter is a pair. What was done goes into `played`."""
    quiet, loud = cast(stage, seed, played), cast(stage, seed, played)
    for name, chapter in chapters.items():
        first, second = (one.low(chapter.begin(one)) for one in (quiet, loud))
        for label in HIGH:
            loud.high(chapter.above(loud, label), label)
        first += quiet.low(chapter.below(quiet))
        second += loud.low(chapter.below(loud))
        if first != second:
            return f"seed {seed}, {name}: {_told(first, second)}"
    return ""


def _told(first: list[Any], second: list[Any]) -> str:
    step, one, other = next(
        (a[0] if a else b[0], a, b) for a, b in zip_longest(first, second) if a != b
    )
    return f"{step}: {apart(one, other)}"
