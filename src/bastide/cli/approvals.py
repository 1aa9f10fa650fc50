"""`bastide approvals list|show|approve|reject|break-glass`."""

from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import show
from bastide.cli.control import CommandFailed, Control, path_of
from bastide.cli.options import JsonOption, RegionOption, control
from bastide.cli.signing import say
from bastide.kernel.approvals import Kind, digest_of
from bastide.kernel.statements import Verdict

app = typer.Typer(
    help="What waits for a second person: see exactly what it is, sign it or refuse it.",
    no_args_is_help=True,
)
COLUMNS = ("id", "kind", "standing", "requester", "missing", "expires", "digest")
WORDS = {
    Kind.DOWNGRADE: "Lower a label: more people may then read what it is on.",
    Kind.TRANSFER_RELEASE: "Release a bundle through the gate to another region.",
    Kind.TRANSFER_REVIEW: "Show the exact bytes of a bundle to a reviewer.",
    Kind.GUARDRAIL_LOOSENING: "Loosen a guardrail: prompts or answers that it stops will pass.",
    Kind.KEY_DELETION: "Destroy keys: what they open can never be read again, by anybody.",
    Kind.AGENCY_SHARE: "Let one agency read what another keeps in a bucket.",
    Kind.CLEARANCE_GRANT: "Clear a person, or all of an agency, for more than they may see now.",
    Kind.AUDIT_RETIREMENT: "Retire records of the audit log: they go into a file, hashes stay.",
    Kind.BREAK_GLASS: "Stand for what an officer has done alone.",
    Kind.TRUST_ANCHOR_CHANGE: "Change whom or what this region trusts.",
    Kind.ADMINISTRATOR_KEYS: "Hand out an agency's administrator keys: who has them reads it all.",
}
MyName = Annotated[str, typer.Option("--officer", help="Your name as an officer.")]
MyKey = Annotated[Path, typer.Option("--key", help="Your own private key, which stays with you.")]
YesOption = Annotated[bool, typer.Option("--yes", help="Do not ask: I have read it.")]


@app.command("list")
def list_(
    all_: Annotated[bool, typer.Option("--all", help="Those that have ended, too.")] = False,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """What waits for signatures, the newest first."""
    found = control(region).get(f"/approvals?all={'yes' if all_ else 'no'}")
    show.rows(found, COLUMNS, "Nothing waits for approval.", json_=json_)


@app.command("show")
def show_(request: str, region: RegionOption = None, json_: JsonOption = False) -> None:
    """Exactly what a request is about, and who has signed it."""
    found = _found(control(region), request)
    if json_:
        show.as_json(found)
    else:
        _print(found)


@app.command()
def approve(
    request: str,
    officer: MyName,
    key: MyKey,
    yes: YesOption = False,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Sign that exactly this may be done, once."""
    _say(Verdict.APPROVE, request, officer, key, yes=yes, region=region, json_=json_)


@app.command()
def reject(
    request: str,
    officer: MyName,
    key: MyKey,
    reason: Annotated[str, typer.Option(help="Why, for the record.")] = "",
    yes: YesOption = False,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Refuse a request, also one that is approved and still waits. It is not undone."""
    _say(Verdict.REJECT, request, officer, key, reason, yes=yes, region=region, json_=json_)


@app.command("break-glass")
def break_glass(
    request: str,
    officer: MyName,
    key: MyKey,
    reason: Annotated[str, typer.Option(help="Why nobody else could be asked.")],
    yes: YesOption = False,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Approve alone. Everybody will see it until another officer countersigns, or for ever."""
    _say(Verdict.BREAK_GLASS, request, officer, key, reason, yes=yes, region=region, json_=json_)


def _say(
    verdict: Verdict, request: str, officer: str, key: Path, reason: str = "",
    *, yes: bool, region: str | None, json_: bool,
) -> None:  # fmt: skip
    door = control(region)
    found = _found(door, request)
    if not yes:
        _print(found)
        typer.confirm(f"Sign '{verdict}' as {officer}?", abort=True, err=True)
    after = say(door, found, verdict, officer=officer, key=key, reason=reason)
    if json_:
        show.as_json(after)
    else:
        show.table([after], COLUMNS, "")


def _found(door: Control, request: str) -> dict[str, Any]:
    """A request whose digest is that of the action which is shown."""
    found: dict[str, Any] = door.get(path_of("approvals", request))
    if digest_of(found["action"]) != found["digest"] or found["region"] != door.region:
        raise CommandFailed(f"What the region says of {request} does not fit: do not sign it.")
    return found


def _print(found: dict[str, Any]) -> None:
    """In words; nothing of the action is left out, and nothing is markup."""
    line = show.out.print
    line(WORDS[Kind(found["kind"])], style="bold", highlight=False, markup=False)
    for name, value in found["action"].items():
        for each in value.split("\n") if isinstance(value, str) else _listed(value):
            line(f"  {_plain(name)}: {_plain(each)}", highlight=False, markup=False, soft_wrap=True)
    for name in ("standing", "requester", "missing", "created", "expires", "digest"):
        line(f"{name}: {_plain(found[name])}", highlight=False, markup=False, soft_wrap=True)
    if found["wait_ms"]:
        line(f"waits after the last signature: {found['wait_ms'] // 3_600_000} hours")
    show.table(found["signatures"], ("officer", "verdict", "at", "reason"), "nobody has signed")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        text = ", ".join(f"{name} {_plain(each)}" for name, each in value.items())
    elif isinstance(value, list):
        text = ", ".join(map(_plain, value))
    else:
        text = str(value)
    return show.plain(text)
