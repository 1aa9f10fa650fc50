"""Models that agencies bring: the gate, in its order; whose they are; what a killed region left."""

from datetime import timedelta

import pytest
from tests.importing_kit import digest, safetensors
from tests.imports_world import TINY, TakenOver, api_of, changed, config, working_at
from tests.inference_kit import ACCOUNT, OTHER, call

from bastide.kernel.errors import ServiceError, Unavailable
from bastide.models import import_records as records
from bastide.models.importer import TRIES_MAX


@pytest.fixture
def api(database, tmp_path):
    return api_of(database, tmp_path / "imported")


def refused(work):
    with pytest.raises(ServiceError) as caught:
        work()
    return caught.value.code


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


def test_what_a_judge_leaves_goes_however_deep_it_is(api, deep_path):
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


def test_keys_that_are_destroyed_before_its_files_come_leave_none_of_them(api):
    arn = api.begin()
    assumed = api.roles.assume_for_service

    def shredded(*asked):
        api.work.shred(ACCOUNT, ["U"])
        return assumed(*asked)

    api.roles.assume_for_service = shredded
    api.work.settle()
    assert api.shown(arn)["status"] == "Failed"
    assert api.left() == []


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
