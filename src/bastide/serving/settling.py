"""How endpoints come to be what was asked for: a pure step, and the thread that takes it.

A deployment is brought up beside the one that answers; only when all of its variants are ready
does it take over, and only then is the old one taken down. One that fails changes nothing for
callers of an endpoint that was in service.
"""

import logging
import queue
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from bastide.db.database import Database
from bastide.jobs.model import FINISHED, Job, JobSpec, Limits, Status
from bastide.jobs.ports import Jobs
from bastide.kernel.clock import Clock, epoch_ms
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.serving import records
from bastide.serving.kind import KIND
from bastide.serving.load import Load
from bastide.serving.model import Deployment, Endpoint, EndpointStatus, Key, Variant
from bastide.serving.routes import Routes

logger = logging.getLogger(__name__)
ROUNDS_MAX = 8
RETRY_S = 1.0
PLACE_LOOK_S = 15.0
DRAIN_FIRST_S = 0.5  # for callers that have found their way and are not there yet
DRAIN_MAX_S = 60.0  # a call takes no longer
PLACE_TIMEOUT = timedelta(minutes=15)  # a deployment that finds no room by then has failed


def step(endpoint: Endpoint, jobs: Mapping[str, Job | None], now: datetime) -> Endpoint | None:
    """What the endpoint has become, seeing its jobs; None when it is gone altogether."""
    old = tuple(each for each in endpoint.old if not _over(jobs.get(each)))
    endpoint = replace(endpoint, old=old)
    if endpoint.status is EndpointStatus.DELETING:
        return endpoint if old else None
    if endpoint.next is None or endpoint.status is EndpointStatus.FAILED:
        return endpoint
    mine = [jobs.get(variant.job_id) for variant in endpoint.next.variants]
    if all(job is not None and job.status is Status.READY for job in mine):
        return replace(
            endpoint,
            status=EndpointStatus.IN_SERVICE,
            live=endpoint.next,
            next=None,
            old=(*old, *_only(endpoint.live, endpoint.next)),
            failure="",
        )
    for job in mine:
        if job is not None and (reason := _trouble(job, now)):
            return failed(endpoint, reason)
    return endpoint


def _trouble(job: Job, now: datetime) -> str:
    """Why it will not be ready any more, or ""."""
    if job.status in FINISHED:
        return job.failure or "The endpoint's containers were stopped."
    if job.status is Status.PENDING and now - job.created > PLACE_TIMEOUT:
        return (
            "Unable to provision requested ML compute capacity: other jobs and endpoints hold it. "
            "Stop some of them, or use fewer or smaller instances."
        )
    return ""


def failed(endpoint: Endpoint, reason: str) -> Endpoint:
    """A first deployment that fails makes the endpoint fail; a later one is rolled back."""
    old = (*endpoint.old, *_only(endpoint.next, endpoint.live))
    endpoint = replace(endpoint, failure=reason[:1024], old=old)
    if endpoint.live is None:  # `next` stays, so that it can be described
        return replace(endpoint, status=EndpointStatus.FAILED)
    return replace(endpoint, status=EndpointStatus.IN_SERVICE, next=None)


def _only(one: Deployment | None, other: Deployment | None) -> list[str]:
    """The jobs of the one that the other does not share."""
    mine = one.job_ids if one else frozenset()
    return sorted(mine - (other.job_ids if other else frozenset()))


def spec_of(account: str, variant: Variant) -> JobSpec:
    return JobSpec(
        id=variant.job_id,
        kind=KIND,
        account=account,
        replicas=variant.count,
        service=True,
        ready_timeout_s=variant.ready_timeout_s,
        limits=Limits(memory_bytes=variant.memory_bytes, cpus=variant.cpus, grace_s=30),
        payload=variant.payload,
    )


def _over(job: Job | None) -> bool:
    return job is None or job.status in FINISHED


@dataclass(slots=True, kw_only=True)
class Settler:
    """Poked by handlers and by jobs' transitions; looks at everything once when it starts."""

    database: Database
    clock: Clock
    jobs: Jobs
    routes: Routes
    load: Load
    _retired: dict[str, float] = field(default_factory=dict)  # job id → since when
    _looks: set[tuple[float, Key]] = field(default_factory=set)  # those that are to come
    _queue: "queue.SimpleQueue[Key | None]" = field(default_factory=queue.SimpleQueue)
    _thread: threading.Thread | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.jobs.watch(KIND, self._news)

    def start(self) -> None:
        for key in self.database.read(lambda c: records.unsettled(c, every=True)):
            self.poke(key)
        self._thread = threading.Thread(target=self._run, name="endpoints", daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._queue.put(None)
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def poke(self, key: Key) -> None:
        self._queue.put(key)

    def settle(self, key: Key) -> None:
        """Bring one endpoint as far as its jobs allow. Running it again changes nothing. Where
        the world is in the way, it is tried again later, whatever the caller does."""
        try:
            with self._lock:
                for _ in range(ROUNDS_MAX):
                    if not self._round(key):
                        return
        except Unavailable:
            self.look_again(key)
            raise

    def look_again(self, key: Key) -> None:
        """After a write of which nobody knows whether it is durable."""
        self._later(RETRY_S, key)

    def _round(self, key: Key) -> bool:
        """True when something changed."""
        before = self.database.read(lambda c: records.find_endpoint(c, key))
        if before is None:
            return False
        after = self._next(before)
        if after != before and not self._store(before, after):
            return True  # changed by a caller meanwhile: look again
        self.routes.drop(key)
        if after is not None:
            self._take_down(after, {*before.old, *after.old})
        return after is not None and after.status is not before.status

    def _take_down(self, endpoint: Endpoint, old: set[str]) -> None:
        """Whoever is being answered by what was replaced gets the answer first."""
        for each in sorted(old):
            if endpoint.status is EndpointStatus.DELETING or self._drained(each):
                self._retired.pop(each, None)
                self.jobs.forget(each)
        if any(each in self._retired for each in old):
            self._later(DRAIN_FIRST_S, endpoint.key)

    def _drained(self, job_id: str) -> bool:
        if _over(self.jobs.find(job_id)):
            return True
        now_s = self.clock.monotonic_s()
        waited_s = now_s - self._retired.setdefault(job_id, now_s)
        busy = any(self.load.busy.get(socket) for socket in self.jobs.sockets(job_id))
        return waited_s >= (DRAIN_MAX_S if busy else DRAIN_FIRST_S)

    def _next(self, before: Endpoint) -> Endpoint | None:
        coming = before.next.job_ids if before.next else frozenset()
        try:
            self._start_missing(before)
        except ServiceError as error:  # jobs are not taken here
            return failed(before, error.message)
        jobs = {each: self.jobs.find(each) for each in (*coming, *before.old)}
        after = step(before, jobs, self.clock.now())
        if after == before and any(job and job.status is Status.PENDING for job in jobs.values()):
            self._later(PLACE_LOOK_S, before.key)
        return after

    def _start_missing(self, endpoint: Endpoint) -> None:
        if endpoint.status not in {EndpointStatus.CREATING, EndpointStatus.UPDATING}:
            return
        for variant in endpoint.next.variants if endpoint.next else ():
            if self.jobs.find(variant.job_id) is None:
                try:
                    self.jobs.submit(spec_of(endpoint.account, variant))
                except ServiceError as error:
                    if error.code != "ResourceInUse":  # that is: made by another round
                        raise

    def _store(self, before: Endpoint, after: Endpoint | None) -> bool:
        if after is None:
            self.database.write(lambda c: records.remove_endpoint(c, before))
            return True
        now = epoch_ms(self.clock.now())
        told = replace(after, changed_ms=now) if after.status != before.status else after
        return self.database.write(lambda c: records.replace_endpoint(c, before, told))

    def _news(self, job: Job) -> None:
        payload = job.spec.payload
        self.poke((job.spec.account, str(payload["endpoint"]), str(payload["label"])))

    def _run(self) -> None:
        while (item := self._queue.get()) is not None:
            try:
                self.settle(item)
            except Unavailable as error:
                logger.info("endpoint %s waits: %s", item[1], error)
            except Exception:  # the edge: one endpoint's trouble must not stop the others
                logger.exception("endpoint %s could not be settled", item[1])

    def _later(self, after_s: float, key: Key) -> None:
        """Each is a thread: whoever wants a look that is coming anyway starts no second one."""
        look = (after_s, key)
        if look not in self._looks:
            self._looks.add(look)
            timer = threading.Timer(after_s, self._look, look)
            timer.daemon = True
            timer.start()

    def _look(self, after_s: float, key: Key) -> None:
        self._looks.discard((after_s, key))
        self.poke(key)
