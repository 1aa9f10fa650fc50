"""Control groups version 2, on a tree that keeps the kernel's rules, and on the kernel's own.

Source: https://docs.kernel.org/admin-guide/cgroup-v2.html
"""

import errno
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from bastide.jobs.cgroups import Files, Group, Hierarchies, detect, give

CONTROLLED = {
    "memory": {"memory.max": "max", "memory.swap.max": "max", "memory.events": "oom_kill 0\n"},
    "pids": {"pids.max": "max"},
    "cpu": {"cpu.max": "max 100000"},
}
LIMITS = {"memory_bytes": 1 << 30, "pids_max": 64, "cpus": 1.5}


class Kernel(Files):
    """A hierarchy in a folder. Every group but the machine's root has a type; a controller is
    given to the groups below by whom it was given to; whoever gives holds no process; a process
    is in one group; a group that is in use stays."""

    def __init__(self, folder, *, controllers="memory pids cpu io", is_root=True):
        self.root, self.locked = folder, set()
        self.forks: list[str] = []  # pids that appear where the next process is moved away
        folder.mkdir()
        self._fill(folder, controllers.split())
        if is_root:
            (folder / "cgroup.type").unlink()

    def _fill(self, group, controllers):
        files = {"cgroup.type": "domain", "cgroup.procs": "", "cgroup.subtree_control": ""}
        (group / "cgroup.controllers").write_text(" ".join(controllers))
        for name, text in {**files, "cgroup.kill": ""}.items():
            if not (group / name).exists():
                (group / name).write_text(text)
        for controller in controllers:
            for name, text in CONTROLLED.get(controller, {}).items():
                if group != self.root and not (group / name).exists():
                    (group / name).write_text(text)

    def make(self, path):
        group = Path(path)
        if group.exists():
            return self.may_divide(path)
        if not self.may_divide(str(group.parent)):
            return False
        group.mkdir()
        self._fill(group, words(group.parent / "cgroup.subtree_control"))
        return True

    def may_divide(self, path):
        return Path(path).is_dir() and path not in self.locked

    def put(self, path, value):
        file = Path(path)
        if not file.exists():
            raise FileNotFoundError(path)
        rule = {
            "cgroup.subtree_control": self._give,
            "cgroup.procs": self._move,
            "cgroup.kill": self._kill,
        }.get(file.name, lambda group, value: file.write_text(value))
        rule(file.parent, value)

    def _is_inner(self, group):
        return group != self.root or (group / "cgroup.type").exists()

    def _give(self, group, value):
        controller = value.removeprefix("+")
        if controller not in words(group / "cgroup.controllers"):
            raise OSError(errno.ENOENT, "no such controller")
        if self._is_inner(group) and words(group / "cgroup.procs"):
            raise OSError(errno.EBUSY, "it holds processes")
        given = dict.fromkeys([*words(group / "cgroup.subtree_control"), controller])
        (group / "cgroup.subtree_control").write_text(" ".join(given))
        for below in group.iterdir():
            if below.is_dir():
                self._fill(below, list(given))

    def _move(self, group, pid):
        if self._is_inner(group) and words(group / "cgroup.subtree_control"):
            raise OSError(errno.EBUSY, "it is divided")
        for file in self.root.rglob("cgroup.procs"):
            pids = words(file)
            if pid in pids:
                pids.remove(pid)
                file.write_text(" ".join([*pids, *self.forks]))
                self.forks = []
        (group / "cgroup.procs").write_text(" ".join([*words(group / "cgroup.procs"), pid]))

    def _kill(self, group, value):
        assert value == "1"
        (group / "cgroup.procs").write_text("")

    def remove(self, path):
        group = Path(path)
        if not group.exists():
            raise FileNotFoundError(path)
        if words(group / "cgroup.procs") or any(each.is_dir() for each in group.iterdir()):
            raise OSError(errno.EBUSY, "in use")
        shutil.rmtree(group)


def words(file):
    return file.read_text().split()


def found(kernel, at="/"):
    """What is detected by a process that stands at `at`."""
    own = kernel.root.parent / "own"
    own.write_text(f"1:name=systemd:/elsewhere\n0::{at}\n")
    return detect(str(kernel.root), str(own), kernel)


@pytest.fixture
def root(tmp_path):
    return tmp_path / "root"


def test_the_machine_s_root_is_divided_with_its_processes_in_it(root):
    kernel = Kernel(root)
    (root / "cgroup.procs").write_text("1 2")
    where = found(kernel)
    assert where.folders == dict.fromkeys(("memory", "pids", "cpu"), f"{root}/bastide")
    assert where.unified == f"{root}/bastide"
    for group in (root, root / "bastide"):
        assert words(group / "cgroup.subtree_control") == ["memory", "pids", "cpu"]
    assert words(root / "cgroup.procs") == ["1", "2"]
    assert found(kernel).folders == where.folders, "again"


@pytest.mark.parametrize("forks", [[], ["9"]])
def test_a_container_s_root_is_cleared_first(root, forks):
    """It is a group like any other, whatever it looks like from inside."""
    kernel = Kernel(root, is_root=False)
    (root / "cgroup.procs").write_text("1 2")
    kernel.forks = list(forks)
    assert set(found(kernel).folders) == {"memory", "pids", "cpu"}
    assert words(root / "cgroup.procs") == []
    assert sorted(words(root / "control/cgroup.procs")) == ["1", "2", *forks]


def delegated(root):
    """`/site` is ours, and what is above it is not."""
    kernel = Kernel(root)
    for controller in ("memory", "pids", "cpu"):
        kernel.put(f"{root}/cgroup.subtree_control", f"+{controller}")
    assert kernel.make(f"{root}/site")
    kernel.locked.add(str(root))
    (root / "site/cgroup.procs").write_text("7")
    return kernel


def test_a_delegated_group_is_divided(root):
    kernel = delegated(root)
    where = found(kernel, "/site")
    assert where.unified == f"{root}/site/bastide"
    assert words(root / "site/control/cgroup.procs") == ["7"]


def test_who_starts_in_our_leaf_finds_the_same_group(root):
    """Else each restart would lie one deeper, and know nothing of the jobs before it."""
    kernel = delegated(root)
    before = found(kernel, "/site")
    after = found(kernel, "/site/control")
    assert (after.folders, after.unified) == (before.folders, before.unified)
    assert not (root / "site/control/control").exists()


@pytest.mark.root
def test_what_is_given_to_a_region_is_what_the_region_divides(root):
    kernel = Kernel(root)
    for _ in range(2):  # and again, when it is started anew
        kernel.locked.clear()
        give(7, found(kernel), kernel)
        ours = root / "bastide/region-7"
        assert words(ours / "control/cgroup.procs") == [str(os.getpid())]
        for folder in (ours, ours / "bastide", ours / "control"):
            for each in (folder, folder / "cgroup.procs", folder / "cgroup.subtree_control"):
                assert each.stat().st_uid == 7
        assert (ours / "memory.max").stat().st_uid == 0, "its own limit is not for it to change"
        kernel.locked.add(str(root))  # it may not divide what is not its own
        where = found(kernel, "/bastide/region-7/control")
        assert where.unified == f"{ours}/bastide"
        assert set(where.folders) == {"memory", "pids", "cpu"}


def test_a_delegated_group_may_have_our_leaf_s_name(root):
    kernel = delegated(root)
    assert kernel.make(f"{root}/site/control")
    kernel.locked.add(f"{root}/site")
    (root / "site/cgroup.procs").write_text("")
    for controller in ("memory", "pids", "cpu"):
        kernel.put(f"{root}/site/cgroup.subtree_control", f"+{controller}")
    assert found(kernel, "/site/control").unified == f"{root}/site/control/bastide"


@pytest.mark.parametrize(
    ("controllers", "has"),
    [("memory pids", {"memory", "pids"}), ("pids cpu", set()), ("", set())],
)
def test_what_the_kernel_does_not_give_is_not_there(root, controllers, has):
    where = found(Kernel(root, controllers=controllers))
    assert set(where.folders) == has
    assert bool(where.unified) == bool(has)


def test_nothing_where_nothing_may_be_divided(root):
    kernel = delegated(root)
    kernel.locked.add(f"{root}/site")
    assert found(kernel, "/site").folders == {}
    assert words(root / "site/cgroup.procs") == ["7"]


@pytest.fixture
def kernel(root):
    return Kernel(root)


@pytest.fixture
def group(kernel):
    made = Group(found(kernel), "attempt", kernel)
    made.create(LIMITS)
    return made


def test_limits(root, group):
    folder = root / "bastide/attempt"
    assert (folder / "memory.max").read_text() == str(1 << 30)
    assert (folder / "memory.swap.max").read_text() == "0"
    assert (folder / "pids.max").read_text() == "64"
    assert (folder / "cpu.max").read_text() == "150000 100000"


def test_limits_that_are_not_asked_for_stay_away(root, kernel):
    Group(found(kernel), "free", kernel).create(dict.fromkeys(LIMITS))
    for name, text in {
        name: text for each in CONTROLLED.values() for name, text in each.items()
    }.items():
        assert (root / "bastide/free" / name).read_text() == text


def test_a_machine_without_swap_has_no_such_file(root, kernel):
    group = Group(found(kernel), "attempt", kernel)
    group.create({})
    (root / "bastide/attempt/memory.swap.max").unlink()
    group.create(LIMITS)
    assert (root / "bastide/attempt/memory.max").read_text() == str(1 << 30)
    assert not (root / "bastide/attempt/memory.swap.max").exists()


@pytest.mark.parametrize("taken", ["memory", "pids"])
def test_no_job_starts_without_a_limit_that_was_promised(root, kernel, taken):
    """The service manager may take back a controller of a group that it did not delegate."""
    where = found(kernel)
    given = words(root / "bastide/cgroup.subtree_control")
    (root / "bastide/cgroup.subtree_control").write_text(
        " ".join(each for each in given if each != taken)
    )
    with pytest.raises(OSError, match=f"{taken}.max"):
        Group(where, "attempt", kernel).create(LIMITS)


def test_a_process_enters_and_is_found(root, group):
    (root / "cgroup.procs").write_text(f"1 {os.getpid()}")
    group.enter()
    assert group.pids() == [os.getpid()]
    assert words(root / "cgroup.procs") == ["1"]


def test_who_cannot_enter_does_not_start(root, kernel, group):
    (root / "bastide/attempt/cgroup.procs").unlink()
    with pytest.raises(OSError, match="procs"):
        group.enter()


def test_kills_for_memory_are_counted(root, group):
    assert group.memory_kills() == 0
    events = "low 0\nhigh 4\nmax 12\noom 2\noom_group_kill 1\noom_kill 3\n"
    (root / "bastide/attempt/memory.events").write_text(events)
    assert group.memory_kills() == 3


def test_all_are_killed_in_one_go(root, group):
    (root / "bastide/attempt/cgroup.procs").write_text("1 2")
    group.kill()
    assert group.pids() == []


def test_each_is_killed_where_the_kernel_is_older(root, group):
    """cgroup.kill came with Linux 5.14."""
    (root / "bastide/attempt/cgroup.kill").unlink()
    with subprocess.Popen(["/bin/sleep", "600"]) as child:
        (root / "bastide/attempt/cgroup.procs").write_text(str(child.pid))
        group.kill()
        assert child.wait() == -signal.SIGKILL
    assert not (root / "bastide/attempt/cgroup.kill").exists()


def test_a_group_in_use_stays(root, group):
    (root / "bastide/attempt/cgroup.procs").write_text("1")
    assert group.remove() is False
    group.kill()
    assert group.remove() is True
    assert not (root / "bastide/attempt").exists()
    assert group.remove() is True, "again"


def test_writing_makes_no_file(tmp_path):
    assert Files().write(f"{tmp_path}/cgroup.kill", "1") is False
    assert list(tmp_path.iterdir()) == []


def mounted() -> str:
    """A place in the kernel's own hierarchy where groups can be made; "" if there is none."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(place, os.W_OK):
            return place
    return ""


@pytest.fixture
def real():
    place = mounted()
    if not place:
        pytest.skip("no cgroup2 is mounted where this user may write")
    folder = f"{place}/bastide-test-{os.getpid()}"
    os.mkdir(folder)
    yield folder
    for inner, _, _ in os.walk(folder, topdown=False):
        os.rmdir(inner)


def test_the_kernel_s_own_files(real, tmp_path):
    """Controllers are version 1's on many machines: processes are moved and killed in any case."""
    own = tmp_path / "own"
    own.write_text("0::/\n")
    where = detect(real, str(own))
    available = Path(f"{real}/cgroup.controllers").read_text().split()
    assert bool(where.folders) == ("memory" in available)
    group = Group(where if where.folders else Hierarchies({"memory": real}, real), "attempt")
    group.create(LIMITS if where.folders else {})
    held, free = os.pipe2(os.O_CLOEXEC)
    with subprocess.Popen(["/bin/cat"], stdin=held, preexec_fn=group.enter) as child:
        assert group.pids() == [child.pid]
        assert group.remove() is False
        group.kill()
        assert child.wait() == -signal.SIGKILL
    os.close(held)
    os.close(free)
    assert group.pids() == []
    assert group.remove() is True
