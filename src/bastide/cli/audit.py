"""`bastide audit verify|show|export`: offline; they read the stored log and the public key.
`bastide audit deliver|retire|rotate-digest-key` ask a running region."""

import json
import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import show as screen
from bastide.cli.control import CommandFailed
from bastide.cli.options import JsonOption, RegionOption, control, site_and_region
from bastide.cli.signing import KeyOption as SigningKeyOption
from bastide.cli.signing import OfficerOption, asked
from bastide.evidence import show as evidence_show
from bastide.evidence import verify as evidence_verify
from bastide.evidence.ocsf import exported
from bastide.evidence.stored import Unreadable
from bastide.kernel.notes import BadNote


class ExportFormat(StrEnum):
    """What `audit export` can write."""

    OCSF = "ocsf"


app = typer.Typer(help="The evidence: what was asked, allowed and done.", no_args_is_help=True)
RETIRED = ("first", "last", "records", "request", "file", "sha256")
ROTATED = ("old", "new", "valid_from", "request")
DELIVERED = ("account", "trail", "bucket", "error", "digest")
COLUMNS = ("index", "at", "operation", "who", "label", "answer", "resources")
LogOption = Annotated[
    str | None, typer.Option("--log", help="Another log: an SQLite file, or a PostgreSQL URL.")
]
KeyOption = Annotated[
    Path | None, typer.Option("--key", exists=True, dir_okay=False, help="Its public key file.")
]

FilesOption = Annotated[
    list[Path] | None,
    typer.Option("--retired", exists=True, dir_okay=False, help="A file of retired records."),
]
HeldOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--checkpoint", exists=True, dir_okay=False,
        help="A checkpoint that was kept elsewhere; the region's newest if not given.",
    ),
]  # fmt: skip


@app.command()
def verify(
    log: LogOption = None,
    key: KeyOption = None,
    checkpoint: HeldOption = None,
    retired: FilesOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Check every record, every checkpoint's signature, and that the log only ever grew."""
    verdict = verdict_of(log, key, checkpoint, region, retired or ())
    if json_:
        screen.as_json(verdict.as_dict())
    else:
        screen.out.print(verdict.text(), highlight=False)
    if not verdict.ok:
        raise typer.Exit(1)


def verdict_of(
    log: str | None,
    key: Path | None,
    checkpoint: list[Path] | None,
    region: str | None,
    retired: Sequence[Path] = (),
) -> evidence_verify.Verdict:
    """What a check of the log finds; the region's own log if none is named."""
    where, public = _sources(log, key, region)
    held = _held(checkpoint, region)  # before the log: it may only have grown since
    with screen.err.status("checking the log"):
        try:
            return evidence_verify.verify(where, public, held=held, files=retired)
        except BadNote as error:
            raise CommandFailed(f"The public key cannot be read: {error}") from error
        except Unreadable as error:
            raise CommandFailed(str(error)) from error


@app.command()
def show(
    account: Annotated[str | None, typer.Option(help="Only this account's records.")] = None,
    operation: Annotated[str | None, typer.Option(help="e.g. s3.PutObject, or PutObject.")] = None,
    last: Annotated[int, typer.Option(min=1, help="How many, counted from the end.")] = 20,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """The last records of a region's log."""
    where, _ = _sources(None, None, region)
    wanted = evidence_show.Wanted(account=account, operation=operation, last=last)
    try:
        found = evidence_show.show(where, wanted)
    except Unreadable as error:
        raise CommandFailed(str(error)) from error
    if json_:
        screen.as_json(found)
        return
    screen.table(_told(found), COLUMNS, "No record yet.")


@app.command()
def export(
    format_: Annotated[
        ExportFormat, typer.Option("--format", help="The schema.")
    ] = ExportFormat.OCSF,
    account: Annotated[str | None, typer.Option(help="Only this account's records.")] = None,
    since: Annotated[datetime | None, typer.Option(help="From this moment (UTC) on.")] = None,
    out: Annotated[Path | None, typer.Option(help="A file; printed if not given.")] = None,
    log: LogOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Calls as events of API Activity (6003), one JSON object a line. Offline, as `show` is."""
    where, _ = _sources(log, None, region)
    since_ms = None if since is None else int(since.replace(tzinfo=UTC).timestamp() * 1000)
    count = 0
    with nullcontext(sys.stdout) if out is None else out.open("w") as lines:
        try:
            for event in exported(where, account, since_ms):
                lines.write(json.dumps(event, separators=(",", ":")) + "\n")
                count += 1
        except Unreadable as error:
            raise CommandFailed(str(error)) from error
    if out is not None:
        row = {"format": format_.value, "events": count, "file": str(out)}
        screen.rows([row], tuple(row), "", json_=json_)


@app.command()
def deliver(
    account: Annotated[str, typer.Option(help="Only this account's trails.")] = "",
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Deliver now what CloudTrail's trails would within the hour, with digests up to now."""
    found = control(region).post("/trails-deliver", {"account": account})
    screen.rows(found, DELIVERED, "No trail logs.", json_=json_)


@app.command()
def retire(
    before: Annotated[datetime | None, typer.Option(help="What is older (UTC).")] = None,
    up_to: Annotated[
        int | None, typer.Option(min=0, help="The last record to retire, by its index.")
    ] = None,
    officer: OfficerOption = "",
    key: SigningKeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Move old records from the log into a file, of which the log keeps the hash of each. A
    security officer and an auditor must sign for it; then the same command does it."""
    if (before is None) == (up_to is None):
        raise typer.BadParameter("Say either --before or --up-to.")
    since = None if before is None else before.replace(tzinfo=UTC).isoformat()
    body = {"before": since, "up_to": up_to, "officer": officer}
    door = control(region)
    row = asked(door, officer, key, lambda: door.post("/audit-retire", body))
    screen.rows([row], RETIRED, "", json_=json_)


@app.command("rotate-digest-key")
def rotate_digest_key(
    officer: OfficerOption = "",
    key: SigningKeyOption = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Ask for another key for the trails' digests, which two security officers must sign for; then
    the same command makes it. The old one's public half stays listed, for what it signed."""
    door = control(region)
    body = {"officer": officer}
    row = asked(door, officer, key, lambda: door.post("/digest-key-rotate", body))
    screen.rows([row], ROTATED, "", json_=json_)


def _told(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row for each call: its end, a record of its own, is told beside it."""
    ends = {record["opened"]: record for record in records if "opened" in record}
    rows = []
    for record in records:
        if "opened" in record:
            continue
        end = ends.get(record["index"], record)
        rows.append(
            {
                "index": record["index"],
                "at": str(record.get("at", ""))[11:19],
                "operation": record.get("operation") or record.get("kind", ""),
                "who": str(record.get("principal", "")).rpartition("/")[2] or record.get("account"),
                "label": record.get("label", ""),
                "answer": end.get("code") or end.get("status") or record.get("decision", ""),
                "resources": " ".join(map(str, _objects(record).values())),
            }
        )
    return rows


def _objects(record: dict[str, Any]) -> dict[str, Any]:
    """What a call was about; of an operator's, what it was told."""
    found: dict[str, Any] = record.get("resources") or {}
    return found or (record.get("facts", {}) if record.get("kind") == "operator" else {})


def _held(kept: list[Path] | None, region: str | None) -> list[str]:
    """Checkpoints that the log must hold: one that was put back from an older copy does not."""
    if kept:
        return [path.read_text() for path in kept]
    site, name = site_and_region(region)
    newest = site.region_home(name) / "audit" / "held.checkpoint"
    return [newest.read_text()] if newest.exists() else []


def _sources(log: str | None, key: Path | None, region: str | None) -> tuple[str, str]:
    """Where the log is, and the text of its public key."""
    site, name = site_and_region(region)
    home = site.region_home(name)
    where = log or site.settings.region(name).database or str(home / "region.db")
    path = key or home / "audit" / "audit.pub"
    if not path.exists():
        raise CommandFailed(f"There is no public key at {path}. Name one with --key.")
    return where, path.read_text()
