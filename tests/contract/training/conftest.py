"""A training site on each database."""

import pytest
from tests.labels_kit import in_use, marks
from tests.sagefakes import (
    ONE,
    REGION,
    FakeEnvironments,
    FakeJobs,
    FakeObjects,
    FakePermits,
    FakeRoles,
    call,
)

from bastide.logs.events import LogEvents
from bastide.logs.metrics import Metrics
from bastide.logs.sink import LogSink, MetricSink
from bastide.training import records
from bastide.training.kind import TrainingKind
from bastide.training.scanner import PatternScanner
from bastide.training.tags import Tags, Things
from bastide.training.training_jobs import TrainingJobs


@pytest.fixture
def world(database):
    labels = in_use(database)

    class World:
        jobs = FakeJobs(database=database)
        objects = FakeObjects()
        permits = FakePermits()
        environments = FakeEnvironments()
        clock = jobs.clock
        scanner = PatternScanner()
        api = TrainingJobs(
            database=database, clock=clock, jobs=jobs, roles=FakeRoles(),
            environments=environments, marks=marks(database, labels),
        )  # fmt: skip
        metrics = MetricSink(database=database, labels=labels, clock=clock)
        kind = TrainingKind(
            region=REGION, database=database, roles=FakeRoles(), permits=permits, objects=objects,
            environments=environments,
            logs=LogSink(database=database, labels=labels, clock=clock),
            metrics=metrics, scanner=scanner,
        )  # fmt: skip
        figures = Metrics(database=database, labels=labels, clock=clock, sink=metrics)
        events = LogEvents(database=database, labels=labels, clock=clock)
        things = Things(
            database=database, marks=api.marks, nouns={"training-job": records.training_jobs}
        )
        tags = Tags(database=database, marks=api.marks, things=things)

        def describe(self, name="Job-1", account=ONE):
            return self.api.describe_training_job(call(account=account), {"TrainingJobName": name})

    world = World()
    yield world
    world.scanner.close()
