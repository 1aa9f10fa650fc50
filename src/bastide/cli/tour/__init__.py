"""`bastide tour`: the main job, done by unchanged AWS clients in a venv of their own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer

from bastide.cli import show, venvs
from bastide.cli.audit import verdict_of, verify
from bastide.cli.control import CommandFailed, Control, path_of
from bastide.cli.options import JsonOption, RegionOption, site_and_region

HERE = Path(__file__).parent
LOCK = HERE / "requirements.txt"


def tour(
    data: Annotated[
        Path | None, typer.Option(exists=True, dir_okay=False, help="A CSV with a header line.")
    ] = None,
    target: Annotated[str | None, typer.Option(help="The column of DATA to predict.")] = None,
    agency: Annotated[str, typer.Option(help="The agency; made when it is not there.")] = "demo",
    model: Annotated[str | None, typer.Option(help="The model id to talk to.")] = None,
    region: RegionOption = None,
    json_: JsonOption = False,
) -> None:
    """Upload, train, deploy, predict, converse, and check the evidence of all that."""
    if (data is None) != (target is None):
        raise typer.BadParameter("--data and --target go together")
    site, name = site_and_region(region)
    door = Control(site, name)
    account = _agency(door, agency)
    python = _clients(site.home / "clients" / "tour")
    command: list[str | Path] = [
        python, "-W", "ignore", HERE / "steps.py",
        "--bucket", f"tour-{name}-{account['account_id']}",
        "--role", account["role_arn"],
        "--model", model or _first_model(door),
        "--source", HERE / "source",
    ]  # fmt: skip
    if data is not None and target is not None:
        command += ["--data", data.absolute(), "--target", target]
    environment = _environment(
        door.post(
            path_of("agencies", agency, "client-env"),
            {"keys": True, "bearer": False, "officer": ""},
        ),
        site.home,
    )
    facts = _walk(command, environment, aside=json_)
    if json_:
        verdict = verdict_of(None, None, None, region)
        show.as_json({"region": name, "agency": agency, **facts, "audit": verdict.as_dict()})
        raise typer.Exit(0 if verdict.ok else 1)
    show.out.print("\n[bold]bastide audit verify[/]")
    verify(region=region)


def _walk(command: list[str | Path], environment: dict[str, str], *, aside: bool) -> dict[str, Any]:
    """Take the tour, shown as it goes (`aside`: on the error stream); answers what it did."""
    with tempfile.NamedTemporaryFile() as facts:
        done = subprocess.run(
            [*command, "--facts", facts.name],
            env=environment,
            stdout=sys.stderr if aside else None,
            check=False,
        )
        if done.returncode != 0:
            raise CommandFailed("The tour did not come to its end; the last lines above say where.")
        found: dict[str, Any] = json.load(facts)
    return found


def _agency(door: Control, name: str) -> dict[str, str]:
    found: dict[str, str]
    for found in door.get("/agencies"):
        if found["name"] == name:
            return found
    found = door.post("/agencies", {"name": name, "account_id": None})
    return found


def _first_model(door: Control) -> str:
    for found in door.get("/models"):
        if found["admitted"]:
            return str(found["model_id"])
    raise CommandFailed("No model is here yet. Fetch one: bastide models pull smollm2-135m")


def _environment(client_env: dict[str, str], home: Path) -> dict[str, str]:
    """What the clients see: no setting of the caller's own AWS account, and no telemetry."""
    optout = home / "clients" / "sagemaker.yaml"
    optout.write_text(
        "SchemaVersion: '1.0'\nSageMaker: {PythonSDK: {Modules: {TelemetryOptOut: true}}}\n"
    )
    return {
        "PATH": os.defpath,
        "HOME": str(home / "clients"),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "SAGEMAKER_SUPPRESS_V2_WARNING": "1",
        "SAGEMAKER_USER_CONFIG_OVERRIDE": str(optout),
        **client_env,
    }


def _clients(home: Path) -> Path:
    """The interpreter of the clients' venv."""
    told = "installing boto3 and the SageMaker SDK into a venv of their own"
    return venvs.python_of(home, LOCK, lambda: show.err.status(told))
