"""`bastide keys list|rotate|destroy`."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from bastide.cli import show
from bastide.cli.control import path_of
from bastide.cli.options import JsonOption, RegionOption, control
from bastide.cli.signing import KeyOption, OfficerOption, asked

app = typer.Typer(
    help="Agencies' keys: what objects are encrypted under, one for each label.",
    no_args_is_help=True,
)
COLUMNS = ("agency", "label", "key", "versions", "destroyed", "objects", "bytes", "behind", "lost")
LabelOption = Annotated[
    str | None, typer.Option("--label", help="Only the key for this label; all if not given.")
]


@app.command("list")
def list_(
    agency: Annotated[str, typer.Option(help="Only this agency's.")] = "",
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """The keys, what they open, and what waits under older versions of them."""
    found = control(region).get(f"/keys?agency={quote(agency)}")
    show.rows(found, COLUMNS, "No key yet: nothing was stored.", json_=json_)


@app.command()
def rotate(
    agency: Annotated[str | None, typer.Argument(help="Whose; none with --all.")] = None,
    all_: Annotated[
        bool, typer.Option("--all", help="The region's key, and every agency's.")
    ] = False,
    label: LabelOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a new version, and move the data keys under it. Objects are not written again."""
    if (agency is not None) == all_ or (all_ and label is not None):
        raise typer.BadParameter("Name an agency, or say --all.")
    if agency is None:
        done = show.follow(control(region).steps("/keys-all/rotate"), "rotating keys")
        show.rows(done, ("keys", "data_keys"), "", json_=json_)
        return
    steps = control(region).steps(path_of("keys", agency, "rotate"), {"label": label})
    found: list[dict[str, Any]] = show.follow(steps, "rotating keys")
    show.rows(found, COLUMNS, "", json_=json_)


@app.command()
def destroy(
    agency: str,
    label: LabelOption = None,
    confirm: Annotated[
        str, typer.Option(help="The agency's account id: without it, only told what is lost.")
    ] = "",
    officer: OfficerOption = "",
    key: KeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Destroy every version: what they open can never be read again, by anybody. Two custodians
    must sign for it; then, and when its waiting time is over, the same command does it."""
    body = {"label": label, "confirm": confirm, "officer": officer}
    door, path = control(region), path_of("keys", agency, "destroy")
    found = asked(door, officer, key, lambda: door.post(path, body))
    show.rows(found, COLUMNS, "", json_=json_)
