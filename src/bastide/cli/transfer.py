"""`bastide transfer …`: the one-way gate between regions."""

import base64
import json
from itertools import chain
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import show
from bastide.cli.control import CommandFailed, path_of
from bastide.cli.options import JsonOption, RegionOption, control

app = typer.Typer(
    help="The gate between regions: signed bundles, filters, release by two people.",
    no_args_is_help=True,
)
COLUMNS = ("bundle", "from", "to", "agency", "source", "items", "bytes", "labels", "created")
LISTED = (*COLUMNS, "state")
CONTENTS = ("name", "kind", "bytes", "label", "sha256")
OUTCOMES = ("bundle", "outcome", "why", "receipt")
BundleArgument = Annotated[str, typer.Argument(help="A bundle's digest, or how it begins.")]


@app.command()
def create(
    to: Annotated[str, typer.Option(help="The region that it is for.")],
    agency: Annotated[str, typer.Option(help="Whose objects.")] = "",
    bucket: Annotated[str, typer.Option(help="The bucket to take them from.")] = "",
    prefix: Annotated[str, typer.Option(help="Only keys that begin so.")] = "",
    model: Annotated[str, typer.Option(help="Instead: a model that is admitted here.")] = "",
    environment: Annotated[str, typer.Option(help="Instead: an environment, or an image.")] = "",
    agency_setup: Annotated[
        str, typer.Option(help="Instead: what an agency is, without its objects.")
    ] = "",
    base: Annotated[str, typer.Option(help="An earlier bundle: carry only what changed.")] = "",
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Make a signed bundle of an agency's objects, of a model with its provenance, of what an
    environment is built of, of an imported container image, or of an agency's users, roles, groups,
    policies and buckets."""
    ways = (agency and bucket, model, environment, agency_setup)
    if len([one for one in ways if one]) != 1:
        raise CommandFailed(
            "Name --agency and --bucket, or else --model, --environment or --agency-setup."
        )
    body = {"to": to, "agency": agency, "bucket": bucket, "prefix": prefix}
    body |= {"model": model, "environment": environment, "base": base}
    body |= {"agency_setup": agency_setup}
    steps = control(region).steps("/transfers", body)
    _print(show.follow(steps, "packing"), json_=json_)


@app.command()
def inspect(
    bundle: BundleArgument,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Check both signatures and every digest of a bundle, and show what it carries."""
    steps = control(region).steps(path_of("transfers", bundle, "inspect"))
    _print(show.follow(steps, "checking"), json_=json_)


@app.command("list")
def list_(region: RegionOption = None, json_: JsonOption = False) -> None:
    """The bundles of this region."""
    show.rows(control(region).get("/transfers"), LISTED, "No bundle.", json_=json_)


@app.command()
def anchor(region: RegionOption = None, json_: JsonOption = False) -> None:
    """Print this region's public keys: carry them to the regions that are to trust it."""
    found = control(region).get("/transfers-anchor")
    if json_:
        show.as_json(found)
    else:
        typer.echo(json.dumps(found))


@app.command()
def trust(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="Its anchor.")],
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Trust another region's bundles. Two people must have approved exactly these keys."""
    made = control(region).post("/transfers-trust", {"anchor": file.read_text()})
    if json_:
        show.as_json(made)
    else:
        show.out.print(f"{made['region']} is trusted, up to {made['ceiling']}.", highlight=False)


@app.command()
def send(
    bundle: BundleArgument,
    spool: Annotated[Path | None, typer.Option(help="The spool's folder.")] = None,
    udp: Annotated[str, typer.Option(help="Instead: HOST:PORT, through a diode.")] = "",
    rate: Annotated[int, typer.Option(help="With --udp: Mbit/s.")] = 80,
    parity: Annotated[int, typer.Option(help="With --udp: how many may be lost per 32.")] = 8,
    passes: Annotated[int, typer.Option(help="With --udp: how often to send all of it.")] = 1,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Lay a bundle into a spool folder, where it goes on if begun again; or send it as datagrams:
    nobody answers them, and sent again they fill the gaps that the other side lists."""
    if (spool is None) == (not udp):
        raise CommandFailed("Name --spool, or else --udp.")
    path, body = "send", dict[str, Any](spool=str((spool or Path()).absolute()))
    if udp:
        path = "send-udp"
        body = {"udp": udp, "rate_mbit": rate, "parity": parity, "passes": passes}
    steps = control(region).steps(path_of("transfers", bundle, path), body)
    _print(show.follow(steps, "sending"), json_=json_)


@app.command()
def receive(
    spool: Annotated[
        Path | None, typer.Option(help="The spool's folder. Without: what came as datagrams.")
    ] = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Take in the bundles that lie in a spool folder for this region, and filter them."""
    body = {"spool": "" if spool is None else str(spool.absolute())}
    steps = control(region).steps("/transfers-receive", body)
    found: list[dict[str, Any]] = show.follow(steps, "receiving")
    show.rows(found, OUTCOMES, "Nothing new lies there.", json_=json_)


@app.command("filter")
def filter_(
    bundle: BundleArgument,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Send a bundle through the filters. One for a lower region is then made anew, clean."""
    steps = control(region).steps(path_of("transfers", bundle, "filter"))
    _print(show.follow(steps, "filtering"), json_=json_)


@app.command()
def review(
    bundle: BundleArgument,
    out: Annotated[Path, typer.Option(help="The file to write the exact bytes to.")],
    item: Annotated[
        int | None, typer.Option(min=0, help="Its place in the list of `inspect`, from 0.")
    ] = None,
    statement: Annotated[
        bool, typer.Option("--statement", help="Instead: all that is said of the items.")
    ] = False,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Show a reviewer the exact bytes of an item, or of the statement with all names, metadata and
    tags, before they may go to a lower region, once a reviewer and a security officer have signed
    that the bundle is read."""
    if statement == (item is not None):
        raise CommandFailed("Name --item, or else --statement.")
    part = ("statement",) if statement else ("items", str(item))
    steps = control(region).steps(path_of("transfers", bundle, *part))
    first = next(steps)  # what is refused leaves no file
    with out.open("xb") as file:
        for step in chain([first], steps):
            file.write(base64.b64decode(step.get("piece", "")))
    if json_:
        show.as_json({"bundle": bundle, "item": item, "file": str(out)})
    else:
        what = "The statement" if statement else f"Item {item}"
        show.out.print(f"{what} is in {out}.", highlight=False)


@app.command()
def release(
    bundle: BundleArgument,
    agency: Annotated[str, typer.Option(help="Whom the objects are for.")] = "",
    bucket: Annotated[str, typer.Option(help="Its bucket.")] = "",
    prefix: Annotated[str, typer.Option(help="What to put before their keys.")] = "",
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Put what a bundle carried into an agency's bucket, or a model on the shelf, once two people
    approved exactly that."""
    body = {"agency": agency, "bucket": bucket, "prefix": prefix}
    steps = control(region).steps(path_of("transfers", bundle, "release"), body)
    _print(show.follow(steps, "releasing"), json_=json_)


def _print(made: dict[str, Any], *, json_: bool) -> None:
    if json_:
        show.as_json(made)
        return
    show.table([made], COLUMNS, "")
    show.table(made["contents"], CONTENTS, "It is empty.")
    if "receipt" in made:
        show.out.print(f"Its receipt: bastide receipt get {made['receipt']}", highlight=False)
