"""`bastide duty list|grant|remove`."""

from typing import Annotated

import typer

from bastide.cli import show
from bastide.cli.control import path_of
from bastide.cli.options import AgencyOption, JsonOption, RegionOption, WhoArgument, control
from bastide.cli.signing import KeyOption, OfficerOption, asked

app = typer.Typer(
    help="Auditors: users and roles that read evidence (CloudTrail), and nothing else.",
    no_args_is_help=True,
)
COLUMNS = ("principal", "duty")
NOBODY = "Nobody has a duty."


@app.command("list")
def list_(agency: AgencyOption, region: RegionOption = None, json_: JsonOption = False) -> None:
    """Who has which duty in an agency."""
    found = control(region).get(path_of("duties", agency))
    show.rows(found, COLUMNS, NOBODY, json_=json_)


@app.command()
def grant(
    who: WhoArgument,
    duty: Annotated[str, typer.Argument(help="auditor")],
    agency: AgencyOption,
    officer: OfficerOption = "",
    key: KeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Ask for a duty, which two security officers must sign for; then the same command grants it.
    Whatever its policies allow, an auditor reads evidence only."""
    body = {"who": who, "duty": duty, "officer": officer}
    door, path = control(region), path_of("duties", agency, "grant")
    found = asked(door, officer, key, lambda: door.post(path, body))
    show.rows(found, COLUMNS, NOBODY, json_=json_)


@app.command()
def remove(
    who: WhoArgument,
    agency: AgencyOption,
    officer: OfficerOption = "",
    key: KeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Ask to take a duty away, which two security officers must sign for too: whoever has none
    does again what its policies allow."""
    door, path = control(region), path_of("duties", agency, "remove")
    found = asked(door, officer, key, lambda: door.post(path, {"who": who, "officer": officer}))
    show.rows(found, COLUMNS, NOBODY, json_=json_)
