"""One run of the real runner over a simulated world, decided by a seed alone.

There are no threads: a step is one turn of the runner's loop, one task of its workers, a client's
call, or time that passes. What happens at the same time in life happens here inside of a call of
the executor or of the job's kind. A crash throws the runner away, at any call of any port.
"""

from collections import Counter
from random import Random

from bastide.jobs.capacity import Capacity
from bastide.jobs.folders import Folders
from bastide.jobs.model import FINISHED, INTERNAL, JobSpec, Launch, Limits, Status
from bastide.jobs.ports import JobFailed
from bastide.jobs.runner import Runner
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError, Unavailable
from tests.faults import Between
from tests.sim.checks import Checks
from tests.sim.sim_executor import SimExecutor
from tests.sim.stepped import SteppedWorkers

TOTAL = Capacity(4.0, 4 << 30)
STEPS = 150
CALM_TICKS = 400  # seconds by which everything must have come to its end
JOBS_MAX = 8
NESTED_MAX = 2
TRACE_SHOWN = 80
SPELL_S = 30.0
SPELLS = ("launch", "terminate", "prepare", "collect", "")
WORLDLY = {"read", "write", "submit", "listen"}  # what fails there is never our bug
PROGRAMS = ("good", "good", "mixed", "mixed", "bad", "deaf")


RESTING = FINISHED | {Status.READY}


class Crashed(BaseException):
    """The control plane is gone; nothing of it catches this."""


class Violated(AssertionError):
    """An invariant does not hold."""


def wanted(job):
    return job.spec.limits.cpus * job.spec.replicas


class SimKind:
    """Prepares, collects and listens; `sim` sees to what happens meanwhile."""

    def __init__(self, database, executor, folders, violated):
        self._database, self._executor = database, executor
        self._folders, self._violated = folders, violated
        self.collected, self.lines, self.heard = Counter(), Counter(), {}

    def prepare(self, job, folder):
        if job.spec.payload["program"] == "unpreparable":
            raise JobFailed("it cannot be prepared")
        homes = [folder / f"replica-{index}" for index in range(job.spec.replicas)]
        for home in homes:
            home.mkdir(exist_ok=True)
        program = str(job.spec.payload["program"])
        return [Launch(argv=(program,), env={}, home=home) for home in homes]

    def collect(self, job, folder):
        if not folder.exists():
            self._violated(f"{job.spec.id} is collected when it was swept away")
        self.collected[job.spec.id] += 1

    def logged(self, job, replica, lines, beside):
        self._database.write(beside)
        self.lines.update(text for _, text in lines)
        for line, count in self.lines.items():
            if count > 1:
                self._violated(f"{line!r} is told {count} times")

    def failure_reason(self, job, exits):
        return "it ended badly"

    def probe(self, job, replica, socket):
        return self._executor.answers(socket.parent)

    def listen(self, job):
        self.heard[job.spec.id] = job.status


class Simulation:
    """All that happens is decided by `seed`; `database` and `root` are for one run at a time."""

    def __init__(self, seed, database, root, steps=STEPS):
        database.clear()
        self.steps = steps
        self.seed, self.chance, self.clock = seed, Random(seed), ManualClock()
        self.database, self.root, self.folders = database, root, Folders(root)
        self.trace, self.violations, self.depth, self.calm = [], [], 0, False
        self.turning, self.names = False, []
        self.executor = SimExecutor(
            clock=self.clock, chance=self.chance, violated=self.violated
        )  # fmt: skip
        self.kind = SimKind(database, self.executor, self.folders, self.violated)
        self.checks = Checks(database, self.executor, self.folders, TOTAL, self.violated)
        self.spell, self.spell_ends_s = "", 0.0
        self.crash_rate = self.chance.choice([0, 0.002, 0.01])
        self.fault_rate = self.chance.choice([0, 0.01, 0.05])
        self.boot()

    # The whole -----------------------------------------------------------------------------------
    def run(self):
        for _ in range(self.steps):
            self.step()
        self.calm_down()
        self.all_come_to_rest()
        self.nothing_is_left()

    def violated(self, what):
        self.note(f"VIOLATED: {what}")
        self.violations.append(what)

    def note(self, text):
        self.trace.append(f"{self.clock.elapsed_s:8.2f} {'  ' * self.depth}{text}")

    def judge(self):
        """Fail, with all that is needed to see it again."""
        self.checks.all()
        if self.violations:
            trace = "\n".join(self.trace[-TRACE_SHOWN:])
            what = "; ".join(self.violations)
            raise Violated(f"seed {self.seed}: {what}\n{trace}\nseed {self.seed}: {what}")

    # The control plane ---------------------------------------------------------------------------
    def boot(self):
        """A new process over the same database, executor and folders."""
        while True:
            self.workers = SteppedWorkers()
            self.runner = Runner(
                database=Between(self.database, self.around, "database"),
                clock=self.clock,
                executor=Between(self.executor, self.around, "executor"),
                root=self.root,
                total=TOTAL,
                workers=self.workers,
            )
            kind = Between(self.kind, self.around, "kind")
            self.runner.register("sim", kind)
            self.runner.watch("sim", kind.listen)
            try:
                self.runner.recover()
            except (Crashed, Unavailable):
                self.die()
            else:
                return

    def die(self):
        self.note("the control plane crashed")
        self.executor.close()
        self.database.crash(self.chance.randint(0, len(self.database.waiting)))

    def around(self, name, call):
        """Stands between the runner and each of its ports."""
        port, _, method = name.partition(".")
        if self.calm or method in {"on_news", "close"}:
            return call()
        if port != "database":  # the runner holds locks there
            self.meanwhile(name)
        if method == "report" and self.chance.random() < 0.8:
            return call()
        if method == self.spell and self.clock.elapsed_s < self.spell_ends_s:
            return self.fail_stubbornly(name, call)
        self.maybe_fail("before", name)
        answer = call()
        if port != "database":
            self.meanwhile(name)
        self.maybe_fail("after", name)
        return answer

    def maybe_fail(self, when, name):
        where, method = f"{when} {name}", name.partition(".")[2]
        roll = self.chance.random()
        if roll < self.crash_rate:
            self.note(f"crash {where}")
            raise Crashed
        if roll < self.crash_rate + self.fault_rate:
            world = method in WORLDLY or self.chance.random() < 0.7
            self.note(f"{'Unavailable' if world else 'OSError'} {where}")
            raise Unavailable("the world") if world else OSError("a bug, or the disk")

    def fail_stubbornly(self, name, call):
        """For so long that the runner may give up."""
        took_effect = self.chance.random() < 0.5
        if took_effect:
            call()
        self.note(f"OSError {'after' if took_effect else 'before'} {name}, as ever")
        raise OSError("as ever")

    def meanwhile(self, name):
        if self.depth >= NESTED_MAX or self.chance.random() > 0.1:
            return
        self.note(f"in the middle of {name}:")
        self.depth += 1
        try:
            for _ in range(self.chance.choice([1, 1, 2, 10])):
                self.act()
        finally:
            self.depth -= 1

    # Steps ---------------------------------------------------------------------------------------
    def step(self):
        try:
            self.act()
        except Crashed:
            self.die()
            self.boot()
        self.judge()

    def act(self):
        acts = (self.turn, self.work, self.pass_time, self.submit, self.stop, self.forget)
        self.chance.choices(acts, weights=(20, 55, 15, 4, 3, 1))[0]()

    def turn(self):
        self.outlive(self.runner.turn)

    def work(self):
        if task := self.workers.one(self.chance):
            self.outlive(task)

    def outlive(self, task):
        """As the runner's threads do."""
        try:
            task()
        except Exception as error:
            self.note(f"{error!r} was logged")

    def pass_time(self, seconds=None):
        self.clock.advance(
            self.chance.choice([0.05, 0.3, 0.3, 1, 3]) if seconds is None else seconds
        )
        self.executor.tick()
        if not self.calm and self.clock.elapsed_s > self.spell_ends_s + SPELL_S / 3:
            self.spell = self.chance.choice(SPELLS)
            self.spell_ends_s = self.clock.elapsed_s + SPELL_S

    def submit(self):
        if len(self.names) >= JOBS_MAX:
            return
        chance, service = self.chance, self.chance.random() < 0.4
        spec = JobSpec(
            id=f"sim/{len(self.names)}",
            kind="sim",
            account="111122223333",
            replicas=chance.choice([1, 1, 2, 3]),
            service=service,
            ready_timeout_s=10,
            limits=Limits(
                cpus=chance.choice([0.5, 1.0, 1.0, 1.5]),
                wall_s=None if service else chance.choice([None, 5]),
                grace_s=3,
            ),
            payload={
                "program": "unpreparable" if chance.random() < 0.05 else chance.choice(PROGRAMS)
            },
        )
        self.names.append(spec.id)
        self.note(f"submit {spec.id} {spec.payload['program']} {service=} {spec.replicas=}")
        self.client(lambda: self.runner.submit(spec))

    def stop(self):
        if self.names:
            name = self.chance.choice(self.names)
            self.note(f"stop {name}")
            self.client(lambda: self.runner.stop(name))

    def forget(self):
        if self.names:
            self.forget_one(self.chance.choice(self.names))

    def forget_one(self, name):
        self.note(f"forget {name}")
        self.checks.forgettable.add(name)
        self.client(lambda: self.runner.forget(name))

    def client(self, call):
        """A client may be refused; whether it took effect it cannot know."""
        try:
            call()
        except (Unavailable, ServiceError, OSError) as error:
            self.note(f"refused: {error!r}")

    # The end -------------------------------------------------------------------------------------
    def calm_down(self):
        self.note("faults stop")
        self.calm = True
        self.executor.settle()

    def all_come_to_rest(self):
        """Without a fault and without a restart, everything ends, or is ready, or waits for those
        that are."""
        self.until(self.rests, "not at rest")
        for name, job in self.checks.jobs().items():
            if job.spec.service:
                self.runner.stop(name)
        self.until(self.over, "not over")
        self.check_told()

    def nothing_is_left(self):
        for name in self.names:
            self.forget_one(name)
        self.until(lambda: not self.checks.jobs(), "not forgotten")
        left = [each for folder in self.root.iterdir() for each in folder.iterdir()]
        if left:
            self.violated(f"{left} are left")
        self.whole_machine_is_free()
        self.judge()

    def until(self, reached, otherwise):
        for _ in range(CALM_TICKS):
            self.calm_tick()
            if reached():
                return
        jobs = {name: str(job.status) for name, job in self.checks.jobs().items()}
        self.violated(f"{otherwise}: {jobs}, {self.checks.outbox()}")
        self.judge()

    def calm_tick(self):
        self.pass_time(1.0)
        self.turn()
        while self.workers.tasks:
            self.work()
        self.database.flush()
        self.judge()

    def rests(self):
        """All have ended or are ready, or there is no room for the first of those that wait."""
        jobs = self.checks.jobs()
        ready = sum(wanted(job) for job in jobs.values() if job.status is Status.READY)
        moving = {name: job for name, job in jobs.items() if job.status not in RESTING}
        waiting = [name for name, _ in self.checks.outbox()]
        full = not waiting or ready + wanted(jobs[waiting[0]]) > TOTAL.cpus
        return sorted(waiting) == sorted(moving) and full

    def over(self):
        jobs = self.checks.jobs().values()
        return all(job.status in FINISHED for job in jobs) and not self.checks.outbox()

    def check_told(self):
        """What is over was collected and swept, its end was told, and its lines too."""
        for name, job in self.checks.jobs().items():
            if self.kind.heard.get(name) is not job.status:
                self.violated(f"{name}: listeners heard {self.kind.heard.get(name)} last")
            due = job.started and not job.spec.service and job.failure != INTERNAL
            if due and not self.kind.collected[name]:
                self.violated(f"{name} was never collected")
            if self.folders.of(name).exists():
                self.violated(f"{name} was never swept")
            own = self.folders.of(name).name
            printed = {line for line in self.executor.printed if line.startswith(own)}
            if not printed <= self.kind.lines.keys():
                self.violated(f"{name}: not all of {sorted(printed)} was told")
        self.judge()

    def whole_machine_is_free(self):
        spec = JobSpec(
            id="sim/last", kind="sim", account="111122223333", limits=Limits(cpus=TOTAL.cpus),
            payload={"program": "good"},
        )  # fmt: skip
        self.runner.submit(spec)
        self.until(self.over, "there is no room")
