"""`bastide label show`: what a thing is marked, and what it was made of."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from bastide.cli import graph, show
from bastide.cli.control import path_of
from bastide.cli.options import RegionOption, control

app = typer.Typer(
    help="Labels: what a thing is marked, and what it was made of.", no_args_is_help=True
)


@app.callback()
def labels() -> None:
    """Keeps `show` a word of its own while it is the only one."""


@app.command("show")
def show_(
    arn: Annotated[str, typer.Argument(help="Of a job, model, endpoint, bucket or object.")],
    agency: Annotated[str, typer.Option(help="Whose it is.")],
    dot: Annotated[bool, typer.Option("--dot", help="Print Graphviz's language.")] = False,
    svg: Annotated[bool, typer.Option("--svg", help="Print a drawing.")] = False,
    json_: Annotated[bool, typer.Option("--json", help="Print JSON, for machines.")] = False,
    region: RegionOption = None,
) -> None:
    """The label of a thing at an agency, and of all that it was made of."""
    if dot + svg + json_ > 1:
        raise typer.BadParameter("Only one of --dot, --svg and --json can be given.")
    found: dict[str, Any] = control(region).get(f"{path_of('labels', agency)}?arn={quote(arn)}")
    if json_:
        show.as_json(found)
        return
    drawn = graph.of(found)
    if dot:
        typer.echo(graph.dot(drawn))
    elif svg:
        typer.echo(graph.svg(drawn))
    else:
        typer.echo(graph.tree(drawn))
    if not found["whole"]:
        show.err.print("There is more: only the first edges are shown.")
