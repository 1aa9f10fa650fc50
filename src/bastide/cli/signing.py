"""An officer's own word: signed here, with a key that the region never sees.

What is signed is what this command has read and shown: the digest is computed from the action
itself, so a region cannot show one thing and have another signed.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from bastide.cli.control import CommandFailed, Control, NotYetApproved, path_of
from bastide.kernel.approvals import digest_of
from bastide.kernel.statements import (
    BadKey,
    PrivateKey,
    Statement,
    Verdict,
    parse_private,
    sign,
)

OfficerOption = Annotated[str, typer.Option("--officer", help="Your name as an officer.")]
KeyOption = Annotated[
    Path | None, typer.Option("--key", help="Your own private key, which stays with you.")
]
T = TypeVar("T")


def say(
    control: Control, request: dict[str, Any], verdict: Verdict, *, officer: str, key: Path,
    reason: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Sign `verdict` on a request as it was shown; answers how the request stands then."""
    statement = Statement(
        region=control.region,
        request=request["id"],
        kind=request["kind"],
        digest=digest_of(request["action"]),
        requester=request["requester"],
        expires_ms=request["expires_ms"],
        wait_ms=request["wait_ms"],
        nonce=request["nonce"],
        verdict=verdict,
        officer=officer,
        reason=reason,
    )
    body = {"statement": statement.plain(), "signature": sign(statement, _read(key))}
    answer: dict[str, Any] = control.post("/approvals-sign", body)
    return answer


def asked(control: Control, officer: str, key: Path | None, work: Callable[[], T]) -> T:
    """Do `work`, which needs approval. Where an officer asks, they sign that it is they."""
    try:
        return work()
    except NotYetApproved as waits:
        if not officer or key is None:
            raise
        request = control.get(path_of("approvals", waits.request))
        if request["standing"] != "unsigned":
            raise
        say(control, request, Verdict.ASK, officer=officer, key=key)
        return work()


def _read(path: Path) -> PrivateKey:
    try:
        pem = path.read_bytes()
        try:
            return parse_private(pem)
        except TypeError:
            words = typer.prompt(f"Passphrase of {path}", hide_input=True, err=True)
            return parse_private(pem, str(words).encode())
    except OSError as error:
        raise CommandFailed(f"{path}: {error.strerror}") from error
    except BadKey as error:
        raise CommandFailed(f"{path}: {error}") from error
