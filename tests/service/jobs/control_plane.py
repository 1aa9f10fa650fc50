"""A control plane small enough to be killed often: `python control_plane.py FOLDER FIRST COUNT`.

Submits jobs FIRST … FIRST + COUNT - 1, then runs until it is killed. Each job adds a line to a
file of its own home; collecting copies that file to FOLDER/collected.
"""

import shutil
import sys
import threading
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[3]), str(Path(__file__).parents[3] / "src")]

from tests.jobs_kit import PlainKind, Site, local_executor  # noqa: E402 - the path comes first
from tests.labels_kit import in_use  # noqa: E402

from bastide.kernel.clock import SystemClock  # noqa: E402
from bastide.logs.sink import LogSink  # noqa: E402

GROUP = "/jobs"
PROGRAM = "echo ran >> /opt/ml/ran; echo started $0; sleep 0.4; echo ended $0"


class Collecting(PlainKind):
    def __init__(self, folder):
        super().__init__()
        self.folder = folder

    def logged(self, job, replica, lines, beside):
        sink = LogSink(database=self.database, labels=in_use(self.database), clock=SystemClock())
        sink.put(job.spec.account, "U", GROUP, job.spec.id, lines, beside)

    def collect(self, job, folder):
        name = job.spec.id.rsplit("/", 1)[-1]
        shutil.copy(folder / "replica-0" / "ran", self.folder / "collected" / name)


def main(folder, first, count):
    (folder / "collected").mkdir(exist_ok=True)
    site = Site(folder, local_executor(folder), kind=Collecting(folder))
    for number in range(first, first + count):
        site.submit("/bin/sh", "-c", PROGRAM, str(number), name=f"n{number}")
        print(number, flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
