"""`bastide client-env`: what an unchanged AWS client needs to reach a region."""

import shlex
from typing import Annotated, Any

import typer

from bastide.cli import show
from bastide.cli.control import path_of
from bastide.cli.options import JsonOption, RegionOption, control
from bastide.cli.signing import KeyOption, OfficerOption, asked

OFFICERS_MIN = 2  # with fewer, nobody could sign
OPEN = (
    "No two officers are enrolled: whoever runs this region gets these keys at any time, and with "
    "them what the agency keeps. See: bastide officer enrol --help"
)


def client_env(
    agency: Annotated[str, typer.Option(help="The agency's name.")],
    bearer: Annotated[bool, typer.Option(help="Add a Bedrock bearer key.")] = False,
    dns: Annotated[bool, typer.Option(help="Print hosts lines for the private-DNS mode.")] = False,
    keys: Annotated[bool, typer.Option(help="With the administrator's keys, or without.")] = True,
    officer: OfficerOption = "",
    key: KeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Print `export AWS_…` lines: endpoint, CA bundle, region, keys of an administrator. Where
    officers are enrolled, the keys are handed out once; then two security officers sign each time.
    """
    door = control(region)
    if dns:
        _print_dns(door.get("/dns"), json_=json_)
        return
    body = {"keys": keys, "bearer": bearer, "officer": officer}
    path = path_of("agencies", agency, "client-env")
    found: dict[str, str] = asked(door, officer, key, lambda: door.post(path, body))
    if (keys or bearer) and len(door.get("/officers")) < OFFICERS_MIN:
        show.err.print(OPEN, highlight=False, soft_wrap=True)
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
