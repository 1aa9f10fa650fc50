"""Training jobs and endpoints over the real runner, whose work is done between the calls."""

from dataclasses import replace

from bastide.jobs.capacity import Capacity
from bastide.jobs.fake import Act, FakeExecutor
from bastide.jobs.model import Launch, Status
from bastide.jobs.runner import Runner
from bastide.kernel.clock import ManualClock
from bastide.kernel.ids import SystemIds
from bastide.serving import kind as serving_kind
from bastide.serving import records
from bastide.serving.endpoint_configs import EndpointConfigs
from bastide.serving.endpoints import Endpoints
from bastide.serving.load import Load
from bastide.serving.models import Models
from bastide.serving.planning import Planner
from bastide.serving.routes import Routes
from bastide.serving.settling import Settler
from bastide.serving.shelf import Shelf
from bastide.training import kind as training_kind
from bastide.training.tags import TagStore
from bastide.training.training_jobs import TrainingJobs
from tests.faults import Between
from tests.jobs_kit import PlainKind
from tests.labels_kit import US, marks
from tests.saga.driver import Story
from tests.sagefakes import IMAGE, ONE, ROLE, FakeEnvironments, FakeObjects, FakeRoles, call
from tests.sim.stepped import SteppedWorkers

TAGS = [{"Key": "team", "Value": "one"}]
AHEAD_S = 12


class AnyKind(PlainKind):
    def launch(self, job, home):
        return Launch(argv=("lasts" if job.spec.service else "ends",), env={}, home=home)


class SteppedSettler(Settler):
    """Without its thread and its timers: what is to be looked at later is looked at next."""

    def _later(self, after_s, key):
        self.poke(key)

    def waiting(self):
        return self._queue.qsize()

    def settle_next(self):
        self.settle(self._queue.get())


class Jobs(Story):
    """With a runner whose machine holds two endpoints and no more."""

    def prepare(self):
        self.clock, self.workers = ManualClock(), SteppedWorkers()
        self.executor = FakeExecutor({"lasts": Act(lasts=True)})
        self.between = Between(self.database, self.saboteur.around, "database")
        self.runner = Runner(
            database=self.between,
            clock=self.clock,
            executor=self.executor,
            root=self.folder / "jobs",
            total=Capacity(4.0, 4 << 30),
            workers=self.workers,
        )
        for name in (training_kind.KIND, serving_kind.KIND):
            self.runner.register(name, AnyKind())
        self.build()
        self.runner.recover()

    def build(self):
        raise NotImplementedError

    def restart(self):
        """Time goes on until all is settled."""
        for _ in range(AHEAD_S):
            self.clock.advance(1)
            self.runner.turn()
            while self.workers.tasks:
                self.workers.tasks.pop(0)()
            self.settle()

    def settle(self):
        """Of training jobs there is nothing to be settled."""


class CreateTrainingJob(Jobs):
    taken = ("ResourceInUse",)

    def build(self):
        around, labels = self.saboteur.around, marks(self.database)
        labels.in_use.use(US.lowest)  # as in any region that something was made in
        self.api = TrainingJobs(
            database=self.between,
            clock=self.clock,
            jobs=self.runner,
            roles=Between(FakeRoles(), around, "roles"),
            environments=Between(FakeEnvironments(), around, "environments"),
            marks=labels,
        )

    def act(self):
        request = {
            "TrainingJobName": "J",
            "RoleArn": ROLE,
            "AlgorithmSpecification": {"TrainingImage": IMAGE, "TrainingInputMode": "File"},
            "OutputDataConfig": {"S3OutputPath": "s3://bkt/out"},
            "ResourceConfig": {
                "InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 60},
            "Tags": TAGS,
        }  # fmt: skip
        return self.api.create_training_job(call("sagemaker.CreateTrainingJob"), request)


class Endpoint(Jobs):
    """Two configurations and a model are there."""

    def build(self):
        database, clock, roles = self.between, self.clock, FakeRoles()
        tags, labels = TagStore(), marks(self.database)
        models = Shelf(
            database=database, clock=clock, tags=tags, marks=labels, table=records.models,
            noun="model",
        )  # fmt: skip
        configs = replace(models, table=records.configs, noun="c")
        self.settler = SteppedSettler(
            database=database, clock=clock, jobs=self.runner, load=Load(),
            routes=Routes(database=database),
        )  # fmt: skip
        self.api = Endpoints(
            database=database, clock=clock, jobs=self.runner, settler=self.settler, tags=tags,
            marks=labels, planner=Planner(
                database=database, ids=SystemIds(), marks=labels, roles=roles, sizes=size
            ),
        )  # fmt: skip
        Models(
            shelf=models, roles=roles, environments=FakeEnvironments(), objects=FakeObjects()
        ).create_model(
            call(),
            {"ModelName": "M", "ExecutionRoleArn": ROLE, "PrimaryContainer": {"Image": IMAGE}},
        )
        made = EndpointConfigs(shelf=configs, models=models, sizes=size)
        for name in "CD":
            made.create_endpoint_config(
                call("sagemaker.CreateEndpointConfig"),
                {"EndpointConfigName": name, "ProductionVariants": [variant("a"), variant("b")]},
            )

    def settle(self):
        for _ in range(self.settler.waiting()):
            self.settler.settle_next()

    def state(self):
        """Beside the rows: what answers."""
        found = self.database.read(lambda c: records.find_endpoint(c, (ONE, "E", "U")))
        live = found.live if found else None
        ready = [
            self.runner.find(each.job_id).status is Status.READY
            for each in (live.variants if live else ())
        ]
        folders = [each for each in self.folder.glob("jobs/jobs/*") if each.is_dir()]
        return self.rows() | {
            f"status {found.status if found else None}": 1,
            f"config {live.config if live else None}": 1,
            "ready": sum(ready),
            "folders": len(folders),
        }

    def create(self, config="C"):
        asked = {"EndpointName": "E", "EndpointConfigName": config, "Tags": TAGS}
        return self.api.create_endpoint(call("sagemaker.CreateEndpoint"), asked)


class CreateEndpoint(Endpoint):
    taken = ("ValidationException",)

    def act(self):
        return self.create()


class UpdateEndpoint(Endpoint):
    def prepare(self):
        super().prepare()
        self.create()
        self.restart()

    def act(self):
        asked = {"EndpointName": "E", "EndpointConfigName": "D"}
        return self.api.update_endpoint(call("sagemaker.UpdateEndpoint"), asked)


class DeleteEndpoint(UpdateEndpoint):
    taken = ("ValidationException",)

    def act(self):
        return self.api.delete_endpoint(call("sagemaker.DeleteEndpoint"), {"EndpointName": "E"})


def variant(name):
    return {
        "VariantName": name, "ModelName": "M", "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large", "InitialVariantWeight": 1.0,
    }  # fmt: skip


def size(instance_type):
    return 1.0, 2**28
