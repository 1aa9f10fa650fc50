"""Imports of models on fakes: a bucket, roles, engines and keys that do as a test says."""

import hashlib
import json
import threading
from dataclasses import dataclass, field, replace

from bastide.jobs.ports import JobFailed
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.ids import SystemIds
from bastide.models.import_jobs import ImportJobs, ImportJobShelf
from bastide.models.import_work import RETRY_S, ImportWork
from bastide.models.imported_models import ImportedModels, ImportShelf
from bastide.models.importer import Importer
from bastide.models.importing.facts import Judged, Refused
from bastide.models.importing.worker import facts_of
from bastide.models.tags import Tags
from tests.importing_kit import Tiny
from tests.inference_kit import ACCOUNT, GOV, call
from tests.jobs_kit import deep
from tests.labels_kit import US, at, marks

ROLE = f"arn:aws-us-gov:iam::{ACCOUNT}:role/r"
TINY = Tiny()


@dataclass
class FakeRoles:
    refused: bool = False

    def check_pass(self, call, role_arn, service, associated_arn):
        if self.refused:
            raise ServiceError("AccessDeniedException", "no")

    def assume_for_service(self, account, role_arn, service, marking):
        made = call(account=account).principal
        return replace(made, session=US.parse(marking))


@dataclass
class FakeBucket:
    objects: dict[str, bytes]
    read_at: set = field(default_factory=set)

    def listing(self, bucket, prefix):
        return [key for key in self.objects if key.startswith(prefix)]

    def chunks(self, bucket, key):
        if key not in self.objects:
            raise JobFailed("NoSuchKey")
        yield self.objects[key]


@dataclass
class FakeRunning:
    reason: str = ""
    unloaded: list = field(default_factory=list)
    asked: list = field(default_factory=list)
    busy: int = 0
    busy_for: set = field(default_factory=set)  # agencies
    gate: threading.Event | None = None
    stays: int = 0  # how many times an engine cannot be ended

    def reason_against(self, card, owner, label):
        if self.gate is not None:
            assert self.gate.wait(30)
        if self.busy or owner in self.busy_for:
            self.busy = max(0, self.busy - 1)
            raise Unavailable("busy")
        assert hashlib.sha256(card.path.read_bytes()).hexdigest() == card.sha256
        self.asked.append(card.name)
        return self.reason

    def unload(self, name):
        if self.stays:
            self.stays -= 1
            raise Unavailable("busy")
        self.unloaded.append(name)


@dataclass
class FakeKeys:
    """One key for each label, and after its end another."""

    ended: dict[str, int] = field(default_factory=dict)

    def newest(self, account, label):
        return f"{account}-{label}-{self.ended.get(label, 0)}"

    def lives(self, key_id):
        _, label, number = key_id.split("-")
        return int(number) >= self.ended.get(label, 0)

    def destroy(self, label):
        self.ended[label] = self.ended.get(label, 0) + 1


class OpenJudge:
    """The same code without the cage."""

    def judge(self, folder, out, bytes_max):
        try:
            return Judged(facts=facts_of(folder, out / "model.gguf"))
        except Refused as error:
            return Judged(reason=str(error))


class TakenOver(OpenJudge):
    """What came took it over: it leaves what nobody can take away by its name."""

    def judge(self, folder, out, bytes_max):
        deep(out)
        return Judged(reason="It is no model.")


class Api:
    def __init__(self, database, folder):
        shelf = ImportShelf(region=GOV, database=database, marks=marks(database), folder=folder)
        self.shelf, self.database, self.folder = shelf, database, folder
        self.running, self.roles, self.objects = FakeRunning(), FakeRoles(), {}
        self.clock, self.keys, self.later = ManualClock(), FakeKeys(), []
        self.work = self.new_work()
        job_shelf = ImportJobShelf(
            region=shelf.region, database=shelf.database, marks=shelf.marks, models=shelf
        )
        self.jobs = ImportJobs(
            jobs=job_shelf, clock=self.clock, ids=SystemIds(), roles=self.roles,
            poke=lambda: None,
        )  # fmt: skip
        self.models = ImportedModels(shelf=shelf, discard=self.work.discard)
        self.tags = Tags(keepers={"imported-model": shelf, "model-import-job": job_shelf})

    def new_work(self):
        """As after a start of the region."""
        self.later.clear()
        return ImportWork(
            database=self.database, importer=self.importer(),
            after=lambda wait_s, act: self.later.append(act),
        )  # fmt: skip

    def pass_by(self, seconds=RETRY_S):
        """That much time, and what is to be done then."""
        self.clock.advance(seconds)
        due, self.later[:] = list(self.later), []
        for act in due:
            act()
        self.work.settle()

    def importer(self, **more):
        return Importer(
            **{
                "shelf": self.shelf, "database": self.database, "clock": self.clock,
                "roles": self.roles, "reading": lambda who: FakeBucket(self.objects),
                "judge": OpenJudge(), "keys": self.keys, "running": self.running,
                "licences": ("apache-2.0",),
                "bytes_max": 1 << 30, **more,
            }
        )  # fmt: skip

    def lay(self, files):
        self.objects |= {f"m/{name}": content for name, content in files.items()}

    def begin(self, name="tiny", by=None, **more):
        req = {
            "jobName": f"{name}-job", "importedModelName": name, "roleArn": ROLE,
            "modelDataSource": {"s3DataSource": {"s3Uri": "s3://b/m/"}}, **more,
        }  # fmt: skip
        return self.jobs.create_model_import_job(by or call(), req)["jobArn"]

    def shown(self, arn, by=None):
        return self.jobs.get_model_import_job(by or call(), {"jobIdentifier": arn})

    def brought(self, name="tiny", by=None, **more):
        arn = self.begin(name, by, **more)
        self.work.settle()
        while self.later:
            self.pass_by()
        return self.shown(arn, by)

    def left(self):
        return sorted(str(one.relative_to(self.folder)) for one in self.folder.glob("*/*"))


def working_at(marking, account=ACCOUNT):
    made = call("bedrock.CreateModelImportJob", account)
    return replace(made, principal=replace(made.principal, **at(marking)))


def api_of(database, folder):
    """With one model in its bucket."""
    folder.mkdir()
    made = Api(database, folder)
    made.lay(TINY.files())
    return made


def changed(name, content):
    return {**TINY.files(), name: content}


def config(**more):
    return changed("config.json", json.dumps({**TINY.config, **more}).encode())
