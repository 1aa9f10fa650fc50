"""`bastide client-env`: what an unchanged AWS client needs to reach a region."""

import shlex
from typing import Annotated, Any

import typer

from bastide.cli import show
from bastide.cli.control import path_of
from bastide.cli.options import JsonOption, RegionOption, control


def client_env(
    agency: Annotated[str, typer.Option(help="The agency's name.")],
    bearer: Annotated[bool, typer.Option(help="Add a Bedrock bearer key.")] = False,
    dns: Annotated[bool, typer.Option(help="Print hosts lines for the private-DNS mode.")] = False,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Print `export AWS_…` lines: endpoint, CA bundle, region, keys of an administrator."""
    door = control(region)
    if dns:
        _print_dns(door.get("/dns"), json_=json_)
        return
    found: dict[str, str] = door.post(path_of("agencies", agency, "client-env"), {"bearer": bearer})
    if json_:
        show.as_json(found)
        return
    for name, value in found.items():
        typer.echo(f"export {name}={shlex.quote(value)}")


def _print_dns(found: dict[str, Any], *, json_: bool) -> None:
    if json_:
        show.as_json(found)
        return
    for line in found["hosts"]:
        typer.echo(line)
