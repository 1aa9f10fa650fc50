"""Where what strangers wrote runs while an environment is built: in the sandbox that jobs have, as
a user id that no agency has, without a network, with nothing in sight but what it is given."""

import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bastide.jobs.executor import Attempt
from bastide.jobs.host import Layer
from bastide.jobs.local_executor import LocalExecutor, give
from bastide.jobs.model import Bind, Exit, Launch, Limits
from bastide.jobs.walls import told

ACCOUNT = "environments"  # whose user id it is: no agency's account is called so
HOME = "/build"
LATE_S = 60.0  # for the shim, to end what its time is over
TAIL_MAX = 2000
LIMITS = Limits(
    memory_bytes=8 << 30, disk_bytes=32 << 30, pids_max=1024, wall_s=3600, grace_s=0
)  # what Python packages of any size need, and no more than one machine has


class BuildFailed(Exception):
    """An installer's own words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """`missing`: the walls that this machine lacks and the site has not given up. `limits`: of each
    program that runs here."""

    folder: Path
    executor: LocalExecutor
    missing: Sequence[Layer] = ()
    limits: Limits = field(default=LIMITS)

    def check(self) -> None:
        """Raises BuildFailed where jobs are refused, too."""
        if self.missing:
            raise BuildFailed(f"nothing is built outside of a sandbox. {told(self.missing)}")

    def run(
        self, argv: Sequence[str], home: Path, binds: Sequence[Bind], env: Mapping[str, str]
    ) -> None:
        """Let `argv` do its work in `home`, which it sees as HOME. Raises BuildFailed with its own
        words. What it leaves there is this process's own again, and no more to be trusted."""
        self.check()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=self.folder) as name:
            place = Path(name)
            attempt = Attempt(
                key=f"build-{place.name}", replica=0, folder=place / "attempt", account=ACCOUNT
            )
            launch = Launch(
                argv=tuple(argv),
                env=env,
                home=home,
                home_target=HOME,
                cwd=HOME,
                binds=tuple(binds),
                hostname="build",
            )
            self.executor.launch(attempt, launch, self.limits)
            ended = self._ended(attempt)
        give(home, os.getuid())
        if ended.code or ended.cause:
            raise BuildFailed(_reason(ended))

    def _ended(self, attempt: Attempt) -> Exit:
        assert self.limits.wall_s is not None, "what is built has an end"
        report = self.executor.wait(attempt, self.limits.wall_s + LATE_S)
        if report.exit is None:
            self.executor.terminate(attempt)
            raise BuildFailed("it did not end")
        return report.exit


def _reason(ended: Exit) -> str:
    cause = f"it was ended ({ended.cause})" if ended.cause else f"it ended with {ended.code}"
    return f"{cause}: {ended.stderr_tail[-TAIL_MAX:].strip()}"
