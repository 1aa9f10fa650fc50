"""What commands print: a table for people, JSON for machines, a bar for what takes long."""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

WIDE = 160  # where nobody looks: a pipe or a file
out = Console(width=None if sys.stdout.isatty() else WIDE)
err = Console(stderr=True)


def as_json(value: Any) -> None:
    """One JSON document on standard output: one line, unless a person looks."""
    out.print_json(json.dumps(value), indent=2 if out.is_terminal else None)


def table(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], empty: str) -> None:
    """`rows` under `columns`, or the line `empty` when there are none."""
    if not rows:
        out.print(empty)
        return
    grid = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        grid.add_column(column, overflow="fold")
    for row in rows:
        grid.add_row(*(escape(plain(_told(row.get(column, "")))) for column in columns))
    out.print(grid)


def plain(text: str) -> str:
    """Without letters that would move the cursor, or hide what stands beside them."""
    return "".join(one if one.isprintable() else repr(one)[1:-1] for one in text)


def failed(error: Exception) -> None:
    """What went wrong, in words that may be another's: a filter's, or an object's name."""
    text = "\n".join(map(plain, str(error).split("\n")))
    err.print(f"[bold red]error:[/] {escape(text)}", highlight=False, soft_wrap=True)


def _told(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def rows(
    data: Sequence[Mapping[str, Any]], columns: Sequence[str], empty: str, *, json_: bool
) -> None:
    """A list, for people or for machines."""
    if json_:
        as_json(list(data))
    else:
        table(data, columns, empty)


def follow(steps: Iterator[dict[str, Any]], what: str) -> Any:
    """Show the progress of `steps` on the error stream; answers the last step's `result`."""
    result: Any = None
    with _progress() as progress:
        task = progress.add_task(what, total=None)
        for step in steps:
            if "result" in step:
                result = step["result"]
                continue
            progress.update(
                task,
                description=escape(plain(step.get("step", what))),
                completed=step.get("done"),
                total=step.get("total"),
            )
    return result


def _progress() -> Progress:
    return Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
    )
