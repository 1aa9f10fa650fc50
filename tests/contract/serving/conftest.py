"""Endpoints over jobs that go where the test sends them, and servers that echo."""

import asyncio
import http.server
import socketserver
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests.labels_kit import in_use, marks
from tests.receipts_kit import RECEIPTS
from tests.sagefakes import (
    IMAGE,
    ONE,
    REGION,
    ROLE,
    FakeEnvironments,
    FakeJobs,
    FakeObjects,
    FakePermits,
    FakeRoles,
    call,
)

from bastide.jobs.model import Status
from bastide.jobs.replicas import Replicas
from bastide.kernel.clock import ManualClock
from bastide.kernel.ids import SeededIds
from bastide.logs.sink import LogSink, MetricSink
from bastide.serving import records, serve_script
from bastide.serving.endpoint_configs import EndpointConfigs
from bastide.serving.endpoints import Endpoints
from bastide.serving.invocations import Invocations
from bastide.serving.kind import EndpointKind
from bastide.serving.load import Load
from bastide.serving.models import Models
from bastide.serving.planning import Planner
from bastide.serving.routes import Routes
from bastide.serving.settling import DRAIN_FIRST_S, Settler
from bastide.serving.shelf import Shelf
from bastide.training.tags import TagStore


class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = int(body) if body.isdigit() else 200
        self.send_response(status)
        self.send_header("Content-Type", self.headers["Accept"] or "text/x")
        if attributes := self.headers["X-Amzn-SageMaker-Custom-Attributes"]:
            self.send_header("X-Amzn-SageMaker-Custom-Attributes", attributes)
        said = f"{Path(self.server.server_address).name}:{body.decode()}".encode()
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_):
        pass


class EchoServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def echo(tmp_path):
    """`echo("a")` is the socket of a server that answers `a:<body>`."""
    running = []

    def start(name):
        path = tmp_path / name
        server = EchoServer(str(path), Echo)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        running.append(server)
        return path

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


class World:
    """The whole of serving, over fakes."""

    def __init__(self, database):
        jobs, clock, environments = FakeJobs(), ManualClock(), FakeEnvironments()
        jobs.clock = clock
        replicas, load, routes = Replicas(), Load(), Routes(database=database)
        tags, roles, labels = TagStore(), FakeRoles(), in_use(database)
        self.marks = marks(database, labels)
        shelf = Shelf(
            database=database, clock=clock, tags=tags, marks=self.marks, table=records.models,
            noun="model",
        )  # fmt: skip
        self.jobs, self.clock, self.replicas, self.load = jobs, clock, replicas, load
        self.objects, self.permits, self.environments = FakeObjects(), FakePermits(), environments
        self.loop = asyncio.Runner()
        self.settler = Settler(database=database, clock=clock, jobs=jobs, routes=routes, load=load)
        self.models = Models(
            shelf=shelf, roles=roles, environments=environments, objects=self.objects
        )
        self.configs = EndpointConfigs(
            shelf=replace(shelf, table=records.configs, noun="endpoint-config"), models=shelf,
            sizes=size,
        )  # fmt: skip
        planner = Planner(
            database=database, ids=SeededIds(), marks=self.marks, roles=roles, sizes=size
        )
        self.endpoints = Endpoints(
            database=database, clock=clock, jobs=jobs, planner=planner, settler=self.settler,
            tags=tags, marks=self.marks,
        )  # fmt: skip
        self.invocations = Invocations(
            clock=clock, jobs=jobs, routes=routes, replicas=replicas, load=load,
            metrics=MetricSink(database=database, labels=labels, clock=clock), receipts=RECEIPTS,
        )  # fmt: skip
        self.kind = EndpointKind(
            region=REGION, roles=roles, permits=self.permits, objects=self.objects,
            environments=environments,
            logs=LogSink(database=database, labels=labels, clock=clock),
            script=Path(serve_script.__file__),
        )  # fmt: skip

    def model(self, name="M", account=ONE, **container):
        self.models.create_model(call(account=account), {
            "ModelName": name, "ExecutionRoleArn": ROLE.replace(ONE, account),
            "PrimaryContainer": {"Image": IMAGE, **container},
        })  # fmt: skip

    def config(self, name="C", *variants):
        self.configs.create_endpoint_config(call("sagemaker.CreateEndpointConfig"), {
            "EndpointConfigName": name,
            "ProductionVariants": [
                {"VariantName": v, "ModelName": "M", "InitialInstanceCount": count,
                 "InstanceType": "ml.m5.large", "InitialVariantWeight": weight}
                for v, weight, count in variants or [("AllTraffic", 1.0, 1)]
            ],
        })  # fmt: skip

    def create(self):
        self.endpoints.create_endpoint(call(), {"EndpointName": "E", "EndpointConfigName": "C"})

    def describe(self, account=ONE):
        return self.endpoints.describe_endpoint(call(account=account), {"EndpointName": "E"})

    def drain(self):
        """The time for which what was replaced is kept is over."""
        self.clock.advance(DRAIN_FIRST_S)
        self.settler.settle((ONE, "E", "U"))

    def all_jobs(self):
        return sorted(self.jobs.jobs)

    def go(self, status, **more):
        for job_id in self.all_jobs():
            self.jobs.go(job_id, status, **more)
        self.settler.settle((ONE, "E", "U"))

    def invoke(self, body=b"x", account=ONE, **more):
        ask = call("sagemaker-runtime.InvokeEndpoint", account)
        req = {"EndpointName": "E", "Body": body, **more}
        return self.loop.run(self.invocations.invoke_endpoint(ask, req))


def size(instance_type):
    return 2.0, 2**30


@pytest.fixture
def world(database):
    made = World(database)
    yield made
    made.loop.run(made.replicas.close())
    made.loop.close()


@pytest.fixture
def in_service(world, echo):
    world.model()
    world.config()
    world.create()
    world.jobs.where[world.all_jobs()[0]] = [echo("a")]
    world.go(Status.READY)
    return world
