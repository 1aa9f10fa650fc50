"""`bastide agent trace`: how a turn of an agent went. A client of AWS's API: the credentials in the
environment say what may be read; the operators' door does not show it (decision 0066)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.tree import Tree

from bastide.cli import show
from bastide.cli.control import CommandFailed
from bastide.cli.options import JsonOption

if TYPE_CHECKING:
    from botocore.client import BaseClient

app = typer.Typer(
    help="Agents' turns, as your own credentials may read them.", no_args_is_help=True
)
GROUP = "/aws/bedrock/agents/"
TURNS_MAX = 100
LINES_MAX = 1_000
NO_KEYS = 'No credentials. Set them first: eval "$(bastide client-env --agency NAME)"'
_SHOWN = {
    "gen_ai.usage.input_tokens": "tokens in",
    "gen_ai.usage.output_tokens": "out",
    "bastide.guardrail.action": "guardrail",
    "bastide.agent.refused_calls": "calls refused",
    "bastide.agent.returned_control": "returned control",
    "bastide.agent.dropped_spans": "spans left out",
    "gen_ai.data_source.id": "of",
    "error.type": "error",
}


@app.callback()
def agents() -> None:
    """One command so far, and it keeps its name."""


@app.command()
def trace(
    id: Annotated[str, typer.Argument(help="A request's id, a trace's id, or a session's.")],
    agent: Annotated[str, typer.Option(help="The agent's id, where it is known.")] = "",
    json_: JsonOption = False,
) -> None:
    """Print the tree of a turn, or of each turn of a session: models, tools, tokens, times.

    Uses the AWS credentials and endpoint of the environment, and sees what their session sees.
    """
    turns = _turns(id, agent)
    if json_:
        show.as_json([{"trace_id": name, "spans": spans} for name, spans in turns.items()])
        return
    for name, spans in turns.items():
        show.out.print(_tree(name, spans))


def _turns(id: str, agent: str) -> dict[str, list[dict[str, Any]]]:
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError
    from botocore.session import get_session  # slow to import, and of this command alone

    try:
        client = get_session().create_client("logs")
        try:
            found = _spans(_lines(client, id, agent))
        finally:
            client.close()
    except (NoCredentialsError, NoRegionError) as error:
        raise CommandFailed(NO_KEYS) from error
    except (BotoCoreError, ClientError) as error:
        raise CommandFailed(str(error)) from error
    if not found:
        raise CommandFailed(f"Nothing that these credentials see is known of {id}.")
    return found


def _lines(client: "BaseClient", id: str, agent: str) -> Iterator[str]:
    """Of each agent's group, what names the id."""
    pages = client.get_paginator("describe_log_groups").paginate(logGroupNamePrefix=GROUP + agent)
    wanted, count = '"' + id.replace('"', "") + '"', 0
    for group in (one["logGroupName"] for page in pages for one in page["logGroups"]):
        events = client.get_paginator("filter_log_events").paginate(
            logGroupName=group, filterPattern=wanted
        )
        for event in (one for page in events for one in page["events"]):
            count += 1
            if count > LINES_MAX:
                raise CommandFailed(f"More than {LINES_MAX} lines name {id}. Name one turn.")
            yield event["message"]


def _spans(lines: Iterator[str]) -> dict[str, list[dict[str, Any]]]:
    """By trace. A line that somebody else wrote into the group is left out."""
    found: dict[str, list[dict[str, Any]]] = {}
    for line in lines:
        try:
            for span in _of_line(json.loads(line)):
                if len(found) < TURNS_MAX or span["trace_id"] in found:
                    found.setdefault(span["trace_id"], []).append(span)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def _of_line(document: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "trace_id": str(one["traceId"]),
            "span_id": str(one["spanId"]),
            "parent_id": str(one.get("parentSpanId", "")),
            "name": str(one["name"]),
            "label": str(_plain(held["resource"]["attributes"]).get("bastide.label", "")),
            "started_ns": int(one["startTimeUnixNano"]),
            "took_ms": (int(one["endTimeUnixNano"]) - int(one["startTimeUnixNano"])) // 1_000_000,
            "attributes": {**_plain(scoped["scope"]["attributes"]), **_plain(one["attributes"])},
        }
        for held in document["resourceSpans"]
        for scoped in held["scopeSpans"]
        for one in scoped["spans"]
    ]


def _plain(attributes: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    found = {}
    for one in attributes:
        ((kind, value),) = one["value"].items()
        found[str(one["key"])] = int(value) if kind == "intValue" else value
    return found


def _tree(trace_id: str, spans: Sequence[Mapping[str, Any]]) -> Tree:
    """Whoever has no parent here hangs on the top."""
    top = Tree(f"[bold]{_text(trace_id)}[/] {_text(spans[0]['label'])}")
    branches: dict[str, Tree] = {}
    for span in spans:
        branches[span["span_id"]] = branches.get(span["parent_id"], top).add(_line(span))
    return top


def _line(span: Mapping[str, Any]) -> str:
    says = span["attributes"]
    told = [f"{word} {says[name]}" for name, word in _SHOWN.items() if name in says]
    return (
        f"{_text(span['name'])}  [dim]{span['took_ms']} ms[/]  {_text(' · '.join(told))}".rstrip()
    )


def _text(text: str) -> str:
    return escape(show.plain(text))
