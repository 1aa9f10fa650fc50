"""Two histories that differ only above an observer's label: does it see the same?

Source: J. A. Goguen and J. Meseguer, Security Policies and Security Models, IEEE Symposium on
Security and Privacy (1982).
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import zip_longest
from random import Random
from typing import Any

from botocore.exceptions import ClientError

from bastide.kernel.clock import SystemClock
from tests.ni import ending, models
from tests.ni.doings import BUCKETS, GROUPS, Doings
from tests.ni.memory import Memory, Step
from tests.ni.seen import Seen
from tests.ni.stage import HIGH, Agency, Stage
from tests.waiting import wait_for

HIGH_MAX = 4
QUIET = 0.5  # of the seeds hold what is done above against nothing


@dataclass
class Run:
    """One of two histories. `name` seeds what is done above, `seed` what is done below."""

    seed: str
    name: str
    agency: Agency
    memory: Memory
    seen: Seen
    is_quiet: bool = False  # whether nothing at all is done above
    serves: bool = False  # whether a job runs and a container answers above, at the end
    above: dict[str, Memory] = field(default_factory=dict)

    def round(self, number: int) -> list[Any]:
        """What is done above, then what the observer does and sees."""
        self._above(number)
        low = Doings(f"{self.seed}/{number}", self.memory)
        return [self._step(step) for step in (*low.changes(1), *low.looks(1))]

    def begin(self) -> None:
        for step in ending.beginning(BUCKETS[0], GROUPS[0]):
            self._step(step)

    def end(self) -> list[Any]:
        """All that there is to see, after as much as can be was put above it, or nothing was."""
        beginning = ending.beginning(ending.BELOW, ending.GROUP_BELOW)
        below = (*beginning, *ending.served_below(self.memory))
        first = [self._step(step) for step in below]
        for name in (ending.SERVED_BELOW, ending.SECOND_BELOW):
            _until(self.agency.low, name, "Failed")
        if self.name == "other":
            self._flood()
        low = Doings(f"{self.seed}/end", self.memory)
        seen = [*first, *[self._step(step) for step in ending.looks(low)]]
        if self.name == "other" and self.serves:  # its room is for the next
            self.agency.high[HIGH[0]]["sagemaker"].delete_endpoint(EndpointName=ending.ANSWERS)
        return seen

    def _flood(self) -> None:
        done, refused = set[str](), list[str]()
        for label in HIGH:
            high = Doings(f"{self.seed}/end/{label}", self._memory(label))
            done |= self._try(label, ending.flood(label, high), refused)
        assert done >= ending.FLOODED, f"{ending.FLOODED - done}; refused: {refused}"
        if self.serves:
            self._learn()
            self._answer()

    def _learn(self) -> None:
        sagemaker = self._done_above(ending.learning)["sagemaker"]
        ended = wait_for(
            lambda: sagemaker.describe_training_job(TrainingJobName=ending.JOB_RUN),
            "TrainingJobStatus",
            {"Completed", "Failed", "Stopped"},
        )
        assert ended["TrainingJobStatus"] == "Completed", ended
        assert [each["MetricName"] for each in ended["FinalMetricDataList"]] == [ending.JOB_METRIC]

    def _done_above(self, steps: Callable[[Doings], Iterable[Step]]) -> dict[str, Any]:
        """The clients that did it, of a session above."""
        high, clients = Doings(self.seed, self._memory(HIGH[0])), self.agency.high[HIGH[0]]
        for service, operation, request in steps(high):
            getattr(clients[service], operation)(**request)
        return clients

    def _answer(self) -> None:
        clients = self._done_above(ending.answering)
        _until(clients, ending.ANSWERS, "InService")
        service, operation, request = models.invoked(ending.ANSWERS)
        answer = getattr(clients[service], operation)(**request)
        assert answer["Body"].read() == request["Body"]

    def _memory(self, label: str) -> Memory:
        new = Memory(self.memory.role_arn, self.memory.began)
        return self.above.setdefault(label, new)

    def _above(self, number: int) -> None:
        for label in () if self.is_quiet else HIGH:
            high = Doings(f"{self.seed}/{number}/{self.name}/{label}", self._memory(label))
            self._try(label, high.hidden_changes(high.random.randint(0, HIGH_MAX)))

    def _try(self, label: str, steps: Iterable[Step], refused: list[str] | None = None) -> set[str]:
        """The operations that were not refused. Why others were goes into `refused`."""
        done = set()
        for service, operation, request in steps:
            try:
                answer = getattr(self.agency.high[label][service], operation)(**request)
            except ClientError as error:
                if refused is not None:
                    refused.append(f"{label}: {error}")
                continue
            self.above[label].keep(request, answer)
            done.add(operation)
        return done

    def _step(self, step: Step) -> Any:
        service, operation, request = step
        answer, told = self.seen.of(self.agency.low[service], operation, request)
        self.memory.keep(request, answer)
        return [f"{service}.{operation}", sorted(request), told]


def difference(stage: Stage, seed: str, rounds: int, serves: bool = False) -> str:
    """The first thing that an observer saw in one of two histories and not in the other; "" for
    none. Each round is one more pair: the same below, another draw above.

    Both are of one region, and the one with less above is first in all: it would not see what the
    other did before it, in whatever the region counts over all agencies."""
    began = SystemClock().now().replace(microsecond=0)
    runs = []
    for name in ("one", "other"):
        agency = stage.agency()
        memory = Memory(agency.role_arn, began)
        runs.append(Run(seed, name, agency, memory, Seen(agency.account)))
    runs[0].is_quiet, runs[1].serves = Random(seed).random() < QUIET, serves
    for run in runs:
        run.begin()
    for number in range(rounds):
        first, second = (run.round(number) for run in runs)
        if first != second:
            return _told(seed, number, first, second)
    first, second = (run.end() for run in runs)
    return _told(seed, rounds, first, second) if first != second else ""


def _until(clients: dict[str, Any], name: str, status: str) -> None:
    describe = clients["sagemaker"].describe_endpoint
    found = wait_for(lambda: describe(EndpointName=name), "EndpointStatus", {"InService", "Failed"})
    assert found["EndpointStatus"] == status, found


def _told(seed: str, number: int, first: list[Any], second: list[Any]) -> str:
    step, place, one, other = next(
        (a[0], *_apart(a, b, ())) for a, b in zip(first, second, strict=True) if a != b
    )
    return f"seed {seed}, round {number}, {step}, at {place}: {one!r} and {other!r}"


def _apart(one: Any, other: Any, place: tuple[Any, ...]) -> tuple[Any, Any, Any]:
    """Where two answers first differ, and how."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        name = next(name for name in one if one[name] != other[name])
        return _apart(one[name], other[name], (*place, name))
    if isinstance(one, list) and isinstance(other, list):
        both = enumerate(zip_longest(one, other))
        index, (a, b) = next((n, pair) for n, pair in both if pair[0] != pair[1])
        return _apart(a, b, (*place, f"{index} of {len(one)} and {len(other)}"))
    return place, one, other
