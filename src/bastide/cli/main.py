"""The command `bastide`. Exit codes: 0, 1 for a failure, 2 for a wrong use, 3 where
another person must approve first."""

import sys

import typer

from bastide.cli import (
    agency,
    agent,
    approvals,
    audit,
    clearance,
    clients,
    duty,
    environments,
    keys,
    labels,
    models,
    officer,
    policies,
    quickstart,
    receipt,
    region,
    rules,
    share,
    show,
    tour,
    transfer,
)
from bastide.cli.control import CommandFailed, NotYetApproved
from bastide.settings import SettingsError

app = typer.Typer(
    name="bastide",
    help="A self-hosted AI cloud: the Bedrock, SageMaker and S3 APIs, really executed.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(region.up)
app.command("down")(region.down)
app.command("status")(region.status)
app.command("client-env")(clients.client_env)
app.command("tour")(tour.tour)
app.command("quickstart")(quickstart.quickstart)
app.add_typer(agency.app, name="agency")
app.add_typer(keys.app, name="keys")
app.add_typer(labels.app, name="label")
app.add_typer(rules.app, name="rules")
app.add_typer(environments.app, name="env")
app.add_typer(models.app, name="models")
app.add_typer(officer.app, name="officer")
app.add_typer(approvals.app, name="approvals")
app.add_typer(clearance.app, name="clearance")
app.add_typer(duty.app, name="duty")
app.add_typer(share.app, name="share")
app.add_typer(policies.app, name="policy")
app.add_typer(audit.app, name="audit")
app.add_typer(transfer.app, name="transfer")
app.add_typer(receipt.app, name="receipt")
app.add_typer(agent.app, name="agent")


def main() -> None:
    """Run one command; what went wrong goes to the error stream, in words."""
    try:
        app()
    except (CommandFailed, SettingsError) as error:
        show.failed(error)
        sys.exit(3 if isinstance(error, NotYetApproved) else 1)


if __name__ == "__main__":
    main()
