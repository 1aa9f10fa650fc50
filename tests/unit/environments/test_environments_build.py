"""What strangers wrote, at a build: it sees nothing of the region, and reaches nobody."""

import json
import os
import socket
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from tests import sources_kit
from tests.jobs_kit import DEEP, deep
from tests.sources_kit import environments, lock_of, sdist
from tests.unsafe_wheels import INFO, PLAIN, RECORD, recorded, zipped

from bastide.environments.bench import BuildFailed
from bastide.environments.build import publish, size_of
from bastide.jobs.executor import Report
from bastide.jobs.folders import walk
from bastide.jobs.host import Layer
from bastide.jobs.model import Exit, Limits

TOLD = """
import json, os, socket
def tried(what):
    try:
        return str(what())
    except OSError as error:
        return type(error).__name__
said = {
    "uid": os.getuid(), "root": sorted(os.listdir("/")), "environment": sorted(os.environ),
    "key": tried(lambda: open(KEY).read()), "written": tried(lambda: open(BESIDE, "w")),
    "reached": tried(lambda: socket.create_connection(DOOR, 5)),
    "processes": [each for each in os.listdir("/proc") if each.isdigit()],
}
"""
LEFT = """
open("tiny.py", "w").write("SAID = " + repr(json.dumps(said)))
"""


@pytest.fixture
def host(tmp_path):
    """What lies around a build: a key, a folder that all may write to, one who listens."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "master.key").write_text("the key")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    with socket.create_server(("127.0.0.1", 0)) as door:
        door.setblocking(False)
        yield {
            "KEY": str(tmp_path / "keys" / "master.key"),
            "BESIDE": str(tmp_path / "open" / "beside"),
            "DOOR": door.getsockname(),
        }
        with pytest.raises(BlockingIOError):
            door.accept()
    assert os.listdir(tmp_path / "open") == []


def named(host, code):
    return "".join(f"{name} = {value!r}\n" for name, value in host.items()) + code


def built(folder, code="", **how):
    """The folder of the environment whose one source has this in its setup.py."""
    source = sdist(folder / "files", code, how.pop("setup", sources_kit.SETUP))
    made = environments(folder, lock_of(folder, source), **how)
    list(made.build("tiny", folder / "files"))
    return made.for_image("tiny").root


def installed(folder, line):
    """The folder of the environment whose one wheel has this in its `.pth`."""
    files = {**PLAIN, "one.pth": line.encode()}
    (folder / "files").mkdir()
    wheel = folder / "files" / "one-1.0-py3-none-any.whl"
    wheel.write_bytes(zipped([*files.items(), (RECORD, recorded(files))]))
    made = environments(folder, lock_of(folder, wheel))
    list(made.build("tiny", folder / "files"))
    return made.for_image("tiny").root


def module_of(root):
    return next(root.glob("lib/python3.*/site-packages/tiny.py"))


def test_a_source_is_built_and_installed(tmp_path):
    root = built(tmp_path)
    assert module_of(root).read_text() == ""
    assert {path.lstat().st_uid for path in root.rglob("*")} == {os.getuid()}
    files = [path.lstat() for path in root.rglob("*") if not path.is_symlink()]
    assert not any(file.st_mode & 0o6022 for file in files)
    assert os.listdir(root.parent) == [root.name]  # nothing of the making is left
    assert os.listdir(tmp_path / "bench") == []


def test_what_a_setup_sees_of_its_machine(tmp_path, host):
    module = module_of(built(tmp_path, named(host, TOLD + LEFT)))
    said = json.loads(module.read_text().removeprefix("SAID = ").strip("'"))
    assert said["uid"] == 1000
    assert said["key"] == "FileNotFoundError"
    assert said["written"] == "FileNotFoundError"
    assert said["reached"] in ("ConnectionRefusedError", "OSError")
    shown = {"usr", "tmp", Path(sys.base_prefix).parts[1]}
    assert not ({"home", "srv", "mnt", Path(__file__).parts[1]} - shown) & set(said["root"])
    assert not [each for each in said["environment"] if each.startswith(("AWS", "PIP", "SSL"))]
    assert len(said["processes"]) < 8  # its own


@pytest.mark.parametrize(
    ("code", "says"),
    [
        ("open(KEY).read()", "No such file or directory"),
        ("open(BESIDE, 'w')", "No such file or directory"),
        ("open('/usr/evil', 'w')", "Read-only file system|Permission denied"),
        ("import socket; socket.create_connection(DOOR, 5)", "refused|unreachable"),
        ("import socket; socket.create_connection(('192.0.2.1', 80), 5)", "unreachable"),
        ("raise SystemExit('I do not like it here')", "I do not like it here"),
    ],
)
def test_a_setup_that_must_not_is_a_build_that_fails(tmp_path, host, code, says):
    with pytest.raises(BuildFailed, match=says) as failed:
        built(tmp_path, named(host, code + "\n"))
    assert "tiny-1.0.tar.gz cannot be built" in str(failed.value)
    assert os.listdir(tmp_path / "environments" / "store") == []


@pytest.mark.parametrize(
    ("code", "limits", "says"),
    [
        ("while True: pass", Limits(wall_s=2, grace_s=0), "max_runtime"),
        (  # it is told so by the write that goes too far, and may clear up before we look
            "open('x', 'wb').write(bytes(9 << 20))",
            Limits(disk_bytes=8 << 20, wall_s=60),
            "disk|File too large",
        ),
        ("x = b'x' * (1 << 30)", Limits(memory_bytes=512 << 20, wall_s=60), "memory|MemoryError"),
    ],
)
def test_a_setup_that_takes_too_much(tmp_path, code, limits, says):
    with pytest.raises(BuildFailed, match=says):
        built(tmp_path, code + "\n", limits=limits)


@pytest.mark.parametrize(
    "setup",
    [
        "from setuptools import setup\nsetup(name='other', version='1.0')",
        "from setuptools import setup\nsetup(name='tiny', version='2.0')",
        "import os\nos._exit(0)",
    ],
)
def test_a_source_that_builds_something_else(tmp_path, setup):
    with pytest.raises(BuildFailed, match="cannot be built"):
        built(tmp_path, setup=setup)


def test_what_a_wheel_runs_at_its_installation_sees_nothing_either(tmp_path, host):
    line = f"import os; open({host['BESIDE']!r}, 'w'); open({host['KEY']!r})\n"
    root = installed(tmp_path, line)
    assert next(root.glob("lib/python3.*/site-packages/one.pth")).read_text() == line
    assert next(root.glob(f"lib/python3.*/site-packages/{INFO}"))


def test_what_is_nested_without_end_is_published_as_all_else(deep_path):
    made, target = deep(deep_path), deep_path / "target"
    publish(made, target)
    seen = list(walk(target))
    assert len(seen) == DEEP + 2
    assert [files for _, _, files in seen if files] == [["link"]], "the pipes are gone"
    assert size_of(target) > 0
    assert (deep_path / "beside" / "kept").exists()


def test_a_pipe_that_a_wheel_leaves_is_not_published(tmp_path):
    """All agencies see an environment, and a mount that is read-only stops no pipe."""
    line = (
        "import os; open('/build/venv/ran', 'w'); os.umask(0); "
        "os.path.exists('/build/venv/pipe') or os.mkfifo('/build/venv/pipe', 0o666)\n"
    )
    root = installed(tmp_path, line)
    assert (root / "ran").exists()
    assert not [path for path in root.rglob("*") if path.is_fifo()]


def test_a_file_that_the_lock_does_not_name(tmp_path):
    lock = lock_of(tmp_path, sdist(tmp_path / "other", "x = 1\n"))
    sdist(tmp_path / "files")
    with pytest.raises(BuildFailed, match="not what the lock names"):
        list(environments(tmp_path, lock).build("tiny", tmp_path / "files"))


class Swapping:
    """An executor whose program leaves a link in the place of its work."""

    def __init__(self, leads_to):
        self._leads_to = leads_to

    def launch(self, attempt, launch, limits):
        if not (launch.home / "venv").is_symlink():
            (launch.home / "venv").symlink_to(self._leads_to)

    def wait(self, attempt, timeout_s):
        return Report(begun=True, exit=Exit(replica=0, code=0))


def test_a_link_in_the_place_of_what_was_made(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    (tmp_path / "files").mkdir()
    made = environments(tmp_path, lock_of(tmp_path))
    bench = replace(made.builder.bench, executor=Swapping(elsewhere))
    made = replace(made, builder=replace(made.builder, bench=bench))
    with pytest.raises(BuildFailed, match="left no environment"):
        list(made.build("tiny", tmp_path / "files"))
    assert elsewhere.stat().st_mode & 0o777 == 0o700


def test_nothing_is_built_where_a_wall_is_missing(tmp_path):
    source = sdist(tmp_path / "files")
    missing = [Layer(name="namespaces", present=False, why="no user namespaces")]
    made = environments(tmp_path, lock_of(tmp_path, source), missing=missing)
    with pytest.raises(BuildFailed, match=r"outside of a sandbox.*namespaces \(no user"):
        list(made.build("tiny", tmp_path / "files"))


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A folder that is all the world."""
    monkeypatch.setenv("UV_FIND_LINKS", str(tmp_path / "world"))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    return tmp_path / "world"


def test_what_is_fetched_does_not_run(tmp_path, index, host):
    source = sdist(index, named(host, "open(BESIDE, 'w'); raise SystemExit('it ran')\n"))
    made = environments(tmp_path, lock_of(tmp_path, source))
    assert list(made.fetch("tiny", tmp_path / "fetched")) == ["fetching 1 packages"]
    assert (tmp_path / "fetched" / source.name).read_bytes() == source.read_bytes()


def test_what_is_fetched_is_what_the_lock_names(tmp_path, index):
    lock = lock_of(tmp_path, sdist(tmp_path / "other", "x = 1\n"))
    sdist(index)
    with pytest.raises(BuildFailed, match=r"names|hash"):
        list(environments(tmp_path, lock).fetch("tiny", tmp_path / "fetched"))


def test_what_is_nowhere_cannot_be_fetched(tmp_path, index):
    index.mkdir()
    lock = lock_of(tmp_path, sdist(tmp_path / "other"))
    with pytest.raises(BuildFailed, match="tiny"):
        list(environments(tmp_path, lock).fetch("tiny", tmp_path / "fetched"))


def test_a_build_fetches_what_it_needs(tmp_path, index):
    source = sdist(index)
    made = environments(tmp_path, lock_of(tmp_path, source))
    steps = list(made.build("tiny"))
    assert steps[:2] == ["fetching 1 packages", "building tiny-1.0.tar.gz"]
    assert module_of(made.for_image("tiny").root)
    assert list(made.build("tiny")) == ["tiny is built already"]


def test_the_second_waits_and_finds_what_the_first_has_built(tmp_path):
    """Two regions may share the folder."""
    source = sdist(tmp_path / "files")
    made = environments(tmp_path, lock_of(tmp_path, source))
    first, second = made.build("tiny", tmp_path / "files"), []
    assert next(first).startswith("building tiny-")
    thread = threading.Thread(target=lambda: second.extend(made.build("tiny", tmp_path / "files")))
    thread.start()
    assert [step.partition(" ")[0] for step in first][-1] == "publishing"
    thread.join()
    assert second == ["tiny is built already"]
