"""`bastide label show|lower|adopt`."""

from typing import Annotated, Any
from urllib.parse import quote

import typer

from bastide.cli import graph, show
from bastide.cli.control import CommandFailed, Control, path_of
from bastide.cli.options import JsonOption, RegionOption, control, site_and_region
from bastide.cli.signing import KeyOption, OfficerOption, asked
from bastide.kernel.labels import scheme as schemes
from bastide.kernel.labels.scheme import SchemeError

app = typer.Typer(
    help="Labels: what a thing is marked, what it was made of; lower ones, by two officers.",
    no_args_is_help=True,
)
S3 = "s3://"
COLUMNS = ("bucket", "key", "version", "from", "to", "size", "sha256")
ADOPTED = ("scheme", "default_label", "ceiling", "sha256")


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


@app.command()
def lower(
    uri: Annotated[str, typer.Argument(metavar="s3://BUCKET[/KEY]")],
    agency: Annotated[str, typer.Option(help="Whose it is.")],
    from_: Annotated[str, typer.Option("--from", help="The label that it has.")],
    to: Annotated[str, typer.Option("--to", help="A label below.")],
    version: Annotated[str, typer.Option(help="Of an object; its latest if not given.")] = "",
    officer: OfficerOption = "",
    key: KeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Ask for a lower label, which a reviewer and a releaser must sign for; then the same command
    lowers it. An object goes from above; of a bucket only its own label changes."""
    bucket, _, inside = uri.removeprefix(S3).partition("/")
    if not uri.startswith(S3) or not bucket or (version and not inside):
        raise typer.BadParameter("Name s3://BUCKET/KEY, or s3://BUCKET without a version.")
    body = {
        "bucket": bucket, "key": inside, "version": version, "from": from_, "to": to,
        "officer": officer,
    }  # fmt: skip
    door, path = control(region), path_of("labels", agency, "lower")
    lowered = asked(door, officer, key, lambda: door.post(path, body))
    show.rows([lowered], COLUMNS, "", json_=json_)


@app.command()
def adopt(
    officer: OfficerOption = "",
    key: KeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Ask that the region may begin with the scheme, default_label and ceiling that bastide.toml
    says now, while it runs with those it had. Two security officers must sign for it; then the
    same command adopts them, and the region works with them once it is started anew."""
    site, name = site_and_region(region)
    wanted = site.settings.region(name)
    own = None if wanted.scheme in schemes.PACKAGED else site.home / wanted.scheme
    try:
        text = schemes.text_of(wanted.scheme, own)
    except (SchemeError, OSError) as error:
        raise CommandFailed(f"The scheme {wanted.scheme}: {error}") from error
    body = {
        "scheme": text, "default_label": wanted.default_label, "ceiling": wanted.ceiling,
        "officer": officer,
    }  # fmt: skip
    door = Control(site, name)
    found = asked(door, officer, key, lambda: door.post("/labels-adopt", body))
    show.rows([found], ADOPTED, "", json_=json_)
    if not json_:
        show.out.print("Now start the region anew: bastide down, bastide up.", highlight=False)
