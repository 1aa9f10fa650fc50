"""`bastide agency create|list|label`."""

from typing import Annotated

import typer

from bastide.cli import show
from bastide.cli.control import path_of
from bastide.cli.options import JsonOption, RegionOption, control
from bastide.cli.signing import KeyOption, OfficerOption, asked

app = typer.Typer(
    help="Agencies: the tenants of a region, one AWS account each.", no_args_is_help=True
)
COLUMNS = ("name", "account_id", "created")
LABEL_COLUMNS = ("agency", "account", "label", "own", "ungranted")


@app.command()
def create(
    name: str,
    account_id: Annotated[
        str | None, typer.Option(help="12 digits; a free one if not given.")
    ] = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Make an agency, with an administrator and an execution role."""
    made = control(region).post("/agencies", {"name": name, "account_id": account_id})
    if json_:
        show.as_json(made)
    else:
        show.out.print(f"Agency {made['name']} is account {made['account_id']}.", highlight=False)
        show.out.print(
            f"Connect: eval $(bastide client-env --agency {made['name']})", highlight=False
        )


@app.command("list")
def list_(region: RegionOption = None, json_: JsonOption = False) -> None:
    """The agencies of a region."""
    show.rows(control(region).get("/agencies"), COLUMNS, "No agency yet.", json_=json_)


@app.command("label")
def label_(
    name: str,
    label: Annotated[str | None, typer.Argument(help="The new one; e.g. CUI.")] = None,
    officer: OfficerOption = "",
    key: KeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """The label of what an agency keeps without one, up to which everybody there sees who was
    granted nothing. With LABEL, ask for another: two security officers sign for a higher one, a
    reviewer and a releaser for a lower one; then the same command sets it."""
    door, path = control(region), path_of("agencies", name, "label")
    if label is None:
        found = door.get(path)
    else:
        body = {"label": label, "officer": officer}
        found = asked(door, officer, key, lambda: door.post(path, body))
    show.rows([found], LABEL_COLUMNS, "", json_=json_)
