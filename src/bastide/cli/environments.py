"""`bastide env list|build|import-oci`."""

from pathlib import Path
from typing import Annotated

import typer

from bastide.cli import show
from bastide.cli.control import path_of
from bastide.cli.options import JsonOption, RegionOption, control

app = typer.Typer(help="Environments: what SageMaker image URIs map to.", no_args_is_help=True)
COLUMNS = ("name", "built", "kind", "digest", "images")


@app.command("list")
def list_(region: RegionOption = None, json_: JsonOption = False) -> None:
    """The environments that are built, and those that could be."""
    show.rows(control(region).get("/environments"), COLUMNS, "No environment.", json_=json_)


@app.command()
def build(name: str, region: RegionOption = None, json_: JsonOption = False) -> None:
    """Build an environment from its pinned list; harmless when it is built already."""
    made = show.follow(
        control(region).steps(path_of("environments", name, "build")), f"building {name}"
    )
    _print(made, json_=json_)


@app.command("import-oci")
def import_oci(
    tar: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="An OCI or docker-save TAR.")
    ],
    name: Annotated[str, typer.Option(help="The image URI that it is to serve.")],
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Unpack a container image as an environment with a root file system of its own."""
    body = {"tar": str(tar.absolute()), "name": name}
    made = show.follow(control(region).steps("/environments-import", body), f"unpacking {tar.name}")
    _print(made, json_=json_)


def _print(made: dict[str, str], *, json_: bool) -> None:
    if json_:
        show.as_json(made)
    else:
        show.out.print(f"Environment {made['name']} is ready ({made['digest']}).", highlight=False)
