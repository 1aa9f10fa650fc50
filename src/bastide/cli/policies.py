"""`bastide policy put|list|test|why|remove`."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import show
from bastide.cli.control import CommandFailed, path_of
from bastide.cli.options import AgencyOption, JsonOption, RegionOption, control

app = typer.Typer(
    help="Agencies' own Cedar policies: they narrow what IAM allows, and widen nothing.",
    no_args_is_help=True,
)
FileArgument = Annotated[Path, typer.Argument(help="A text of Cedar policies.")]
NameOption = Annotated[
    str, typer.Option("--name", help="What it is stored as; the file's own name if not given.")
]
TESTED = ("case", "expected", "got", "met", "words")


@app.command()
def put(
    file: FileArgument,
    agency: AgencyOption,
    name: NameOption = "",
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Store a text of policies, in the place of that of the same name. It holds at once."""
    body = {"name": name or file.stem, "text": _text(file)}
    made = control(region).post(path_of("policies", agency, "put"), body)
    if json_:
        show.as_json(made)
    else:
        show.out.print(f"Policy {made['name']} of agency {agency} holds.", highlight=False)


@app.command("list")
def list_(agency: AgencyOption, region: RegionOption = None, json_: JsonOption = False) -> None:
    """An agency's policies."""
    found = control(region).get(path_of("policies", agency))
    show.rows(found, ("name", "changed", "text"), "No policy of its own.", json_=json_)


@app.command()
def remove(
    name: str, agency: AgencyOption, region: RegionOption = None, json_: JsonOption = False
) -> None:
    """Take a text of policies away."""
    gone = control(region).post(path_of("policies", agency, "remove"), {"name": name})
    if json_:
        show.as_json(gone)
    else:
        show.out.print(f"Policy {name} of agency {agency} is gone.", highlight=False)


@app.command("test")
def try_(
    file: FileArgument,
    agency: AgencyOption,
    cases: Annotated[
        Path | None,
        typer.Option(
            help="A JSON list of cases: principal, action, resource, expect (allow or deny), and "
            "session, label, guardrail, name if they matter."
        ),
    ] = None,
    name: NameOption = "",
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Check a text, and decide cases as if it were stored. Nothing is stored."""
    try:
        asked = json.loads(_text(cases)) if cases else []
    except ValueError as error:
        raise CommandFailed(f"{cases} is not JSON: {error}") from error
    body = {"name": name or file.stem, "text": _text(file), "cases": asked}
    found: list[dict[str, Any]] = control(region).post(path_of("policies", agency, "test"), body)
    show.rows(found, TESTED, "The text is good; no case was given.", json_=json_)
    missed = sum(not each["met"] for each in found)
    if missed:
        raise CommandFailed(f"{missed} of {len(found)} cases are decided otherwise.")


@app.command()
def why(
    agency: AgencyOption,
    principal: Annotated[str, typer.Option(help="user/NAME or role/NAME.")],
    action: Annotated[str, typer.Option(help="An IAM action: s3:GetObject.")],
    resource: Annotated[str, typer.Option(help="An ARN, or *.")],
    session: Annotated[
        str | None, typer.Option(help="The label that it works at; its floor if not given.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="The resource's label; that of what is there if not given.")
    ] = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Explain one decision: which engine, which policy, from which facts."""
    asked = {
        "principal": principal,
        "action": action,
        "resource": resource,
        "session": session,
        "label": label,
    }
    found = control(region).post(path_of("policies", agency, "why"), asked)
    if json_:
        show.as_json(found)
        return
    verdict = "allowed" if found["allowed"] else "refused"
    show.out.print(f"{verdict} by {found['engine']}: {found['words']}", highlight=False)
    for policy in found["policies"]:
        show.out.print(f"  policy {policy}", highlight=False)
    for fact, value in found["facts"].items():
        show.out.print(f"  {fact} = {value}", highlight=False)


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{file} cannot be read: {error}") from error
