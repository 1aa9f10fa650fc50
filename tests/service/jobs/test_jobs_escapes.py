"""A fixed list of what a hostile script tries. Each is a real process in a real sandbox."""

import os
import sys

import pytest
from tests.jobs_kit import PlainKind, Site, local_executor
from tests.waiting import eventually

from bastide.jobs.model import Bind, Status

PREFIX = os.path.realpath(sys.base_prefix)
PYTHON = f"{PREFIX}/bin/python3"
SYSCALLS = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
def call(name, *arguments):
    ctypes.set_errno(0)
    answer = libc.syscall(*arguments)
    print(name, "REFUSED" if answer == -1 else "ALLOWED", ctypes.get_errno())
"""


class PythonKind(PlainKind):
    def binds(self, home):
        from pathlib import Path

        return [*super().binds(home), Bind(source=Path(PREFIX), target=PREFIX)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("escapes")
    made = Site(folder, local_executor(folder), kind=PythonKind())
    yield made
    made.end()


@pytest.fixture
def attempt(site, request):
    """Run a Python or shell text as a job of its own; answers the job and its lines."""

    def run(text, *, shell=False, name=request.node.name, **options):
        site.kind.lines.clear()
        argv = ("/bin/sh", "-c", text) if shell else (PYTHON, "-I", "-S", "-c", text)
        return site.run(*argv, name=name, **options)

    return run


def test_there_is_no_network(attempt):
    _job, lines = attempt(
        "import socket\n"
        "for target in ('1.1.1.1', '127.0.0.1', '169.254.169.254'):\n"
        "    try: socket.create_connection((target, 53), 2); print('OPEN')\n"
        "    except OSError as error: print(error.errno)\n"
        "print(socket.if_nameindex())\n"
    )
    assert "OPEN" not in lines
    assert all("eth" not in line for line in lines)


def test_only_its_own_processes_are_seen(attempt):
    _, lines = attempt("ls -d /proc/[0-9]* | wc -l", shell=True)
    assert int(lines[0]) <= 5


def test_calls_that_no_job_may_make(attempt):
    # x86_64's and aarch64's numbers differ; the names are looked up by libc where it can.
    numbers = {
        "ptrace": (101, 0, 0, 0, 0), "keyctl": (250, 0, 0, 0, 0), "io_uring": (425, 8, 0),
        "unshare": (272, 0x10000000), "bpf": (321, 0, 0, 0), "userfaultfd": (323, 0),
        "mount": (165, 0, 0, 0, 0, 0), "setns": (308, 0, 0), "perf": (298, 0, 0, 0, 0, 0),
        "clone3": (435, 0, 0), "netlink": (41, 16, 3, 0), "packet": (41, 17, 3, 0),
        "tiocsti": (16, 0, 0x5412, 0), "add_key": (248, 0, 0, 0, 0, 0),
        "statmount": (457, 0, 0, 0, 0), "listmount": (458, 0, 0, 0, 0), "mseal": (462, 0, 0, 0),
        "open_tree_attr": (467, -1, 0, 0x1000, 0, 0), "listns": (470, 0, 0, 0, 0),
        "next": (475, 0, 0, 0),
    }  # fmt: skip
    if os.uname().machine != "x86_64":
        pytest.skip("the numbers are x86_64's")
    tries = "".join(
        f"call({name!r}, {', '.join(map(str, each))})\n" for name, each in numbers.items()
    )
    _, lines = attempt(SYSCALLS + tries)
    assert len(lines) == len(numbers)
    assert all("REFUSED" in line for line in lines), lines
    newer = [line.split()[-1] for line in lines if numbers[line.split()[0]][0] > 452]
    assert newer == ["38"] * 6, "ENOSYS, whatever the kernel has"


def test_a_call_of_another_architecture_ends_the_process(attempt):
    """Its thread alone would leave the others to wait for it."""
    if os.uname().machine != "x86_64":
        pytest.skip("the number is x32's")
    job, lines = attempt(
        f"{SYSCALLS}import threading\n"
        "thread = threading.Thread(target=libc.syscall, args=(0x40000027,))\n"  # getpid
        "thread.start(); thread.join(); print('AFTER')\n"
    )
    assert job.status is Status.FAILED
    assert lines == []


def test_new_namespaces_are_refused(attempt):
    _, lines = attempt(
        "unshare -Ur true && echo ESCAPED; unshare -m true && echo ESCAPED; "
        "mount -t tmpfs none /tmp && echo ESCAPED; echo done", shell=True,
    )  # fmt: skip
    assert "ESCAPED" not in lines


def test_secrets_of_the_host_are_not_there(attempt, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("CANARY")
    _, lines = attempt(
        f"cat {secret} /etc/shadow /root/.profile /proc/1/environ; ls /home /root; "
        "readlink /proc/1/root; echo done", shell=True,
    )  # fmt: skip
    assert "done" in lines
    assert not any("CANARY" in line or "root:x" in line or "root:*" in line for line in lines)


def test_the_input_cannot_be_written(attempt):
    _, lines = attempt(
        "echo x > /opt/ml/input/given && echo WROTE; rm -rf /opt/ml/input/given; "
        "cat /opt/ml/input/given; echo; touch /usr/x && echo WROTE; touch /etc/x; echo ok",
        shell=True,
    )  # fmt: skip
    assert "data" in lines
    assert "WROTE" not in lines


def test_setuid_gives_nothing(attempt):
    _, lines = attempt(
        "cp /bin/sh /opt/ml/sh; chmod 4755 /opt/ml/sh; /opt/ml/sh -p -c 'id -u'; "
        "grep -E 'NoNewPrivs|CapEff|CapBnd' /proc/self/status", shell=True,
    )  # fmt: skip
    assert lines[0] == "1000"
    assert "NoNewPrivs:\t1" in lines
    assert "CapEff:\t0000000000000000" in lines
    assert "CapBnd:\t0000000000000000" in lines


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root for uids")
def test_each_agency_has_its_own_uid(attempt, site):
    uids = []
    for account in ("111111111111", "222222222222"):
        name = f"uid-{account}"
        job_id = site.submit(
            "/bin/sh", "-c", "echo up; exec sleep 60", name=name, account=account, service=True
        )
        job = site.wait(job_id, Status.READY)
        folder = site.runner._folders.work(job.spec.id) / "replica-0"
        uids.append(folder.stat().st_uid)
        site.runner.stop(job_id)
        site.wait(job_id)
    assert len(set(uids)) == 2
    assert 0 not in uids


@pytest.mark.root
@pytest.mark.skipif(os.getuid() != 0, reason="needs root for cgroups")
def test_a_fork_bomb_stays_in_its_group(attempt):
    job, _ = attempt(
        "import os, time\n"
        "count = 0\n"
        "try:\n"
        "    while True:\n"
        "        if os.fork() == 0:\n"
        "            time.sleep(600)\n"
        "        count += 1\n"
        "except OSError as error:\n"
        "    print('stopped at', count, error.errno, flush=True)\n",
        limits={"pids_max": 40},
    )
    assert job.status is Status.COMPLETED, job


def test_too_much_memory_is_its_own_end(attempt):
    job, _ = attempt(
        "held = []\nwhile True: held.append(bytearray(8 << 20))\n",
        limits={"memory_bytes": 96 << 20},
    )
    assert job.status is Status.FAILED
    assert job.exits[0].cause == "memory" or "MemoryError" in job.exits[0].stderr_tail


def test_a_full_disk_is_its_own_end(attempt):
    job, _ = attempt(
        "import itertools\n"
        "for number in itertools.count():\n"
        "    with open(f'/opt/ml/f{number}', 'wb') as file: file.write(bytes(1 << 20))\n",
        limits={"disk_bytes": 30 << 20},
    )
    assert job.status is Status.FAILED
    assert job.exits[0].cause == "disk"


def test_files_without_a_name_are_on_its_disk(attempt):
    job, _ = attempt(
        "import os, time\n"
        "for number in range(40):\n"
        "    held = os.open('/opt/ml/held', os.O_WRONLY | os.O_CREAT)\n"
        "    os.unlink('/opt/ml/held')\n"
        "    os.posix_fallocate(held, 0, 1 << 20)\n"
        "time.sleep(20)\n",
        limits={"disk_bytes": 30 << 20},
    )
    assert job.exits[0].cause == "disk"


def test_where_its_socket_lies_is_on_its_disk(site):
    """The other folder of a service that can be written."""
    text = (
        "import time\n"
        "for number in range(40):\n"
        "    with open(f'/run/bastide/f{number}', 'wb') as file: file.write(bytes(1 << 20))\n"
        "time.sleep(600)\n"
    )
    job_id = site.submit(
        PYTHON, "-I", "-S", "-c", text, name="socket-disk", service=True,
        limits={"disk_bytes": 30 << 20},
    )  # fmt: skip
    eventually(lambda: site.runner.find(job_id).replicas[0].attempt > 1, 20)
    site.runner.forget(job_id)
    site.wait_gone(job_id)


def test_one_file_cannot_pass_the_limit(attempt):
    job, lines = attempt(
        "f = open('/opt/ml/big', 'wb')\n"
        "try:\n"
        "    while True: f.write(bytes(1 << 20))\n"
        "except OSError as error: print('errno', error.errno)\n",
        limits={"disk_bytes": 8 << 20},
    )
    assert "errno 27" in lines or job.exits[0].cause == "disk"


def test_who_fails_on_a_full_disk_before_a_tick_sees_it_is_told(attempt):
    """The limit on one file ends the script at once; the scan comes every quarter second."""
    job, _ = attempt(
        "import os, signal\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_DFL)\n"
        "f = os.open('/opt/ml/big', os.O_WRONLY | os.O_CREAT)\n"
        "os.posix_fallocate(f, 0, 8 << 20)\n"
        "os.pwrite(f, b'more', 8 << 20)\n",
        limits={"disk_bytes": 8 << 20},
    )
    assert (job.status, job.exits[0].cause) == (Status.FAILED, "disk")


def test_who_fails_with_room_left_is_not(attempt):
    job, _ = attempt("raise SystemExit(3)\n", limits={"disk_bytes": 8 << 20})
    assert (job.exits[0].code, job.exits[0].cause) == (3, "")


def test_who_ignores_sigterm_is_killed_after_the_grace(attempt, site):
    text = "import signal, time\nsignal.signal(15, signal.SIG_IGN)\nprint('up', flush=True)\n"
    job_id = site.submit(PYTHON, "-I", "-S", "-c", text + "time.sleep(600)", name="stubborn")
    site.kind.wait_line("up")
    site.runner.stop(job_id)
    job = site.wait(job_id)
    assert (job.status, job.exits[0].code) == (Status.STOPPED, 137)


def test_who_handles_sigterm_may_finish(site):
    """The script has a handler and its parent has none: the parent must not die under it."""
    text = (
        "import os, signal, time\n"
        "def save(*_): os.write(1, b'saved\\n'); raise SystemExit(0)\n"  # not within `print`
        "signal.signal(15, save)\nprint('ready', flush=True)\ntime.sleep(600)\n"
    )
    job_id = site.submit(
        "/bin/sh", "-c", f'{PYTHON} -I -S -c "$SCRIPT"; echo after', name="handler",
        env={"SCRIPT": text}, limits={"grace_s": 20},
    )  # fmt: skip
    site.kind.wait_line("ready")
    site.runner.stop(job_id)
    assert site.wait(job_id).status is Status.STOPPED
    assert {"saved", "after"} <= set(site.kind.lines)


def test_the_wall_clock(attempt):
    job, _ = attempt("exec sleep 600", shell=True, limits={"wall_s": 1})
    assert (job.status, job.exits[0].cause) == (Status.STOPPED, "max_runtime")


def test_printing_without_end_fills_nothing(attempt, site):
    job, lines = attempt(
        "import sys\nblock = ('x' * 79 + '\\n') * 12800\n"
        "for _ in range(200): sys.stdout.write(block)\n"
        "sys.stdout.write('y' * 100000)\n"
    )
    assert job.status is Status.COMPLETED
    assert sum(len(line) for line in lines) < 20 << 20
    assert any("printed too fast" in line for line in lines)


def test_it_cannot_reach_another_job(site):
    first = site.submit(
        "/bin/sh", "-c", "echo secret > /opt/ml/mine; echo up; exec sleep 60", name="first"
    )
    site.kind.wait_line("up")
    home = site.runner._folders.work(first) / "replica-0"
    site.kind.lines.clear()
    _, lines = site.run(
        "/bin/sh", "-c", f"cat {home}/mine; ls {home}; find / -name mine 2>/dev/null; echo end",
        name="second",
    )  # fmt: skip
    assert not any(line == "secret" or line.endswith("/mine") for line in lines)
    site.runner.stop(first)
    site.wait(first)
