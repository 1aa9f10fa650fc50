"""Models that agencies bring: the gate, in its order; whose they are; what a killed region left."""

import hashlib
import json
import threading
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest
from tests.importing_kit import Tiny, digest, safetensors
from tests.inference_kit import ACCOUNT, GOV, OTHER, call
from tests.jobs_kit import deep
from tests.labels_kit import US, at, marks
from tests.waiting import eventually

from bastide.jobs.ports import JobFailed
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError, Unavailable
from bastide.kernel.ids import SystemIds
from bastide.models import import_records as records
from bastide.models.import_jobs import ImportJobs, ImportJobShelf
from bastide.models.import_work import RETRY_S, UNDER_WAY_MAX, ImportWork
from bastide.models.imported_models import ImportedModels, ImportShelf
from bastide.models.importer import BUSY_MAX_S, TRIES_MAX, WAITS_MAX_MS, Importer
from bastide.models.importing.facts import Judged, Refused
from bastide.models.importing.worker import facts_of
from bastide.models.tags import Tags

ROLE = f"arn:aws-us-gov:iam::{ACCOUNT}:role/r"
TINY = Tiny()
THIRD = "333333333333"


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


@pytest.fixture
def api(database, tmp_path):
    folder = tmp_path / "imported"
    folder.mkdir()
    made = Api(database, folder)
    made.lay(TINY.files())
    return made


def view(who):
    return who.account, str(who.session)


def working_at(marking, account=ACCOUNT):
    made = call("bedrock.CreateModelImportJob", account)
    return replace(made, principal=replace(made.principal, **at(marking)))


def refused(work):
    with pytest.raises(ServiceError) as caught:
        work()
    return caught.value.code


def changed(name, content):
    return {**TINY.files(), name: content}


def config(**more):
    return changed("config.json", json.dumps({**TINY.config, **more}).encode())


def test_a_model_and_what_is_said_of_it(api):
    job = api.brought(importedModelTags=[{"key": "a", "value": "1"}])
    assert (job["status"], "failureMessage" in job) == ("Completed", False)
    arn = job["importedModelArn"]
    for named in (arn, "tiny"):
        shown = api.models.get_imported_model(call(), {"modelIdentifier": named})
        assert (shown["modelArn"], shown["jobArn"]) == (arn, job["jobArn"])
    listed = api.models.list_imported_models(call(), {"nameContains": "in"})
    assert [one["modelArn"] for one in listed["modelSummaries"]] == [arn]
    assert api.tags.list_tags_for_resource(call(), {"resourceARN": arn})["tags"] == [
        {"key": "a", "value": "1"}
    ]
    row = api.shelf.find(call().principal, arn)
    assert row.files == {name: digest(content) for name, content in TINY.files().items()}
    assert api.shelf.card(call().principal, "tiny") is None  # it is called by its ARN alone
    assert api.running.asked == [api.shelf.card(call().principal, arn).name]


def test_it_is_deleted_with_its_files_and_its_engine(api):
    arn = api.brought()["importedModelArn"]
    card = api.shelf.card(call().principal, arn)
    api.running.unloaded.clear()
    api.models.delete_imported_model(call(), {"modelIdentifier": arn})
    assert api.running.unloaded == [card.name]
    assert api.left() == []
    named = {"modelIdentifier": arn}
    assert refused(lambda: api.models.get_imported_model(call(), named)) == (
        "ResourceNotFoundException"
    )
    assert api.shelf.card(call().principal, arn) is None


BAD_HEADER = (1 << 40).to_bytes(8, "little") + b"{}"
SPIKE = {**TINY.weights, "model.norm.weight": TINY.weights["model.norm.weight"] * float("nan")}
LESS = {name: found for name, found in TINY.weights.items() if "q_proj" not in name}
MORE = {**TINY.weights, "model.layers.0.mlp.experts.weight": TINY.weights["model.norm.weight"]}


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"README.md": b"---\nlicense: mit\n---\n", "pytorch_model.bin": b"x"}, "no weights"),
        (changed("model.safetensors", BAD_HEADER), "no length that can be"),
        (changed("model.safetensors", b""), "no length that can be"),
        (changed("model.safetensors", TINY.files()["model.safetensors"] + b"x"), "do not fill"),
        (changed("model.safetensors", TINY.files()["model.safetensors"][:-9]), "do not fill"),
        (changed("model.safetensors", safetensors(LESS, "F16")), "q.weight is missing"),
        (changed("model.safetensors", safetensors(MORE, "F16")), "is not one of a model"),
        (changed("model.safetensors", safetensors(SPIKE, "F16")), "what is no number"),
        (changed("model.gguf", b"GGUF"), "more than one model"),
        (changed("config.json", b"{" * 100_000), "config.json cannot be read"),
        (config(architectures=["BertModel"]), "BertModel is not supported"),
        (config(hidden_size=-1), "hidden values"),
        (config(num_hidden_layers=10**9), "layers"),
        (config(intermediate_size=32), "has the shape"),
        (config(quantization_config={"bits": 4}), "quantization_config"),
        (config(rope_scaling={"rope_type": "yarn", "factor": 4}), "yarn"),
        (config(hidden_act="gelu"), "gelu"),
        (changed("tokenizer.json", b"[]"), "no JSON object"),
        (changed("tokenizer.json", b'{"model": {"type": "WordPiece"}}'), "is not BPE"),
        ({"model.gguf": b"GGUF" + b"\xff" * 64}, "no acceptable GGUF"),
    ],
)
def test_what_the_gate_does_not_take(api, files, why):
    api.objects.clear()
    api.lay(files)
    job = api.brought()
    assert job["status"] == "Failed"
    assert why in job["failureMessage"]
    assert api.left() == []
    assert api.running.asked == []
    assert "importedModelArn" not in job


@pytest.mark.parametrize(
    ("said", "tag", "why"),
    [
        ("mit", "", "not one that this site takes"),
        ("", "", "do not say their licence"),
        ("", "GPL-3.0", "not one that this site takes"),
        ("apache-2.0", "mit", "The files say the licence apache-2.0, the job says mit"),
        ("", "Apache-2.0", None),
        ("Apache-2.0", "", None),
    ],
)
def test_licences(api, said, tag, why):
    api.lay(TINY.files(said))
    tags = [{"key": "bastide:licence", "value": tag}] if tag else []
    job = api.brought(jobTags=tags)
    assert job.get("failureMessage") is None if why is None else why in job["failureMessage"]


def test_one_that_does_not_answer_is_not_taken(api):
    api.running.reason = "The model answers nothing."
    job = api.brought()
    assert (job["status"], job["failureMessage"]) == ("Failed", "The model answers nothing.")
    assert api.left() == []


def test_what_a_judge_leaves_goes_however_deep_it_is(api):
    api.work.importer = api.importer(judge=TakenOver())
    assert api.brought()["failureMessage"] == "It is no model."
    assert api.left() == []


def test_what_is_larger_than_the_site_takes(api):
    api.work.importer = api.importer(bytes_max=1000)
    assert "larger than" in api.brought()["failureMessage"]
    assert api.left() == []


def test_what_a_killed_region_left_is_begun_anew(api):
    arn = api.begin()
    job = api.database.read(records.unfinished)[0]
    half = api.folder / ACCOUNT / f"{job.model}.partial"
    half.mkdir(parents=True)
    (half / "in").write_bytes(b"torn")
    stray = api.folder / ACCOUNT / "abcdefghijkl"
    stray.mkdir()
    again = api.new_work()
    again.importer.sweep()
    assert not stray.exists()
    again.settle()
    assert api.shown(arn)["status"] == "Completed"
    assert api.left() == [f"{ACCOUNT}/{job.model}"]


def test_one_that_never_comes_to_an_end_fails(api):
    arn = api.begin()
    job = api.database.read(records.unfinished)[0]
    for _ in range(TRIES_MAX):
        api.database.write(lambda c: records.begin(c, job.id, 1))
    api.work.settle()
    assert "did not come to an end" in api.shown(arn)["failureMessage"]


def test_one_that_is_ready_waits_while_the_engines_are_busy_and_is_not_begun_again(api):
    api.running.busy = 3 * TRIES_MAX
    read = []
    api.work.importer = api.importer(reading=lambda who: read.append(1) or FakeBucket(api.objects))
    assert api.brought()["status"] == "Completed"
    assert (len(read), api.running.busy) == (1, 0)


def test_it_does_not_wait_for_ever(api):
    api.running.busy = 1 << 30
    arn = api.begin()
    api.work.settle()
    api.pass_by(BUSY_MAX_S - 1)
    assert api.shown(arn)["status"] == "InProgress"
    api.pass_by(1)
    told = api.shown(arn)["failureMessage"]
    assert told == "The engines were busy for 1 h. Start it again."
    assert api.left() == []


def test_what_waits_for_an_engine_keeps_no_thread_from_another_agency(api):
    """Two wait, as many as there are threads; a third's comes to its end meanwhile."""
    api.running.busy_for = {ACCOUNT, OTHER}
    waiting = [(api.begin(by=one), one) for one in (call(), call(account=OTHER))]
    api.work.settle()
    theirs = call(account=THIRD)
    third = api.begin(by=theirs)
    api.work.settle()
    assert api.shown(third, theirs)["status"] == "Completed"
    assert [api.shown(arn, by)["status"] for arn, by in waiting] == ["InProgress"] * 2
    api.running.busy_for.clear()
    api.pass_by()
    assert [api.shown(arn, by)["status"] for arn, by in waiting] == ["Completed"] * 2


def test_threads_that_gather_go_on_while_all_that_ask_engines_wait(api):
    api.running.gate = threading.Event()
    agencies = [call(account=one) for one in (ACCOUNT, OTHER, THIRD)]
    arns = [api.begin(by=one) for one in agencies]
    api.work.start()
    try:
        eventually(lambda: len(api.left()) == 3)  # the third's weights are there too
        eventually(lambda: not any("partial" in one for one in api.left()))
        assert api.running.asked == []
        api.running.gate.set()
        eventually(
            lambda: (
                [api.shown(*one)["status"] for one in zip(arns, agencies, strict=True)]
                == ["Completed"] * 3
            )
        )
    finally:
        api.running.gate.set()
        api.work.close()


def test_agencies_and_labels_take_turns(api):
    """Who has many waits behind who has one, and what is above holds up nothing below."""
    for number in range(3):
        api.begin(f"m{number}")
        api.clock.advance(1)
    api.begin("high", working_at("TS"))
    api.begin("theirs", call(account=OTHER))
    order = []
    api.work.importer = api.importer(
        reading=lambda who: order.append(view(who)) or FakeBucket(api.objects)
    )
    api.work.settle()
    mine, high, theirs = (ACCOUNT, "U"), (ACCOUNT, "TS"), (OTHER, "U")
    assert order[0] == mine
    assert set(order[1:3]) == {high, theirs}
    assert order[3:] == [mine, mine]


def test_no_more_are_begun_than_the_disk_is_to_hold(api):
    agencies = [call(account=str(111111111111 + n)) for n in range(UNDER_WAY_MAX + 1)]
    api.running.busy = 1 << 30
    for one in agencies:
        api.begin(by=one)
    api.work.settle()
    assert len(api.left()) == UNDER_WAY_MAX
    api.running.busy = 0
    api.pass_by()
    assert len(api.left()) == UNDER_WAY_MAX + 1


def test_what_waits_when_the_region_ends_is_no_try(api):
    api.running.busy = 1 << 30
    arn = api.begin()
    for _ in range(2 * TRIES_MAX):
        api.new_work().settle()
    assert (api.shown(arn)["status"], api.running.asked) == ("InProgress", [])
    api.running.busy = 0
    api.new_work().settle()
    assert api.shown(arn)["status"] == "Completed"


def test_what_cannot_be_done_for_a_day_fails(api):
    def busy(who):
        raise Unavailable("busy")

    api.work.importer = api.importer(reading=busy)
    arn = api.begin()
    api.clock.advance(WAITS_MAX_MS / 1000 + 1)
    api.work.settle()
    assert "no time for it for a day" in api.shown(arn)["failureMessage"]


def test_files_go_though_the_engine_cannot_be_ended_yet(api, caplog):
    """It is ended later: the emptied folder stays until then."""
    arn = api.brought()["importedModelArn"]
    name = api.shelf.card(call().principal, arn).name
    api.running.unloaded.clear()
    api.running.stays = 1
    api.models.delete_imported_model(call(), {"modelIdentifier": arn})
    (place,) = api.folder.glob("*/*")
    assert list(place.iterdir()) == []
    assert "waits: busy" in caplog.text
    api.work._unswept = True  # as a while later
    api.work.settle()
    assert (api.left(), api.running.unloaded) == ([], [name])


def test_what_cannot_be_swept_keeps_nothing_else_from_going(api):
    for name in ("aaaaaaaaaaaa", "bbbbbbbbbbbb.partial"):
        (api.folder / ACCOUNT / name / "in").mkdir(parents=True)
    api.running.stays = 1
    with pytest.raises(Unavailable):
        api.importer().sweep()
    assert api.left() == [f"{ACCOUNT}/aaaaaaaaaaaa"]
    api.importer().sweep()
    assert api.left() == []


def test_with_an_agencys_keys_its_weights_go(api):
    arn, high = api.brought()["importedModelArn"], working_at("TS")
    kept = api.brought(by=high)["importedModelArn"]
    theirs = api.brought(by=call(account=OTHER))["importedModelArn"]
    waits = api.begin("waits")
    api.work.shred(ACCOUNT, ["U"])
    assert api.shelf.card(call().principal, arn) is None
    assert api.shown(waits)["failureMessage"].startswith("The keys to what the agency keeps")
    assert api.shelf.card(high.principal, kept).path.is_file()
    assert api.shelf.card(call(account=OTHER).principal, theirs).path.is_file()
    assert len(api.left()) == 2
    again = api.brought("again")["importedModelArn"]
    assert api.shelf.card(call().principal, again).path.is_file()


def test_what_is_under_way_when_keys_are_destroyed_is_not_taken(api):
    arn = api.begin()
    asked = api.running.reason_against

    def shredded(card, owner, label):
        api.keys.destroy("U")
        api.work.shred(ACCOUNT, ["U"])
        return ""

    api.running.reason_against = shredded
    api.work.settle()
    api.running.reason_against = asked
    assert api.shown(arn)["status"] == "Failed"
    assert api.left() == []
    assert api.models.list_imported_models(call(), {}) == {"modelSummaries": []}


def test_what_a_backup_brings_back_goes_at_the_start(api):
    """Also where the region was killed between the end of the keys and that of the weights."""
    arn = api.brought()["importedModelArn"]
    newer = working_at("TS")
    kept = api.brought(by=newer)["importedModelArn"]
    api.keys.destroy("U")
    api.new_work().settle()
    assert api.shelf.card(call().principal, arn) is None
    assert api.shelf.card(newer.principal, kept).path.is_file()
    assert api.left() == [f"{ACCOUNT}/{kept.rpartition('/')[2]}"]


def test_another_agency_finds_nothing(api):
    job, theirs = api.brought(), call(account=OTHER)
    arn = job["importedModelArn"]
    for work in (
        lambda: api.models.get_imported_model(theirs, {"modelIdentifier": arn}),
        lambda: api.models.delete_imported_model(theirs, {"modelIdentifier": arn}),
        lambda: api.shown(job["jobArn"], theirs),
    ):
        assert refused(work) == "ResourceNotFoundException"
    assert api.models.list_imported_models(theirs, {}) == {"modelSummaries": []}
    assert api.jobs.list_model_import_jobs(theirs, {}) == {"modelImportJobSummaries": []}
    assert api.shelf.card(theirs.principal, arn) is None


def test_what_is_above_is_found_by_none_and_what_is_below_is_not_changed(api):
    high = working_at("TS")
    job = api.brought(by=high)
    arn = job["importedModelArn"]
    assert api.shelf.card(call().principal, arn) is None
    assert api.models.list_imported_models(call(), {}) == {"modelSummaries": []}
    assert api.jobs.list_model_import_jobs(call(), {}) == {"modelImportJobSummaries": []}
    low = api.brought()["importedModelArn"]  # its name is no less free for that
    assert api.shelf.card(high.principal, low).model_id == low
    delete = api.models.delete_imported_model
    assert refused(lambda: delete(high, {"modelIdentifier": low})) == "AccessDeniedException"
    found = api.models.get_imported_model(high, {"modelIdentifier": "tiny"})
    assert found["modelArn"] == arn  # of two of one name, its own


def test_what_cannot_be_begun(api):
    api.begin()
    assert refused(api.begin) == "ConflictException"
    once = api.begin("other", clientRequestToken="t")
    assert api.begin("other", clientRequestToken="t") == once
    assert refused(lambda: api.begin("third", clientRequestToken="t")) == "ConflictException"
    api.roles.refused = True
    assert refused(lambda: api.begin("fourth")) == "AccessDeniedException"


def test_pages_of_jobs(api):
    for number in range(5):
        api.begin(f"m{number}")
    found, req = [], {"maxResults": 2, "statusEquals": "InProgress", "sortOrder": "Ascending"}
    while True:
        answer = api.jobs.list_model_import_jobs(call(), req)
        found += [one["jobName"] for one in answer["modelImportJobSummaries"]]
        if "nextToken" not in answer:
            break
        req |= {"nextToken": answer["nextToken"]}
    assert sorted(found) == [f"m{number}-job" for number in range(5)]
    later = api.clock.now() + timedelta(days=1)
    assert api.jobs.list_model_import_jobs(call(), {"creationTimeAfter": later}) == {
        "modelImportJobSummaries": []
    }
