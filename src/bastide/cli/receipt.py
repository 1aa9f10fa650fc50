"""`bastide receipt get|verify`. To verify needs the file and the public key, and no region."""

import base64
import binascii
from pathlib import Path
from typing import Annotated

import typer

from bastide.cli import show
from bastide.cli.control import CommandFailed, path_of
from bastide.cli.options import JsonOption, RegionOption, control, site_and_region
from bastide.evidence.receipts import Finding, Opening, verify_receipt
from bastide.kernel.notes import BadNote
from bastide.kernel.receipts import SIZE_MAX

app = typer.Typer(
    help="Receipts of inferences and of transfers: what answered whom, what crossed; signed.",
    no_args_is_help=True,
)
KeptOption = typer.Option(exists=True, dir_okay=False)


@app.command()
def get(
    id: Annotated[str, typer.Argument(help="As x-bastide-receipt, or `bastide transfer`, said.")],
    out: Annotated[Path | None, typer.Option(help="A file for it; printed if not given.")] = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Get a receipt out of the log of a running region. It holds no prompt and no answer."""
    text: str = control(region).get(path_of("receipts", id))["receipt"]
    if out is not None:
        out.write_text(text)
    if json_ and out is not None:
        show.as_json({"id": id, "file": str(out)})
    elif out is None:
        typer.echo(text, nl=False)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False)],
    key: Annotated[
        Path | None, typer.Option(help="The region's audit.pub.", exists=True, dir_okay=False)
    ] = None,
    salt: Annotated[str, typer.Option(help="What x-bastide-receipt-salt said.")] = "",
    prompt: Annotated[Path | None, KeptOption] = None,
    answer: Annotated[Path | None, KeptOption] = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Check a receipt; with its salt, also whether a kept prompt or answer is the one meant.

    A Converse prompt is the request in JSON; its answer, the text. Of InvokeModel and of an
    endpoint, both are the bodies as they were; of a stream, its parts one after the other.
    """
    found = _checked(file, _public(key, region), _opening(salt, prompt, answer))
    if json_:
        show.as_json(found.as_dict())
    else:
        show.out.print(found.text(), highlight=False, markup=False, soft_wrap=True)
    if not found.ok:
        raise typer.Exit(1)


def _checked(file: Path, public: str, opening: Opening | None) -> Finding:
    with file.open("rb") as content:
        try:
            return verify_receipt(content.read(SIZE_MAX + 1), public, opening)
        except BadNote as error:
            raise CommandFailed(f"The public key cannot be read: {error}") from error


def _public(key: Path | None, region: str | None) -> str:
    if key is None:
        site, name = site_and_region(region)
        key = site.region_home(name) / "audit" / "audit.pub"
    if not key.exists():
        raise CommandFailed(f"There is no public key at {key}. Name one with --key.")
    return key.read_text()


def _opening(salt: str, prompt: Path | None, answer: Path | None) -> Opening | None:
    if prompt is None and answer is None:
        return None
    try:
        return Opening(
            salt=base64.b64decode(salt, validate=True),
            prompt=prompt.read_bytes() if prompt else None,
            answer=answer.read_bytes() if answer else None,
        )
    except binascii.Error as error:
        raise CommandFailed("The salt is not what the header said.") from error
