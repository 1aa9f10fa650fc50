"""No file and no socket joins two regions, while each trains, serves and answers.

Every descriptor and mapping of every process of each region is listed. Left out, because nothing
passes through them from one process to another: character devices (/dev/null, /dev/urandom), the
kernel's nameless objects (epoll, eventfd, rings of io_uring), and where a process stands (its root
and working folder). What two may both have open is the program itself: never for writing, and,
where regions have ids of their own, nobody's to change but root's.
"""

import itertools
import os
import shutil
import socket
import stat
import sys
from pathlib import Path

import pytest
from tests.live import ROOT, cache_home
from tests.service.regions.held import held_by, tcp_of, unix_peers
from tests.service.test_service_serving import URI, Site, own_image
from tests.three import NAMES
from tests.waiting import wait_for

from bastide.jobs.host import find_bwrap
from bastide.settings import parse

PAIRS = list(itertools.combinations(NAMES, 2))
PROGRAM = (sys.prefix, sys.base_prefix, str(ROOT / "src"), "/usr/", "/lib/", "/etc/")
MODEL = "bastide.smollm2-135m-instruct-v1:0"


def training(site, role):
    return {
        "TrainingJobName": "lasting",
        "RoleArn": role,
        "HyperParameters": {"wait": "1"},
        "AlgorithmSpecification": {"TrainingImage": URI, "TrainingInputMode": "File"},
        "OutputDataConfig": {"S3OutputPath": f"s3://{site.region.name}-out/out"},
        "ResourceConfig": {"InstanceType": "ml.t3.medium", "InstanceCount": 1, "VolumeSizeInGB": 1},
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
    }


def give_model(region):
    """A copy: a link would be one file of two regions."""
    weights = cache_home() / "models" / "smollm2-135m" / "model.gguf"
    place = region.folder / "models"
    if weights.exists() and not (place / "smollm2-135m").exists():
        owner = region.folder.stat()
        shutil.copytree(weights.parent, place / "smollm2-135m")
        for each in (place / "smollm2-135m", *(place / "smollm2-135m").iterdir()):
            os.chown(each, owner.st_uid, owner.st_gid)
    region.cli("models", "pull", "smollm2-135m", "--region", region.name)


def set_to_work(region, tarball):
    """A job that lasts, an endpoint, and an engine."""
    place = region.folder / "tmp-image.tar"
    shutil.copy(tarball, place)
    words = ("env", "import-oci", str(place), "--name", URI, "--region", region.name)
    region.cli(*words)
    give_model(region)
    region.s3(f"{region.name}-out", "own")
    site = Site(region)
    site.sagemaker.create_training_job(**training(site, site.role))
    site.up("plain")
    wait_for(
        lambda: site.sagemaker.describe_training_job(TrainingJobName="lasting"),
        "SecondaryStatus", {"Training"},
    )  # fmt: skip
    region.client("bedrock-runtime", "own").converse(
        modelId=MODEL,
        messages=[{"role": "user", "content": [{"text": "Hello"}]}],
        inferenceConfig={"maxTokens": 1},
    )
    return site


@pytest.fixture(scope="module")
def held(three, tmp_path_factory):
    tarball = own_image(tmp_path_factory.mktemp("image") / "mine.tar")
    sites = [set_to_work(region, tarball) for region in three.regions.values()]
    yield {name: held_by(one.status["pid"], one.folder) for name, one in three.regions.items()}
    for site in sites:
        site.down("plain")
        site.sagemaker.stop_training_job(TrainingJobName="lasting")
    for site in sites:
        wait_for(
            lambda site=site: site.sagemaker.describe_training_job(TrainingJobName="lasting"),
            "TrainingJobStatus", {"Stopped", "Failed", "Completed"},
        )  # fmt: skip
        site.close()


def programs(pids):
    return " ".join(Path(f"/proc/{pid}/cmdline").read_text() for pid in pids)


def test_all_that_a_region_is_made_of_was_looked_at(three, held):
    """The control plane, a shim and a sandbox each for the job and the endpoint, the engine."""
    for name, one in held.items():
        said = programs(one.pids)
        assert "bastide.app" in said
        assert said.count("bastide.jobs.shim") >= 2
        for word in ("/opt/entry\0train", "/opt/entry\0serve", "engine_main"):
            assert word in said, (name, word)
        paths = {file.path for file in one.files.values()}
        folder = three.regions[name].folder
        assert any(path.endswith("/region.db") for path in paths)
        assert any(path.endswith("/model.gguf") for path in paths)
        assert folder.exists()


@pytest.mark.root
def test_no_process_of_a_region_s_ids_was_left_out(three, held):
    settings = parse(three.toml)
    for name, one in held.items():
        ours = settings.region(name).uids()
        for entry in filter(str.isdigit, os.listdir("/proc")):
            try:
                uid = os.stat(f"/proc/{entry}").st_uid
            except FileNotFoundError:
                continue
            if any(uid in range_ for range_ in ours):
                assert int(entry) in one.pids, programs([entry])


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_process_socket_or_pipe_is_of_two(held, one, other):
    assert not set(held[one].pids) & set(held[other].pids)
    assert held[one].inodes
    assert not held[one].inodes & held[other].inodes


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_no_file_is_of_two_but_the_program(held, one, other):
    both = held[one].files.keys() & held[other].files.keys()
    assert both, "they run one program"
    program = os.stat(find_bwrap(Path(sys.executable).with_name("bwrap")))
    bwrap = (program.st_dev, program.st_ino)
    for key in both:
        for found in (held[one].files[key], held[other].files[key]):
            assert stat.S_ISREG(found.mode), found
            assert found.path.startswith(PROGRAM) or key == bwrap, found  # it is shown as /mnt/N
            assert not found.writable, found
            if os.getuid() == 0:
                assert (found.uid, found.mode & 0o022) == (0, 0), found
    for name, elsewhere in ((one, other), (other, one)):
        for found in held[name].files.values():
            assert f"/regions/{elsewhere}/" not in found.path, found


def test_what_was_left_out_passes_nothing(held):
    for one in held.values():
        assert one.devices <= {"/dev/null", "/dev/urandom", "/dev/random", "/dev/zero"}
        kinds = {each.removeprefix("anon_inode:").strip("[]") for each in one.anonymous}
        assert kinds <= {"eventpoll", "eventfd", "signalfd", "pidfd", "io_uring"}


def test_no_socket_is_connected_to_another_region(three, held):
    owner = {inode: name for name, one in held.items() for inode in one.inodes}
    pairs = list(unix_peers())
    assert pairs
    for own, peer in pairs:
        assert len({owner[each] for each in (own, peer) if each in owner}) < 2
    addresses: dict[str, str] = {}
    ends: list[tuple[str, str]] = []
    for name, one in held.items():
        found = tcp_of(three.regions[name].status["pid"])
        mine = {inode: pair for inode, pair in found.items() if inode in one.inodes}
        assert mine, "its listener"
        addresses |= {own: name for own, _ in mine.values()}
        ends += [(name, remote) for _, remote in mine.values()]
    for name, remote in ends:
        assert addresses.get(remote, name) == name


def test_a_pair_that_is_connected_is_seen():
    """Else the test above would pass whatever there is."""
    left, right = socket.socketpair()
    with left, right:
        inodes = {os.fstat(each.fileno()).st_ino for each in (left, right)}
        assert any({own, peer} == inodes for own, peer in unix_peers())
        held = held_by(os.getpid(), Path("/nowhere/at/all"))
        assert inodes <= held.inodes


def test_a_file_that_is_written_is_seen(tmp_path):
    with open(tmp_path / "read", "w"), open(tmp_path / "read") as file, open(__file__) as own:
        held = held_by(os.getpid(), Path("/nowhere/at/all"))
        found = {each.path: each.writable for each in held.files.values()}
        assert found[file.name] is True
        assert found[own.name] is False
