"""`bastide agency create|list`."""

from typing import Annotated

import typer

from bastide.cli import show
from bastide.cli.options import JsonOption, RegionOption, control

app = typer.Typer(
    help="Agencies: the tenants of a region, one AWS account each.", no_args_is_help=True
)
COLUMNS = ("name", "account_id", "created")


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
