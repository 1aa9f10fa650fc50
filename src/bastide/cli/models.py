"""`bastide models list|pull|add|alias`."""

from pathlib import Path
from typing import Annotated

import typer

from bastide.cli import show
from bastide.cli.control import path_of
from bastide.cli.options import JsonOption, RegionOption, control

app = typer.Typer(help="Models: the catalogue, and what is admitted.", no_args_is_help=True)
COLUMNS = ("name", "model_id", "kind", "admitted", "size_mib", "licence", "label", "aliases")


@app.command("list")
def list_(region: RegionOption = None, json_: JsonOption = False) -> None:
    """The catalogue, and which of it is here."""
    show.rows(control(region).get("/models"), COLUMNS, "No model.", json_=json_)


@app.command()
def pull(name: str, region: RegionOption = None, json_: JsonOption = False) -> None:
    """Fetch a model of the catalogue; admitted only if its sha256 matches."""
    made = show.follow(control(region).steps(path_of("models", name, "pull")), f"fetching {name}")
    _print(made, json_=json_)


@app.command()
def add(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="A GGUF file.")],
    model_id: Annotated[str, typer.Option(help="The id to serve it under, e.g. site.llama-v1:0.")],
    sha256: Annotated[str, typer.Option(help="The digest that the file must have.")],
    licence: Annotated[str, typer.Option(help="Its licence, for the card.")],
    context: Annotated[int, typer.Option(help="Its context length, in tokens.")] = 4096,
    label: Annotated[str, typer.Option(help="Its marking; without one it is for all.")] = "",
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Admit a local file whose digest you vouch for."""
    body = {
        "file": str(file.absolute()),
        "model_id": model_id,
        "sha256": sha256,
        "licence": licence,
        "context_tokens": context,
        "label": label,
    }
    made = show.follow(control(region).steps("/models-add", body), f"reading {file.name}")
    _print(made, json_=json_)


@app.command()
def alias(alias: str, model: str, region: RegionOption = None, json_: JsonOption = False) -> None:
    """Serve a local model under a well-known id too; answers then name the true model."""
    made = control(region).post("/models-alias", {"alias": alias, "model": model})
    if json_:
        show.as_json(made)
    else:
        show.out.print(f"{made['alias']} is served by {made['model']}.", highlight=False)


def _print(made: dict[str, str], *, json_: bool) -> None:
    if json_:
        show.as_json(made)
    else:
        show.out.print(f"{made['name']} is served as {made['model_id']}.", highlight=False)
