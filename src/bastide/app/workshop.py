"""Jobs, the sandbox of this machine, and the environments that jobs run in."""

import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bastide.app.core import Core
from bastide.db import durable
from bastide.environments import locks_folder
from bastide.environments.bench import Bench
from bastide.environments.build import Builder
from bastide.environments.catalogue import Environments
from bastide.jobs import cage, capacity, host
from bastide.jobs.local_executor import LocalExecutor
from bastide.jobs.ports import Jobs
from bastide.jobs.runner import Runner
from bastide.jobs.uids import Uids
from bastide.jobs.walls import WalledJobs


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """Jobs, and what they run in."""

    machine: host.Host
    uid_of: Callable[[str], int | None]
    runner: Runner
    jobs: Jobs
    missing: Sequence[host.Layer]
    total: capacity.Capacity
    environments: Environments

    def cage_for(self, work: str) -> cage.Walls:
        """What our own processes for `work` (no agency: an account has twelve digits) are shut in
        with; as root they have a user id of their own."""
        machine = self.machine
        return cage.Walls(
            bwrap=machine.bwrap or None, seccomp=machine.seccomp, uid_first=self.uid_of(work)
        )


def open_workshop(core: Core) -> Workshop:
    """Looks at the machine; refuses new jobs where a wall is missing that nobody gave up."""
    wanted = core.settings.jobs
    found = host.examine(
        core.home / "sandbox", probe_uid=wanted.uid_first, wheel=_beside_python("bwrap")
    )
    uids = Uids(database=core.database, first=wanted.uid_first, count=wanted.uid_count)
    uid_of = uids.of if os.getuid() == 0 else lambda account: None
    durable.folder(core.home / "executor")
    executor = LocalExecutor(
        folder=core.home / "executor",
        bwrap=found.bwrap,
        cgroups=found.cgroups,
        seccomp=found.seccomp,
        uid_of=uid_of,
    )
    memory = None if wanted.memory_mib is None else wanted.memory_mib * 1024**2
    total = capacity.of_host(wanted.cpus, memory)
    runner = Runner(
        database=core.database,
        clock=core.clock,
        executor=executor,
        root=core.home / "jobs",
        total=total,
    )
    missing = found.missing(wanted.allow_missing_layers)
    return Workshop(
        machine=found,
        uid_of=uid_of,
        runner=runner,
        jobs=WalledJobs(runner, missing),
        missing=missing,
        total=total,
        environments=Environments(
            folder=(core.home / "environments").resolve(),
            locks={path.stem: path for path in locks_folder().glob("*.txt")},
            builder=_builder(core, executor, missing),
        ),
    )


def _builder(core: Core, executor: LocalExecutor, missing: Sequence[host.Layer]) -> Builder:
    folder = core.home / "bench"
    bench = Bench(folder=folder, executor=replace(executor, folder=folder), missing=missing)
    return Builder(
        bench=bench,
        uv=Path(sys.executable).parent / "uv",
        interpreter=Path(sys.executable),
        cache=core.home / "uv" if core.settings.uid else None,
    )


def _beside_python(name: str) -> Path | None:
    path = Path(sys.executable).parent / name
    return path if path.exists() else None
