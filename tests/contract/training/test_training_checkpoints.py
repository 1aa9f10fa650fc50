"""Checkpoints go to S3 while a job runs, and the last when it has ended."""

import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from tests.sagefakes import ONE, FakeObjects
from tests.training_kit import finished
from tests.waiting import eventually

from bastide.jobs.model import Status
from bastide.training.checkpoints import CheckpointSync


class Counted(FakeObjects):
    """Remembers what was put, in order; `meanwhile` runs while a body is being read."""

    def __init__(self, held):
        super().__init__(held=held)
        self.puts, self.meanwhile = [], None

    def put(self, who, bucket, key, chunks, content_type="binary/octet-stream"):
        data = []
        for chunk in chunks:
            data.append(chunk)
            if self.meanwhile:
                self.meanwhile()
        self.puts.append(key)
        return super().put(who, bucket, key, data)


@pytest.fixture
def saving(world, tmp_path):
    """A running job with checkpoints; `look` is one round of the sync."""
    job, home = finished(world, tmp_path, CheckpointConfig={"S3Uri": "s3://bkt/ck"})
    objects = Counted(world.objects.held)
    world.kind = replace(world.kind, objects=objects)
    world.jobs.folder = tmp_path
    world.jobs.go(job.spec.id, Status.RUNNING)
    sync = CheckpointSync(world.jobs, "training", world.kind.keep_checkpoints)
    yield SimpleNamespace(job=job, at=home / "checkpoints", objects=objects, look=sync.look)
    sync.close()


def test_checkpoints_go_to_s3_once_they_stand_still(saving):
    (saving.at / "a").mkdir()
    (saving.at / "a/1").write_text("one")
    saving.look()
    assert saving.objects.puts == []
    (saving.at / "2").write_text("tw")
    saving.look()
    assert saving.objects.puts == ["ck/a/1"]
    (saving.at / "2").write_text("two")
    saving.look()
    saving.look()
    saving.look()
    assert saving.objects.puts == ["ck/a/1", "ck/2"]
    assert saving.objects.held[ONE, "bkt", "ck/2"] == b"two"


def test_a_checkpoint_that_changes_while_it_is_read_is_not_put(saving):
    (saving.at / "1").write_text("half")
    saving.look()
    saving.objects.meanwhile = lambda: (saving.at / "1").write_text("whole")
    saving.look()
    assert saving.objects.puts == []
    saving.objects.meanwhile = None
    saving.look()
    saving.look()
    assert saving.objects.held[ONE, "bkt", "ck/1"] == b"whole"


def test_a_checkpoint_that_grows_as_fast_as_it_is_read_ends(saving):
    log = saving.at / "log"
    log.write_bytes(bytes(3 << 20))
    saving.look()

    def grow():
        assert log.stat().st_size < 64 << 20, "it is read on and on"
        with log.open("ab") as file:
            file.write(bytes(4 << 20))

    saving.objects.meanwhile = grow
    saving.look()
    assert saving.objects.puts == []


def test_a_long_upload_holds_off_no_other_agency(tmp_path):
    slow, fast = (
        SimpleNamespace(spec=SimpleNamespace(id=a, account=a)) for a in (ONE, "222233334444")
    )
    begun, ends, seen = threading.Event(), threading.Event(), threading.Semaphore(0)

    def work(job, _folder):
        if job is slow:
            begun.set()
            assert ends.wait(30)
        else:
            seen.release()

    jobs = SimpleNamespace(running=lambda _kind: [(slow, tmp_path), (fast, tmp_path)])
    sync = CheckpointSync(jobs, "training", work)
    first = threading.Thread(target=sync.look)
    first.start()
    try:
        assert begun.wait(30)
        assert seen.acquire(timeout=30)
        eventually(lambda: sync.look() or seen.acquire(blocking=False))
    finally:
        ends.set()
        first.join()
        sync.close()


def test_a_fault_with_one_job_holds_off_no_other_of_its_agency(tmp_path):
    bad, good = (SimpleNamespace(spec=SimpleNamespace(id=each, account=ONE)) for each in "bg")
    seen = []

    def work(job, _folder):
        seen.append(job)
        if job is bad:
            raise RuntimeError("a bug")

    jobs = SimpleNamespace(running=lambda _kind: [(bad, tmp_path), (good, tmp_path)])
    sync = CheckpointSync(jobs, "training", work)
    sync.look()
    sync.close()
    assert seen == [bad, good]


def test_the_end_sends_only_what_is_not_there_yet(saving, world, tmp_path):
    (saving.at / "1").write_text("one")
    saving.look()
    saving.look()
    (saving.at / "2").write_text("two")
    world.kind.collect(saving.job, tmp_path)
    assert saving.objects.puts == ["ck/1", "ck/2"]
    saving.look()  # one that began before the end
    assert saving.objects.puts == ["ck/1", "ck/2"]


def test_a_link_in_place_of_the_checkpoints_shows_nothing(saving, tmp_path):
    secret = tmp_path / "secret"
    secret.mkdir()
    (secret / "s").write_text("s")
    saving.at.rename(saving.at.with_name("away"))
    saving.at.symlink_to(secret)
    saving.look()
    saving.look()
    assert saving.objects.puts == []
