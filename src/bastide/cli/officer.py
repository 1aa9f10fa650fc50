"""`bastide officer keygen|list|enrol|suspend|reinstate`."""

import os
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import show
from bastide.cli.control import CommandFailed, path_of
from bastide.cli.options import JsonOption, RegionOption, control
from bastide.cli.signing import KeyOption, OfficerOption, asked
from bastide.kernel.statements import BadKey, fingerprint, new_key, private_pem, public_pem

app = typer.Typer(
    help="Officers: the persons whose signatures two-person integrity counts.",
    no_args_is_help=True,
)
COLUMNS = ("name", "roles", "suspended", "known_as", "enrolled", "key_sha256")


@app.command()
def keygen(
    out: Annotated[Path, typer.Option(help="Where the private key goes; .pub is put behind it.")],
    algorithm: Annotated[str, typer.Option(help="ed25519, or p384 for CNSA.")] = "p384",
    passphrase: Annotated[bool, typer.Option(help="Ask for a passphrase for the key.")] = False,
    json_: JsonOption = False,
) -> None:
    """Make an officer's key, on the officer's own machine. No region is asked or told."""
    words = ""
    if passphrase:
        words = typer.prompt("Passphrase", hide_input=True, confirmation_prompt=True, err=True)
    try:
        key = new_key(algorithm)
    except BadKey as error:
        raise CommandFailed(str(error)) from error
    public = out.with_name(out.name + ".pub")
    _create(out, private_pem(key, words.encode()), 0o600)
    _create(public, public_pem(key.public_key()).encode(), 0o644)
    told = {"public_key": str(public), "key_sha256": fingerprint(key.public_key())}
    show.rows([told], tuple(told), "", json_=json_)


@app.command("list")
def list_(region: RegionOption = None, json_: JsonOption = False) -> None:
    """Who the officers are, and what they may sign for."""
    found = control(region).get("/officers")
    show.rows(found, COLUMNS, "No officer yet: bastide officer enrol", json_=json_)


@app.command()
def enrol(
    name: Annotated[str, typer.Option(help="A short name, for signatures and lists.")],
    public_key: Annotated[Path, typer.Option(help="The public key, as keygen wrote it.")],
    role: Annotated[list[str], typer.Option(help="What the officer may sign for; repeatable.")],
    known_as: Annotated[
        list[str] | None, typer.Option(help="The ARN of a user of the same person; repeatable.")
    ] = None,
    officer: OfficerOption = "",
    key: KeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Enrol an officer. After the first two, two security officers must sign for it."""
    try:
        pem = public_key.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{public_key} cannot be read: {error}") from error
    body = {
        "name": name, "roles": role, "public_key": pem, "known_as": known_as or [],
        "officer": officer,
    }  # fmt: skip
    door = control(region)
    _told(asked(door, officer, key, lambda: door.post("/officers", body)), json_=json_)


@app.command()
def suspend(name: str, region: RegionOption = None, json_: JsonOption = False) -> None:
    """From now on nothing that this officer signed counts, if it was not used. Needs nobody."""
    _told(control(region).post(path_of("officers", name, "suspend")), json_=json_)


@app.command()
def reinstate(
    name: str,
    officer: OfficerOption = "",
    key: KeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """End a suspension; two security officers must sign for it."""
    door, path = control(region), path_of("officers", name, "reinstate")
    found = asked(door, officer, key, lambda: door.post(path, {"officer": officer}))
    _told(found, json_=json_)


def _told(officer: dict[str, Any], *, json_: bool) -> None:
    show.rows([officer], COLUMNS, "", json_=json_)


def _create(path: Path, content: bytes, mode: int) -> None:
    """Never over a key that is there."""
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}") from error
