"""docs/operations.md: every operation of every service, and what becomes of it here.

Written by `UPDATE_GOLDEN=1 pytest tests/golden`; a test holds the page against the code.
"""

from collections.abc import Iterator

from bastide.evidence.cloudtrail import is_management
from bastide.kernel.operation import honours_of
from bastide.policy.actions import authorized_how
from bastide.wire.gateway import Gateway
from bastide.wire.model import EVERY, Catalogue

HEAD = """# Operations

Generated from the code: do not edit. An operation that is not implemented answers
`UnsupportedOperation` (HTTP 501) after its sender is known and its request is understood; a member
that is known and neither honoured nor named below is refused by name when it is set.

Every call is audited: an implemented one with a record before its effect and one when it has ended,
a refused one with a record that says why. "looked up" marks what CloudTrail's LookupEvents shows;
the others are data events, which `bastide audit show` shows.
"""


def page(gateway: Gateway, catalogue: Catalogue) -> str:
    """The whole page, as Markdown."""
    return "\n".join([HEAD, *_totals(gateway, catalogue), *_services(gateway, catalogue)]) + "\n"


def _totals(gateway: Gateway, catalogue: Catalogue) -> Iterator[str]:
    yield "| service | operations | implemented |"
    yield "|---|---|---|"
    for name in EVERY:
        names = catalogue.service(name).names
        done = sum(f"{name}.{operation}" in gateway.handlers for operation in names)
        yield f"| {name} | {len(names)} | {done} |"


def _services(gateway: Gateway, catalogue: Catalogue) -> Iterator[str]:
    for name in EVERY:
        names = sorted(catalogue.service(name).names)
        done = [one for one in names if f"{name}.{one}" in gateway.handlers]
        yield f"\n## {name}\n"
        if done:
            yield "| operation | authorized | audited |"
            yield "|---|---|---|"
            yield from (_row(f"{name}.{one}") for one in done)
            yield from _accepted(gateway, name, done)
        rest = [one for one in names if one not in done]
        if rest:
            yield f"\nNot implemented ({len(rest)}): {', '.join(rest)}."


def _row(operation: str) -> str:
    shown = "looked up" if is_management(operation) else "data event"
    return f"| {operation.partition('.')[2]} | {authorized_how(operation)} | {shown} |"


def _accepted(gateway: Gateway, service: str, names: list[str]) -> Iterator[str]:
    """The members that are taken without effect, and why that is no lie."""
    rows: dict[tuple[str, str], list[str]] = {}
    for name in names:
        accepted = honours_of(gateway.handlers[f"{service}.{name}"].method).accepted
        for member, reason in accepted.items():
            rows.setdefault((member, reason), []).append(name)
    if rows:
        yield "\nAccepted without effect:\n"
    for (member, reason), where in sorted(rows.items()):
        yield f"- `{member}` of {', '.join(where)}: {reason}"
