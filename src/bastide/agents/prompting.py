"""An agent's own prompt in place of ours: promptOverrideConfiguration, as far as it is true here.

A template is the system prompt, with AWS's placeholders filled in; the conversation itself goes to
the model as messages. Source:
https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-placeholders.html
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from bastide.kernel.errors import invalid, unsupported

Params = dict[str, Any]
TOKENS_MAX = 1_024  # of one answer, where the agent says nothing else
_BASE = "promptOverrideConfiguration.promptConfigurations"
MEMBERS = tuple(
    f"{_BASE}.{name}"
    for name in (
        "promptType", "promptCreationMode", "promptState", "basePromptTemplate",
        "inferenceConfiguration",
    )
)  # fmt: skip
DEFAULT = "$instruction$\n\n$tool_output_rule$\n\n$prompt_session_attributes$"
_PLACEHOLDER = re.compile(r"\$([a-z_]+)\$")
_FILLED = frozenset({"instruction", "prompt_session_attributes", "tool_output_rule"})
# What a template of AWS's has beside its system prompt: the conversation, which goes as messages.
_CONVERSATION = [
    {"role": "user", "content": "$question$"},
    {"role": "assistant", "content": "$agent_scratchpad$"},
]


def check(operation: str, req: Mapping[str, Any]) -> None:
    """Refuses by name what would have no effect."""
    given = req.get("promptOverrideConfiguration") or {}
    seen: set[str] = set()
    for one in given.get("promptConfigurations") or ():
        kind = str(one.get("promptType"))
        if kind in seen:
            raise invalid(f"promptType {kind} is configured twice.")
        seen.add(kind)
        if kind != "ORCHESTRATION":
            if one.get("promptState") != "DISABLED":
                raise unsupported(operation, f"promptType={kind}, which is not DISABLED,")
        elif one.get("promptState") == "DISABLED":
            raise unsupported(operation, "promptState=DISABLED of ORCHESTRATION")
        elif one.get("promptCreationMode") == "OVERRIDDEN":
            template(str(one.get("basePromptTemplate") or ""))
        elif one.get("basePromptTemplate") or one.get("inferenceConfiguration"):
            raise invalid("promptCreationMode must be OVERRIDDEN for a prompt of your own.")


def template(text: str) -> str:
    """The system prompt of a base template. ValidationException for what is none."""
    if not text:
        raise invalid("basePromptTemplate must be specified.")
    system = text
    if text.lstrip().startswith("{"):
        try:
            read = json.loads(text)
        except ValueError as error:
            raise invalid("basePromptTemplate begins as JSON and is none.") from error
        system = read.get("system")
        if not isinstance(system, str) or read.get("messages", _CONVERSATION) != _CONVERSATION:
            raise invalid(
                "basePromptTemplate has a text as its system, and as its messages $question$ of "
                "the user and $agent_scratchpad$ of the assistant."
            )
    unknown = sorted(set(_PLACEHOLDER.findall(system)) - _FILLED)
    if unknown:
        raise invalid(f"basePromptTemplate: ${unknown[0]}$ is not filled in here.")
    return system


def system(agent: Mapping[str, Any], rule: str, prompted: Mapping[str, str]) -> str:
    """Filled in. A template without the rule for what functions return gets it all the same."""
    mine = _own(agent)
    text = template(mine["basePromptTemplate"]) if mine else DEFAULT
    if "$tool_output_rule$" not in text:
        text += "\n\n$tool_output_rule$"
    said = f"What holds for this request: {json.dumps(dict(prompted))}" if prompted else ""
    values = {
        "instruction": str(agent.get("instruction") or ""),
        "prompt_session_attributes": said,
        "tool_output_rule": rule,
    }
    filled = _PLACEHOLDER.sub(lambda found: values[found[1]], text)
    return re.sub(r"\n{3,}", "\n\n", filled).strip()


def inference(agent: Mapping[str, Any]) -> Params:
    """Converse's inferenceConfig, and what of it goes beside that."""
    asked = _own(agent).get("inferenceConfiguration") or {}
    config: Params = {
        "temperature": asked.get("temperature", 0.0),
        "maxTokens": asked.get("maximumLength") or TOKENS_MAX,
    }
    if "topP" in asked:
        config["topP"] = asked["topP"]
    if asked.get("stopSequences"):
        config["stopSequences"] = asked["stopSequences"]
    found: Params = {"inferenceConfig": config}
    if "topK" in asked:
        found["additionalModelRequestFields"] = {"top_k": asked["topK"]}
    return found


def _own(agent: Mapping[str, Any]) -> Mapping[str, Any]:
    given = agent.get("promptOverrideConfiguration") or {}
    mine = ("ORCHESTRATION", "OVERRIDDEN")
    for one in given.get("promptConfigurations") or ():
        if (one.get("promptType"), one.get("promptCreationMode")) == mine:
            found: Mapping[str, Any] = one
            return found
    return {}
