"""The tools of a Converse request, and the words in which a model is asked about them.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/tool-use.html
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from bastide.inference.schemas import Schema, schema_of
from bastide.kernel.errors import invalid, unsupported

Params = Mapping[str, Any]
TOOLS_MAX = 128
CALLS_MAX = 16  # in one turn
_SUMMARY_CHARACTERS = 160
YES, NO = "yes", "no"
OWN_CHOICE, ALONE = "tool_choice", "disable_parallel_tool_use"


class Choice(StrEnum):
    AUTO = "auto"
    ANY = "any"
    TOOL = "tool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    name: str
    description: str
    schema: Schema

    @property
    def summary(self) -> str:
        """Its name, and the first sentence of what it is for."""
        first = " ".join(self.description.split()).partition(". ")[0][:_SUMMARY_CHARACTERS]
        return f"{self.name} ({first})" if first else self.name


@dataclass(frozen=True, slots=True)
class Made:
    """A call that was made in this turn. `input` is its JSON as the model wrote it."""

    tool: Tool
    input: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Toolbox:
    """What a model may call, and whether it has to."""

    tools: tuple[Tool, ...]
    choice: Choice = Choice.AUTO
    after_results: bool = False  # the turn begins with what calls have answered
    only_one: bool = False  # at most one call in a turn

    @property
    def must_call(self) -> bool:
        return self.choice is not Choice.AUTO

    def first_question(self) -> str:
        if not self.must_call:
            return self.whether()
        return self.which(()) if len(self.tools) > 1 else self.arguments(self.tools[0], ())

    def listing(self) -> str:
        """For the system prompt, in the form that models were trained on."""
        lines = (
            {
                "type": "function",
                "function": {
                    "name": tool.name,
                    "description": tool.description,
                    "parameters": tool.schema.said,
                },
            }
            for tool in self.tools
        )
        text = "\n".join(json.dumps(line, ensure_ascii=False) for line in lines)
        return (
            "# Tools\n\nYou may call functions to help with the user's request. "
            f"Their signatures are within <tools></tools>:\n<tools>\n{text}\n</tools>"
        )

    def whether(self) -> str:
        """Asks for yes or no: small models judge a proposal better than they decline to make it."""
        proposed = " or ".join(tool.summary for tool in self.tools)
        if self.after_results:
            return (
                f"Somebody proposes to call {proposed} now. Is something that the request needs "
                "still missing from the results above, and would that call answer it? "
                "Reply yes or no."
            )
        return (
            "A function may be called only if it was made for what the user asks. "
            f"Is {proposed} made for that? Reply yes or no."
        )

    def enough(self, made: Sequence[Made]) -> str:
        """Asks for yes or no. Asked whether more is needed, small models always find something."""
        return (
            f"Calls made for this request:\n{_lines(made)}\nWill their results answer the whole "
            "request? Reply yes if they will, no if one more call is needed."
        )

    def which(self, made: Sequence[Made]) -> str:
        lines = "\n".join(f"{number}: {tool.summary}" for number, tool in enumerate(self.tools, 1))
        done = f"These calls are made:\n{_lines(made)}\n" if made else ""
        return f"{done}Which function has to be called next? Reply with its number.\n{lines}"

    def arguments(self, tool: Tool, made: Sequence[Made]) -> str:
        done = f"These calls are made:\n{_lines(made)}\n" if made else ""
        other = "another " if made else "the "
        return (
            f"{done}Write {other}call of {tool.name} for this request: only its arguments, as "
            "JSON. Give each argument, optional ones too, that the request says something of. "
            "Leave out an optional one that it does not speak of."
        )

    def reply(self) -> str:
        return "No function is called now. Answer in words."


def _lines(made: Sequence[Made]) -> str:
    return "\n".join(f"{one.tool.name} {one.input}" for one in made)


def toolbox_of(operation: str, req: Params, *, after_results: bool = False) -> Toolbox | None:
    """Raises ServiceError."""
    config = req.get("toolConfig")
    only_one = _only_one(operation, req)
    if not config:
        return None
    specs = [
        (number, tool["toolSpec"])
        for number, tool in enumerate(config["tools"])
        if "toolSpec" in tool
    ]
    if not specs:
        raise invalid("toolConfig.tools has no tool. Add a toolSpec, and try again.")
    if len(specs) > TOOLS_MAX:
        raise invalid(f"toolConfig.tools has {len(specs)} tools. {TOOLS_MAX} are the most.")
    names = [spec["name"] for _, spec in specs]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise invalid(f"The toolConfig field contains duplicate tool names: {', '.join(twice)}.")
    tools = tuple(_tool(number, spec) for number, spec in specs)
    choice, only = _choice(config.get("toolChoice") or {}, names)
    return Toolbox(
        tools=tuple(tool for tool in tools if only in ("", tool.name)),
        choice=choice,
        after_results=after_results,
        only_one=only_one,
    )


def _only_one(operation: str, req: Params) -> bool:
    """What `tool_choice` of Claude's own fields says beside toolConfig: as at AWS, its type is in
    one of the two places."""
    fields = req.get("additionalModelRequestFields")
    said = fields.get(OWN_CHOICE) if isinstance(fields, dict) else None
    if said is None:
        return False
    where = f"additionalModelRequestFields.{OWN_CHOICE}"
    if not isinstance(said, dict) or not isinstance(said.get(ALONE, False), bool):
        raise invalid(f"{where} must be an object, and its {ALONE} a boolean.")
    if stranger := next((name for name in said if name not in ("type", ALONE)), None):
        raise unsupported(operation, f"{where}.{stranger}")
    if not req.get("toolConfig"):
        raise invalid("tool_choice may only be specified while providing tools.")
    if "type" in said and req["toolConfig"].get("toolChoice"):
        raise invalid(f"{where}.type conflicts with toolConfig.toolChoice. Leave one of them out.")
    if "type" not in said and not req["toolConfig"].get("toolChoice"):
        raise invalid("tool_choice.type: Field required")
    if said.get("type", "auto") != "auto":
        raise unsupported(operation, f"{where}.type={said['type']}"[:128])
    return bool(said.get(ALONE))


def _choice(wanted: Params, names: Sequence[str]) -> tuple[Choice, str]:
    """The choice, and the one tool that it names."""
    if "any" in wanted:
        return Choice.ANY, ""
    if "tool" not in wanted:
        return Choice.AUTO, ""
    name: str = wanted["tool"]["name"]
    if name not in names:
        raise invalid(f"toolConfig.toolChoice names the tool {name}, which toolConfig.tools lacks.")
    return Choice.TOOL, name


def _tool(number: int, spec: Params) -> Tool:
    where = f"toolConfig.tools.{number}.toolSpec.inputSchema.json"
    said = spec["inputSchema"].get("json")
    if not isinstance(said, dict) or said.get("type") != "object":
        raise invalid(f"The value at {where}.type must be one of the following: object.")
    schema = schema_of(said, where)
    return Tool(name=spec["name"], description=spec.get("description", ""), schema=schema)
