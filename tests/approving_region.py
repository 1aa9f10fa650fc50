"""`python -m tests.approving_region --region NAME`: a region whose approvals are files, for tests.

What is asked for is a file in `asked/`; a file of the same name in `approved/` names who agreed.
"""

import argparse
import json
from dataclasses import asdict, dataclass
from pathlib import Path

import uvloop

from bastide.app.region import RegionProcess
from bastide.settings import load
from bastide.transfer.ports import Deed, NotApproved


@dataclass(frozen=True)
class FiledApprovals:
    folder: Path

    def request(self, deed: Deed) -> str:
        asked = self.folder / "asked"
        asked.mkdir(parents=True, exist_ok=True)
        (asked / deed.digest).write_text(json.dumps(asdict(deed)))
        return deed.digest[:12]

    def use(self, deed: Deed) -> list[str]:
        found = self.folder / "approved" / deed.digest
        people = json.loads(found.read_text()) if found.exists() else []
        if len(people) < deed.people:
            raise NotApproved(f"{deed.people} people must approve {deed.name}")
        found.unlink()
        return people


def approve(home: Path, *people: str) -> list[dict]:
    """Agree, in the names of `people`, to all that was asked for."""
    (home / "approved").mkdir(parents=True, exist_ok=True)
    deeds = []
    for path in sorted((home / "asked").glob("*")):
        deeds.append(json.loads(path.read_text()))
        (home / "approved" / path.name).write_text(json.dumps(people))
        path.unlink()
    return deeds


async def _run(name: str) -> None:
    site = load()
    await RegionProcess(site, name, FiledApprovals(site.region_home(name) / "approvals")).run()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--region", required=True)
    uvloop.run(_run(parser.parse_args().region))
