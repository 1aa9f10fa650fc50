"""Tool calls through Converse on the questions of the Berkeley leaderboard (BFCL), by AST match.

`--data`: a folder with BFCL_v4_*.json and answer_BFCL_v4_*.json, itself or anywhere below, or one
of the questions' files.
Each set is scored by itself: `irrelevance` where no call is right, the others against their ground
truth. Beside it: of the calls that had to be made, how many fit their schema. `--held-out` leaves
out the quarter of the rows that wordings and thresholds may be chosen on (decision 0055),
`--design` takes that quarter alone, and only of it are wrong calls printed (`--wrong`).
"""

import hashlib
import json
from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.common import Report
from jsonschema import Draft202012Validator

from evals.bfcl_match import Call, all_match
from evals.region import Asked, region_for
from evals.report import add_rate, begin, in_time, options, sampled

MODEL = "qwen2.5-coder-1.5b"
PREFIX = "BFCL_v4_"
SETS = ("irrelevance", "simple_python", "multiple", "parallel", "parallel_multiple", "live_simple")
TARGETS = {"simple_python": 0.8, "irrelevance": 0.7}
TOKENS_MAX = 400
TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": ""}


@dataclass(frozen=True, slots=True)
class Row:
    id: str
    messages: list[dict[str, Any]]
    system: list[dict[str, str]]
    tools: dict[str, dict[str, Any]]  # the name that AWS takes → the function
    truth: list[Any] | None  # None: no call is right


def rows_of(path: Path) -> list[Row]:
    """The questions of one set, with their answers where the set has some."""
    name = path.name.removeprefix(PREFIX).removesuffix(".json")
    truth: dict[str, Any] = {}
    if not name.startswith("irrelevance"):
        answers = path.with_name(f"answer_{path.name}")
        truth = {row["id"]: row["ground_truth"] for row in _lines(answers)}
    return [_row(row, truth.get(row["id"])) for row in _lines(path)]


def is_for_design(row: Row) -> bool:
    """One in four, by its id alone: figures on the others owe nothing to what was chosen on it."""
    return hashlib.sha256(row.id.encode()).digest()[0] % 4 == 0


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    return (json.loads(line) for line in path.read_text().splitlines() if line.strip())


def _row(row: Mapping[str, Any], truth: list[Any] | None) -> Row:
    turns = row["question"][0]
    return Row(
        id=row["id"],
        messages=[
            {"role": turn["role"], "content": [{"text": turn["content"]}]}
            for turn in turns
            if turn["role"] != "system"
        ],
        system=[{"text": turn["content"]} for turn in turns if turn["role"] == "system"],
        tools={_name(function["name"]): function for function in row["function"]},
        truth=truth,
    )


def _name(name: str) -> str:
    """AWS takes no dots in a tool's name, and 64 characters."""
    return name.replace(".", "_")[:64]


def schema_of(said: Mapping[str, Any]) -> dict[str, Any]:
    """BFCL's own words for types, in those of JSON schemas."""
    found = {name: value for name, value in said.items() if name != "optional"}
    if "type" in said:
        found["type"] = TYPES.get(said["type"].lower(), said["type"].lower())
        if not found["type"]:
            del found["type"]
    if "properties" in said:
        found["properties"] = {name: schema_of(one) for name, one in said["properties"].items()}
    if isinstance(said.get("items"), dict):
        found["items"] = schema_of(said["items"])
    return found


@dataclass(slots=True)
class Judge:
    """Asks a model, and knows whether its calls are right."""

    runtime: Any
    model_id: str
    forced: int = 0
    forced_valid: int = 0

    def is_right(self, row: Row, *, tell: bool = False) -> bool:
        calls = self._calls(row, {})
        right = not calls if row.truth is None else all_match(calls, row.truth)
        if tell and not right:
            said = {"id": row.id, "asked": row.messages[-1]["content"], "said": calls}
            print(json.dumps({**said, "right": row.truth}, ensure_ascii=False), flush=True)
        return right

    def force(self, row: Row) -> None:
        """A call of the first tool, whatever the question is: it fits that tool's schema."""
        name = next(iter(row.tools))
        calls = self._calls(row, {"toolChoice": {"tool": {"name": name}}})
        function = row.tools[name]
        schema = Draft202012Validator(schema_of(function["parameters"]))
        self.forced += 1
        self.forced_valid += [called for called, _ in calls] == [function["name"]] and all(
            schema.is_valid(arguments) for _, arguments in calls
        )

    def _calls(self, row: Row, more: Mapping[str, Any]) -> list[Call]:
        tools = [
            {
                "toolSpec": {
                    "name": name,
                    "description": function["description"],
                    "inputSchema": {"json": schema_of(function["parameters"])},
                }
            }
            for name, function in row.tools.items()
        ]
        stream = self.runtime.converse_stream(
            modelId=self.model_id,
            messages=row.messages,
            system=row.system,
            toolConfig={"tools": tools, **more},
            inferenceConfig={"temperature": 0.0, "maxTokens": TOKENS_MAX},
        )["stream"]
        return [(row.tools[name]["name"], arguments) for name, arguments in _called(stream)]


def _called(stream: Any) -> list[tuple[str, Any]]:
    """The calls of an answer. One in words is not read to its end: it makes none."""
    found: list[tuple[str, str]] = []
    for event in stream:
        if "contentBlockStart" in event:
            found.append((event["contentBlockStart"]["start"]["toolUse"]["name"], ""))
        delta = event.get("contentBlockDelta", {}).get("delta", {})
        if "text" in delta:
            stream.close()
            break
        if "toolUse" in delta:
            name, text = found.pop()
            found.append((name, text + delta["toolUse"]["input"]))
    return [(name, _json(text)) for name, text in found]


def _json(text: str) -> Any:
    """{} for a call that broke off: it is none of the right ones."""
    try:
        return json.loads(text)
    except ValueError:
        return {}


def files_of(data: Path) -> dict[str, Path]:
    below = [path for name in SETS for path in sorted(data.rglob(f"{PREFIX}{name}.json"))[:1]]
    found = [data] if data.is_file() else below
    named = {
        path.name.removeprefix(PREFIX).removesuffix(".json"): path
        for path in found
        if path.is_file()
    }
    if not named:
        raise SystemExit(f"No {PREFIX}*.json of {', '.join(SETS)} at {data}.")
    return named


def _chosen_of(rows: list[Row], chosen: Namespace) -> list[Row]:
    if not (chosen.held_out or chosen.design):
        return rows
    return [row for row in rows if is_for_design(row) == chosen.design]


def _score(chosen: Namespace, report: Report, judge: Judge, name: str, rows: Sequence[Row]) -> None:
    right = number = 0
    for number, row in enumerate(in_time(rows, chosen.minutes, chosen.seed), 1):
        right += judge.is_right(row, tell=chosen.wrong)
        if chosen.verbose:
            print(f"{name} {number}/{len(rows)}: {right} right", flush=True)
    add_rate(report, name, right, number, target=TARGETS.get(name))


def measure(chosen: Namespace, report: Report, region: Asked) -> None:
    judge = Judge(region.client("bedrock-runtime"), region.model_id)
    for name, path in files_of(chosen.data).items():
        rows = sampled(_chosen_of(rows_of(path), chosen), chosen.limit, chosen.seed)
        if not chosen.forced_alone:
            _score(chosen, report, judge, name, rows)
        for row in sampled(rows, chosen.forced, chosen.seed):
            judge.force(row)
            if chosen.verbose:
                print(f"forced: {judge.forced_valid} of {judge.forced} valid", flush=True)
    valid = "forced calls that fit their schema"
    add_rate(report, valid, judge.forced_valid, judge.forced, target=1.0)


def main() -> None:
    parser = options(__doc__ or "", model=MODEL)
    parser.add_argument("--forced", type=int, default=20, help="how many forced calls of each set")
    part = parser.add_mutually_exclusive_group()
    part.add_argument("--held-out", action="store_true", help="no row that was chosen on")
    part.add_argument("--design", action="store_true", help="those rows alone")
    parser.add_argument("--wrong", action="store_true", help="print what was wrong, and what right")
    parser.add_argument("--forced-alone", action="store_true", help="nothing but forced calls")
    parser.add_argument("--verbose", action="store_true", help="tell of each question")
    chosen = parser.parse_args()
    if chosen.wrong and not chosen.design:
        parser.error("--wrong is for the rows of --design: who reads others has none to report on.")
    report = begin("bfcl", chosen)
    with region_for(chosen.model) as region:
        measure(chosen, report, region)
    report.print(chosen.json)


if __name__ == "__main__":
    main()
