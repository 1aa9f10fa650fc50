"""What must hold after every step of a simulation, whatever happened before it."""

import json
from collections import defaultdict
from itertools import pairwise

import msgspec

from bastide.jobs.model import FINISHED, Job, ReplicaStatus, Status

ADMITTED = {
    Status.STAGING, Status.RUNNING, Status.READY, Status.STOPPING, Status.COLLECTING,
}  # fmt: skip
NEXT = {
    Status.PENDING: {Status.STAGING, Status.FAILED, Status.STOPPED},
    Status.STAGING: {Status.RUNNING, Status.STOPPING, Status.FAILED},
    Status.RUNNING: {Status.READY, Status.STOPPING, Status.COLLECTING, Status.FAILED},
    Status.READY: {Status.RUNNING, Status.STOPPING},
    Status.STOPPING: {Status.COLLECTING, Status.STOPPED, Status.FAILED},
    Status.COLLECTING: {Status.COMPLETED, Status.FAILED, Status.STOPPED},
}


class Checks:
    """Compares what the database says with what runs, and with what it said before."""

    def __init__(self, database, executor, folders, total, violated):
        self._database, self._executor, self._folders = database, executor, folders
        self._total, self._violated = total, violated
        self._before, self._decoded, self._at = {}, {}, -1
        self.forgettable = set()  # the jobs that somebody wanted forgotten

    def jobs(self):
        """Every job that the database knows."""
        rows = self._rows("SELECT id, body FROM jobs ORDER BY id")
        self._decoded = {
            (name, body): self._decoded.get((name, body)) or msgspec.json.decode(body, type=Job)
            for name, body in rows
        }
        return {name: job for (name, _), job in self._decoded.items()}

    def outbox(self):
        """(job id, effect), in the order in which they were decided."""
        rows = self._rows("SELECT job_id, body FROM job_effects ORDER BY id")
        return [(name, json.loads(body)) for name, body in rows]

    def _rows(self, question):
        """Past the runner's own functions: they are what is looked at, and these are quick."""
        with self._database.engine.connect() as connection:
            return connection.connection.driver_connection.execute(question).fetchall()

    def _histories(self):
        told = defaultdict(list)
        asked = "SELECT job_id, rev, status FROM job_transitions ORDER BY job_id, rev"
        for name, _, status in self._rows(asked):
            told[name].append(Status(status))
        return told

    def all(self):
        """After a step. What only a write can break is looked at only after one."""
        self._capacity_of_replicas()
        if self._at == self._database.writes:
            return
        self._at = self._database.writes
        jobs, alive, told = self.jobs(), self._alive(), self._histories()
        for job_id, job in jobs.items():
            self._finished_stays(self._before.get(job_id), job)
            self._transitions_match(job, told[job_id])
            self._replicas_match(job, alive[self._folders.of(job_id)])
        self._capacity_of_jobs(jobs)
        self._effects_have_attempts(jobs)
        self._nothing_vanishes(jobs)
        self._before = jobs

    def _finished_stays(self, before, job):
        if before is None or before.status not in FINISHED:
            return
        if job.status is not before.status or job.exits != before.exits:
            self._violated(f"{job.spec.id} moved from {before.status} to {job.status}")

    def _transitions_match(self, job, told):
        if not told or told[-1] is not job.status:
            self._violated(f"{job.spec.id} is {job.status}, its history says {told}")
        for one, other in pairwise(told):
            if other not in NEXT.get(one, ()):
                self._violated(f"{job.spec.id} went from {one} to {other}")

    def _replicas_match(self, job, alive):
        """A replica runs only for a job that waits for its end."""
        if alive and job.status not in {Status.RUNNING, Status.READY, Status.STOPPING}:
            self._violated(f"{job.spec.id} is {job.status} and {sorted(alive)} run")
        for index, attempt in alive:
            mine = job.replicas[index]
            if mine.attempt != attempt or mine.status is ReplicaStatus.EXITED:
                self._violated(f"{job.spec.id} is at {mine}, attempt {attempt} runs")

    def _alive(self):
        """Folder of a job → (replica, attempt) that run."""
        found = defaultdict(list)
        for key, running in self._executor.running.items():
            _, replica, attempt = key.rsplit("-", 2)
            found[running.attempt.folder.parent].append((int(replica), int(attempt)))
        return found

    def _capacity_of_replicas(self):
        running = self._executor.running.values()
        if sum(each.limits.cpus for each in running) > self._total.cpus:
            self._violated("the replicas that run use more than there is")

    def _capacity_of_jobs(self, jobs):
        admitted = [each.spec for each in jobs.values() if each.status in ADMITTED]
        taken = sum(each.limits.cpus * each.replicas for each in admitted)
        if taken > self._total.cpus:
            self._violated(f"{taken} of {self._total.cpus} processors are promised")

    def _effects_have_attempts(self, jobs):
        for name, effect in self.outbox():
            if name not in jobs:
                self._violated(f"{effect} of {name}, which is gone")
            elif effect.get("attempt", 0) > jobs[name].attempt:
                self._violated(f"{effect} of {name}, which is at {jobs[name].attempt}")

    def _nothing_vanishes(self, jobs):
        for job_id, job in self._before.items():
            if job_id not in jobs and job_id not in self.forgettable:
                self._violated(f"{job_id} vanished; it was {job.status}")
