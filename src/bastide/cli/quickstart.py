"""`bastide quickstart`: what `make run` calls. Each step is skipped when it is done already."""

import hashlib
import json

from bastide import __version__
from bastide.cli import environments, models, region, show, tour
from bastide.cli.control import CommandFailed
from bastide.cli.options import RegionOption, control, site_and_region
from bastide.settings import Site

AGENCY = "demo"


def quickstart(region_: RegionOption = None) -> None:
    """Start a region, fetch a model, build `sklearn`, make an agency, take the tour."""
    site, name = site_and_region(region_)
    if missing := region.started(site, name)["missing_layers"]:
        _accept(site, name, missing)
        region.ended(site, name)
    region.up(region=name)
    door = control(region_)
    wanted = site.settings.default_model
    if not any(row["name"] == wanted and row["admitted"] for row in door.get("/models")):
        models.pull(wanted, region=region_)
    if not any(row["name"] == "sklearn" and row["built"] for row in door.get("/environments")):
        environments.build("sklearn", region=region_)
    passed = site.region_home(name) / "tour.passed"
    mark = hashlib.sha256(f"{__version__} {wanted} {tour.LOCK.read_text()}".encode()).hexdigest()
    if passed.exists() and passed.read_text() == mark:
        show.out.print("The tour has passed here before; take it again with: bastide tour")
    else:
        tour.tour(agency=AGENCY, region=region_)
        passed.write_text(mark)
    _say_how_to_connect(name, door.get("/status")["endpoint"])


def _accept(site: Site, name: str, missing: list[str]) -> None:
    """Write the settings of a demonstration that does without the walls missing here, and say so.
    Settings that somebody wrote are never changed."""
    path = site.home / "bastide.toml"
    if path.exists():
        raise CommandFailed(
            f"This machine's sandbox lacks {', '.join(missing)}. To run jobs without, name them in "
            f"allow_missing_layers of {path}."
        )
    path.write_text(f"[regions.{name}.jobs]\nallow_missing_layers = {json.dumps(missing)}\n")
    show.out.print(
        f"[bold yellow]This machine's sandbox lacks {', '.join(missing)}[/] (see: bastide status). "
        f"For this demonstration {path} accepts that; run as root for all walls.",
        highlight=False,
    )


def _say_how_to_connect(name: str, endpoint: str) -> None:
    show.out.print(
        f"""
[bold]Region {name} is running at {endpoint}.[/]
  connect      eval $(.venv/bin/bastide client-env --agency {AGENCY})
               then any AWS client, unchanged
  look         .venv/bin/bastide status
  evidence     .venv/bin/bastide audit show
  your data    .venv/bin/bastide tour --data FILE.csv --target COLUMN
  stop         make stop""",
        highlight=False,
    )
