"""The fake executor under a simulated clock: replicas begin late, live for a while, die of their
own or of others' doing, and take their time to end. As in the real one, what is known of an
attempt lies in its folder, and is gone with it."""

from dataclasses import dataclass, field

from bastide.jobs.executor import Attempt, Report
from bastide.jobs.fake import TERMINATED, Act, FakeExecutor
from bastide.jobs.model import Limits

LIFE_MAX_S = 15.0
BEGIN_MAX_S = 1.0
LOST = Act(code=137, cause="lost")
KILLED = Act(code=137)
DONE = Act(code=0)
FOREVER_S = float("inf")


@dataclass(slots=True)
class Running:
    """A replica that is alive."""

    attempt: Attempt
    limits: Limits
    begins_s: float
    ends_s: float
    act: Act
    deaf: bool = False
    stopping: bool = False


@dataclass(slots=True)
class SimExecutor(FakeExecutor):
    """`fates` draws how a program (`argv[0]`) fares; what must never be goes to `violated`."""

    clock: object = None
    chance: object = None
    violated: object = None
    running: dict[str, Running] = field(default_factory=dict)
    printed: set[str] = field(default_factory=set)
    calm: bool = False

    def launch(self, attempt, launch, limits):
        self._forget_swept(attempt)
        if attempt.key in self._reports:
            return
        for other in self.running.values():
            if other.attempt.key.rsplit("-", 1)[0] == attempt.key.rsplit("-", 1)[0]:
                self.violated(f"{attempt.key} began while {other.attempt.key} runs")
        line = f"{attempt.key} is up"
        FakeExecutor.launch(self, attempt, launch, limits)  # names no act: it ends at once …
        self._reports[attempt.key] = Report(begun=True)  # … but here, when its time has come
        (attempt.folder / "log.0").write_text(f"0\t{line}\n")
        self.printed.add(line)
        self.running[attempt.key] = self._fate(attempt, launch.argv[0], limits)

    def finish(self, attempt, act):
        """Of `launch` and of `terminate`: it is `tick` that lets a replica end."""

    def terminate(self, attempt):
        self._forget_swept(attempt)
        attempt.folder.mkdir(parents=True, exist_ok=True)
        if (running := self.running.get(attempt.key)) is not None:
            running.stopping = True
            ends_s = self._now_s() + self.chance.uniform(0, running.limits.grace_s)
            if ends_s < running.ends_s:
                running.ends_s = ends_s
                running.act = self.chance.choice([Act(code=TERMINATED), DONE, KILLED])
        elif attempt.key not in self._reports:
            FakeExecutor.finish(self, attempt, Act(code=TERMINATED))

    def report(self, attempt):
        self._forget_swept(attempt)
        running = self.running.get(attempt.key)
        if running is not None and self._now_s() < running.begins_s:
            return Report(begun=False)
        return FakeExecutor.report(self, attempt)

    def tick(self):
        """Let those end whose time has come."""
        now_s = self._now_s()
        for key, running in list(self.running.items()):
            if running.ends_s <= now_s:
                self._forget_swept(running.attempt)
                if self.running.pop(key, None):
                    FakeExecutor.finish(self, running.attempt, running.act)

    def answers(self, sockets):
        """Whether the service whose socket lies in this folder answers now."""
        return any(
            running.attempt.sockets == sockets
            and not running.deaf
            and self._now_s() >= running.begins_s
            for running in self.running.values()
        )

    def settle(self):
        """From now on no service dies of its own doing."""
        self.calm = True
        for running in self.running.values():
            if running.attempt.sockets is not None and not running.stopping:
                running.ends_s = FOREVER_S

    def _fate(self, attempt, program, limits):
        now_s = self._now_s()
        begins_s = now_s + self.chance.uniform(0, BEGIN_MAX_S)
        lasts_s, act = self.chance.uniform(0, LIFE_MAX_S), DONE
        service, mixed = attempt.sockets is not None, program == "mixed"
        if program == "bad" or (mixed and self.chance.random() < 0.3):
            act = self.chance.choice([Act(code=1, stderr_tail="no"), LOST, KILLED])
        if mixed and self.chance.random() < 0.1:
            begins_s, act = now_s + lasts_s, LOST  # its shim never comes
        if limits.wall_s is not None and lasts_s > limits.wall_s:
            lasts_s, act = float(limits.wall_s), Act(code=TERMINATED, cause="max_runtime")
        if service and (program == "good" or self.calm):
            lasts_s = FOREVER_S
        deaf = program == "deaf" or (mixed and not self.calm and self.chance.random() < 0.1)
        return Running(attempt, limits, begins_s, now_s + lasts_s, act, deaf)

    def _forget_swept(self, attempt):
        if attempt.folder.exists():
            return
        self._reports.pop(attempt.key, None)
        if self.running.pop(attempt.key, None):
            self.violated(f"{attempt.key} was swept away while it ran")

    def _now_s(self):
        return self.clock.monotonic_s()
