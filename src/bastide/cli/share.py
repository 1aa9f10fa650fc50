"""`bastide share list|grant|revoke`."""

from typing import Annotated

import typer

from bastide.cli import show
from bastide.cli.control import path_of
from bastide.cli.options import AgencyOption, JsonOption, RegionOption, control
from bastide.cli.signing import KeyOption, OfficerOption, asked

app = typer.Typer(
    help="What one agency lets another read of its buckets; nothing else crosses.",
    no_args_is_help=True,
)
COLUMNS = ("alias", "owner", "bucket", "prefix", "reader", "label", "since")


@app.command("list")
def list_(agency: AgencyOption, region: RegionOption = None, json_: JsonOption = False) -> None:
    """What an agency lets others read, and what others let it read."""
    found = control(region).get(path_of("shares", agency))
    show.rows(found, COLUMNS, "Nothing is shared.", json_=json_)


@app.command()
def grant(
    bucket: Annotated[str, typer.Argument(help="A bucket of the agency, which shares it.")],
    agency: AgencyOption,
    to: Annotated[str, typer.Option(help="The agency that may read it.")],
    label: Annotated[str, typer.Option(help="Up to which label, e.g. S//SI.")],
    prefix: Annotated[str, typer.Option(help="Only of keys that begin so.")] = "",
    officer: OfficerOption = "",
    key: KeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Ask for a share, which two security officers must sign for; then the same command grants
    it. The other agency reads by its alias what the bucket's own policy lets it."""
    body = {"bucket": bucket, "reader": to, "prefix": prefix, "label": label, "officer": officer}
    door, path = control(region), path_of("shares", agency, "grant")
    granted = asked(door, officer, key, lambda: door.post(path, body))
    show.rows([granted], COLUMNS, "", json_=json_)


@app.command()
def revoke(
    alias: str, agency: AgencyOption, region: RegionOption = None, json_: JsonOption = False
) -> None:
    """Take a share back, now. The agency is the one that shares."""
    gone = control(region).post(path_of("shares", agency, "revoke"), {"alias": alias})
    show.rows([gone], COLUMNS, "", json_=json_)
