"""kill -9 of a region at each touch of a file by an import: it ends as if nothing had been, and
nothing is there that does not belong to a model."""

import hashlib
import os
from contextlib import contextmanager
from functools import partial

import pytest
from tests.faults import killed
from tests.importing_kit import Tiny
from tests.imports_world import Api
from tests.inference_kit import call

from bastide.db import Database

FILES = Tiny().files()
CHANGES = ("os.mkdir", "os.rename", "os.remove", "os.rmdir", "os.link", "os.chmod", "shutil.rmtree")


def is_change(folder, event, arguments):
    if event == "open":
        path, _, flags = arguments
        writes = flags is not None and flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        return bool(writes) and str(path).startswith(str(folder))
    return event in CHANGES


@contextmanager
def region(home, files):
    database = Database(f"sqlite:///{home}/region.db")
    database.start(create=True)
    made = Api(database, home / "imported")
    made.lay(files)
    yield made
    database.close()


def worked(home, files):
    with region(home, files) as api:
        api.work.settle()


def begun(home, files):
    (home / "imported").mkdir(parents=True)
    with region(home, files) as api:
        return api.begin()


def check(api, arn, want):
    """It has ended as it should, and what is there is the model's, whole."""
    job = api.shown(arn)
    assert job["status"] == want, job
    models = api.models.list_imported_models(call(), {})["modelSummaries"]
    assert len(models) == (want == "Completed")
    assert len(api.left()) == len(models)
    if models:
        card = api.shelf.card(call().principal, models[0]["modelArn"])
        assert hashlib.sha256(card.path.read_bytes()).hexdigest() == card.sha256
        assert sorted(one.name for one in card.path.parent.iterdir()) == ["key", "model.gguf"]


@pytest.mark.parametrize(
    ("files", "want"),
    [
        (FILES, "Completed"),
        ({**FILES, "README.md": b"---\nlicense: none-of-ours\n---\n"}, "Failed"),
    ],
    ids=["taken", "refused"],
)
def test_killed_at_each_change_it_ends_as_if_nothing_had_been(tmp_path, files, want):
    at, was_killed = 0, True
    while was_killed:
        home = tmp_path / str(at)
        arn = begun(home, files)
        was_killed = killed(partial(worked, home, files), at, partial(is_change, home / "imported"))
        with region(home, files) as api:
            if api.shown(arn)["status"] == "InProgress":
                assert was_killed
                assert api.models.list_imported_models(call(), {}) == {"modelSummaries": []}
            api.work.settle()
            check(api, arn, want)
        at += 1
    assert at > 20
