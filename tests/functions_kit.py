"""Functions on fakes, but for the processes: those are real ones in real cages."""

import io
import os
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from bastide.functions.executors import Executors
from bastide.functions.fleet import Fleet
from bastide.functions.functions import RUNTIME, Functions
from bastide.functions.interpreter import Interpreter
from bastide.functions.invocations import Invocations
from bastide.functions.invoking import Invoking
from bastide.functions.permissions import Permissions
from bastide.functions.shelf import Shelf
from bastide.functions.tags import Tags
from bastide.jobs import host
from bastide.jobs.cage import Walls
from bastide.kernel.clock import ManualClock
from bastide.kernel.ids import SystemIds
from tests.labels_kit import marks
from tests.sagefakes import ONE, REGION, ROLE, FakeObjects, FakePermits, FakeRoles, call
from tests.stores import FakeKeyring

UID = 310_000
ECHO = "def handler(event, context):\n    return event\n"
COUNT = """
count = 0

def handler(event, context):
    global count
    count += 1
    print("counted", count)
    return count
"""


def zipped(source="", name="app.py", **files):
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for each, text in {name: source, **files}.items():
            archive.writestr(each, text)
    return data.getvalue()


class Machine:
    """What processes are shut in with: looked at once."""

    def __init__(self, folder):
        self.host = host.examine(folder, probe_uid=UID)

    def fleet(self, folder, room_mib=4096, **more):
        uid = UID if os.getuid() == 0 else None
        walls = Walls(bwrap=self.host.bwrap, seccomp=self.host.seccomp, uid_first=uid)
        return Fleet(
            folder=folder, walls_of=lambda account: walls, cgroups=self.host.cgroups,
            room_mib=room_mib, ids=SystemIds(), **more,
        )  # fmt: skip


@dataclass
class Lines:
    """`functions.ports.Logs`."""

    put_: list = field(default_factory=list)

    def put(self, account, marking, group, stream, events):
        self.put_.append((account, marking, group, stream, [text for _, text in events]))


class Threads:
    """`functions.ports.Threads`."""

    def __init__(self):
        self.executor = ThreadPoolExecutor(4)

    async def run(self, agency, work, *args):
        return work(*args)


class LetIn(FakePermits):
    """Asked too whether a function's policy lets an agent in."""

    def __init__(self):
        super().__init__()
        self.asked = []
        self.lets = True

    def permits_service_for(self, worker, action, resource, *, service, document, context):
        self.asked.append((action, resource, service, document, dict(context)))
        return self.lets


class Site:
    """All of functions over one database. `site.do("create_function", …)` as `who`."""

    def __init__(self, database, fleet):
        self.fleet, self.clock, self.logs = fleet, ManualClock(), Lines()
        self.roles, self.permits, self.objects = FakeRoles(), LetIn(), FakeObjects()
        self.shelf = Shelf(
            region=REGION, database=database, clock=self.clock, ids=SystemIds(),
            marks=marks(database), sealer=FakeKeyring(),
        )  # fmt: skip
        self.invoking = Invoking(shelf=self.shelf, fleet=fleet, roles=self.roles, logs=self.logs)
        threads = Threads()
        self.parts = [
            Functions(
                shelf=self.shelf, fleet=fleet, roles=self.roles, permits=self.permits,
                objects=self.objects,
            ),
            Permissions(shelf=self.shelf),
            Tags(shelf=self.shelf),
        ]  # fmt: skip
        self.invocations = Invocations(shelf=self.shelf, invoking=self.invoking, threads=threads)
        self.executors = Executors(
            shelf=self.shelf, invoking=self.invoking, permits=self.permits, threads=threads
        )
        self.interpreter = Interpreter(fleet=fleet, threads=threads, timeout_s=20.0)

    def do(self, name, who=None, **req):
        part = next(part for part in self.parts if hasattr(part, name))
        return getattr(part, name)(who or caller(), req)

    def make(self, name="f", source=ECHO, who=None, **more):
        asked = {"Runtime": RUNTIME, "Handler": "app.handler", "Role": ROLE,
                 "Code": {"ZipFile": zipped(source)}}  # fmt: skip
        return self.do("create_function", who, FunctionName=name, **{**asked, **more})

    async def invoke(self, name="f", payload=b"{}", who=None, **more):
        return await self.invocations.invoke(
            who or caller(), {"FunctionName": name, "Payload": payload, **more}
        )


def caller(marking="U", account=ONE):
    return call("lambda.Invoke", account, marking)


def together(*works):
    """Each in a thread of its own; what each ended with."""
    found = [None] * len(works)

    def run(n, work):
        found[n] = work()

    threads = [threading.Thread(target=run, args=(n, w)) for n, w in enumerate(works)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return found
