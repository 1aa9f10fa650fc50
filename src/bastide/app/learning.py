"""SageMaker, logs and metrics, joined to jobs and to the store."""

import os
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Table

from bastide.app.core import Core
from bastide.app.identity import Identity, ResourceSources
from bastide.app.store import Store
from bastide.app.workshop import Workshop
from bastide.audit.receipts import Receipts
from bastide.db.marks import Marks
from bastide.jobs.replicas import Replicas
from bastide.logs.events import LogEvents
from bastide.logs.groups import LogGroups
from bastide.logs.lookup import Facts
from bastide.logs.metrics import Metrics
from bastide.logs.sink import LogSink, MetricSink
from bastide.logs.streams import LogStreams
from bastide.serving import records as serving_records
from bastide.serving import serve_script
from bastide.serving.endpoint_configs import EndpointConfigs
from bastide.serving.endpoints import Endpoints
from bastide.serving.invocations import Invocations
from bastide.serving.kind import EndpointKind
from bastide.serving.load import Load
from bastide.serving.models import Models as ServedModels
from bastide.serving.planning import Planner
from bastide.serving.routes import Routes
from bastide.serving.settling import Settler
from bastide.serving.shelf import Shelf
from bastide.training import instances, training_jobs
from bastide.training import kind as training_kind
from bastide.training import records as training_records
from bastide.training.checkpoints import CheckpointSync
from bastide.training.kind import TrainingKind
from bastide.training.scanner import PatternScanner
from bastide.training.tags import Tags, TagStore, Things

TAGGABLE = {
    "training-job": training_records.training_jobs,
    "model": serving_records.models,
    "endpoint-config": serving_records.configs,
    "endpoint": serving_records.endpoints,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineLearning:
    """SageMaker, logs and metrics."""

    settler: Settler
    replicas: Replicas
    scanner: PatternScanner
    checkpoints: CheckpointSync
    metric_sink: MetricSink
    log_facts: Facts
    things: Things
    handlers: dict[str, list[object]]


def open_machine_learning(
    core: Core, identity: Identity, store: Store, workshop: Workshop, receipts: Receipts
) -> MachineLearning:
    database, labels, clock = core.database, core.labels, core.clock
    marks = Marks(labelling=identity.labelling, in_use=core.labels)
    things = Things(database=database, marks=marks, nouns=TAGGABLE)
    tags = Tags(database=database, marks=marks, things=things)
    metric_sink = MetricSink(database=database, labels=labels, clock=clock)
    scanner, replicas = PatternScanner(), Replicas()
    training = _register_kinds(core, identity, store, workshop, (metric_sink, scanner))
    routes = Routes(database=database)
    load = Load()
    settler = Settler(database=database, clock=clock, jobs=workshop.jobs, routes=routes, load=load)
    invocations = Invocations(
        clock=clock,
        jobs=workshop.jobs,
        routes=routes,
        replicas=replicas,
        metrics=metric_sink,
        load=load,
        receipts=receipts,
    )
    return MachineLearning(
        settler=settler,
        replicas=replicas,
        scanner=scanner,
        checkpoints=CheckpointSync(workshop.jobs, training_kind.KIND, training.keep_checkpoints),
        metric_sink=metric_sink,
        log_facts=Facts(database=database, labels=labels),
        things=things,
        handlers={
            "sagemaker": [tags, *_sagemaker(core, identity, store, workshop, settler)],
            "sagemaker-runtime": [invocations],
            "logs": [
                LogGroups(
                    database=database, labels=labels, labelling=identity.labelling, clock=clock
                ),
                LogStreams(database=database, labels=labels, clock=clock),
                LogEvents(database=database, labels=labels, clock=clock),
            ],
            "cloudwatch": [
                Metrics(database=database, labels=labels, clock=clock, sink=metric_sink)
            ],
        },
    )


def _register_kinds(
    core: Core,
    identity: Identity,
    store: Store,
    workshop: Workshop,
    shared: tuple[MetricSink, PatternScanner],
) -> TrainingKind:
    """Teach the runner what a training job is, and what an endpoint is."""
    metric_sink, scanner = shared
    logs = LogSink(database=core.database, labels=core.labels, clock=core.clock)
    training = TrainingKind(
        region=core.region,
        database=core.database,
        roles=identity.roles,
        permits=identity.authorizer,
        objects=store.space,
        environments=workshop.environments,
        logs=logs,
        metrics=metric_sink,
        scanner=scanner,
    )
    endpoint = EndpointKind(
        region=core.region,
        roles=identity.roles,
        permits=identity.authorizer,
        objects=store.space,
        environments=workshop.environments,
        logs=logs,
        script=Path(serve_script.__file__),
    )
    workshop.runner.register(training_kind.KIND, training)
    workshop.runner.register("endpoint", endpoint)
    return training


def _sagemaker(
    core: Core, identity: Identity, store: Store, workshop: Workshop, settler: Settler
) -> list[object]:
    database, clock, jobs = core.database, core.clock, workshop.jobs
    roles, environments = identity.roles, workshop.environments
    total, tags = workshop.total, TagStore()
    marks = Marks(labelling=identity.labelling, in_use=core.labels)
    machine = instances.Machine(min(total.cpus, os.cpu_count() or 1), total.memory_bytes)

    def sizes(instance_type: str) -> tuple[float, int]:
        size = machine.fit(instances.size_of(instance_type))
        return size.cpus, size.memory_bytes

    def shelf(table: Table, noun: str) -> Shelf:
        return Shelf(database=database, clock=clock, tags=tags, marks=marks, table=table, noun=noun)

    served = shelf(serving_records.models, "model")
    configs = shelf(serving_records.configs, "endpoint-config")
    planner = Planner(database=database, ids=core.ids, marks=marks, roles=roles, sizes=sizes)
    return [
        training_jobs.TrainingJobs(
            database=database,
            clock=clock,
            jobs=jobs,
            roles=roles,
            environments=environments,
            marks=marks,
            tags=tags,
            machine=machine,
        ),
        ServedModels(shelf=served, roles=roles, environments=environments, objects=store.space),
        EndpointConfigs(shelf=configs, models=served, sizes=sizes),
        Endpoints(
            database=database,
            clock=clock,
            jobs=jobs,
            marks=marks,
            planner=planner,
            settler=settler,
            tags=tags,
        ),
    ]


def tell_authorizer(learning: MachineLearning, store: Store, resources: ResourceSources) -> None:
    """Where the tags and the labels of each service's resources are."""
    things = learning.things
    resources.tagged |= {
        "sagemaker": lambda who, arn, _: things.tags(who, arn),
        "logs": learning.log_facts.tags,
        "s3": store.space.tags,
    }
    resources.labelled |= {
        "sagemaker": lambda who, arn, _: things.label(who, arn),
        "logs": learning.log_facts.label,
        "s3": store.space.label,
    }
