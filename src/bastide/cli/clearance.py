"""`bastide clearance list|grant|revoke`."""

from typing import Annotated

import typer

from bastide.cli import show
from bastide.cli.control import path_of
from bastide.cli.options import AgencyOption, JsonOption, RegionOption, WhoArgument, control
from bastide.cli.signing import KeyOption, OfficerOption, asked

app = typer.Typer(
    help="Up to what users and roles may see; who was granted nothing has the agency's default.",
    no_args_is_help=True,
)
COLUMNS = ("principal", "granted", "clearance", "since")


@app.command("list")
def list_(agency: AgencyOption, region: RegionOption = None, json_: JsonOption = False) -> None:
    """What was granted in an agency."""
    found = control(region).get(path_of("clearances", agency))
    show.rows(found, COLUMNS, "Nobody was granted a clearance.", json_=json_)


@app.command()
def grant(
    who: WhoArgument,
    label: Annotated[str, typer.Argument(help="e.g. S//SI; its holder is a national")],
    agency: AgencyOption,
    officer: OfficerOption = "",
    key: KeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Ask for a clearance, which two security officers must sign for; then the same command
    grants it."""
    body = {"who": who, "label": label, "officer": officer}
    door, path = control(region), path_of("clearances", agency, "grant")
    found = asked(door, officer, key, lambda: door.post(path, body))
    show.rows(found, COLUMNS, "", json_=json_)


@app.command()
def revoke(
    who: WhoArgument, agency: AgencyOption, region: RegionOption = None, json_: JsonOption = False
) -> None:
    """Take a clearance back, now."""
    left = control(region).post(path_of("clearances", agency, "revoke"), {"who": who})
    show.rows([left], COLUMNS, "", json_=json_)
