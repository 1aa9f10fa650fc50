"""The request of Anthropic's Messages as Structs, and what is wrong with one in Anthropic's words.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages-request-response.html
and https://platform.claude.com/docs/en/api/messages
"""

import re
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bastide.inference.dialects.json_body import Fault, Rule
from bastide.kernel.errors import ServiceError, invalid

Share = Annotated[float, Meta(ge=0, le=1)]
Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}$")]
# Bedrock's, and those of Anthropic's own endpoint, which its client sends here too.
VERSION = re.compile(r"(bedrock-)?20\d\d-\d\d-\d\d")


class Part(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Only what is documented may be in it."""


class CacheControl(Part):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"


class Cached(Part):
    cache_control: CacheControl | None = None


class Text(Cached, tag="text", kw_only=True):
    text: str
    citations: list[Any] | None = None


class Image(Cached, tag="image", kw_only=True):
    source: dict[str, Any]


class DocumentSource(Part):
    type: Literal["text", "base64", "url", "content", "file"]
    media_type: str = ""
    data: str = ""
    content: Any = None
    url: str = ""
    file_id: str = ""


class Document(Cached, tag="document", kw_only=True):
    source: DocumentSource
    title: str | None = None
    context: str | None = None
    citations: dict[str, Any] | None = None


class ToolUse(Cached, tag="tool_use", kw_only=True):
    id: Name
    name: Name
    input: dict[str, Any]
    caller: dict[str, Any] | None = None


class ToolResult(Cached, tag="tool_result", kw_only=True):
    tool_use_id: Name
    content: str | list[Text | Image | Document] = ""
    is_error: bool = False


class Thinking(Part, tag="thinking"):
    thinking: str
    signature: str


class RedactedThinking(Part, tag="redacted_thinking"):
    data: str


Block = Text | Image | Document | ToolUse | ToolResult | Thinking | RedactedThinking


class Turn(Part):
    role: Literal["user", "assistant"]
    content: str | list[Block]


class Tool(Cached, kw_only=True):
    name: Name
    input_schema: dict[str, Any]
    description: str = ""
    type: Literal["custom"] | None = None
    strict: bool | None = None


class Choice(Part):
    type: Literal["auto", "any", "tool", "none"]
    name: Name | None = None
    disable_parallel_tool_use: bool = False


class ThinkingConfig(Part):
    type: Literal["enabled", "disabled", "adaptive", "between_tools"]
    budget_tokens: int = 0
    display: str = ""


class Format(Part):
    type: Literal["json_schema"]
    schema: dict[str, Any]


class OutputConfig(Part):
    format: Format | None = None
    effort: str | None = None


class Counted(Part):
    """What the tokens of a prompt depend on, so all that count_tokens takes."""

    messages: list[Turn]
    model: str | UnsetType = UNSET
    system: str | list[Text] | UnsetType = UNSET
    tools: list[Tool] | UnsetType = UNSET
    tool_choice: Choice | UnsetType = UNSET
    thinking: ThinkingConfig | UnsetType = UNSET
    output_config: OutputConfig | UnsetType = UNSET
    cache_control: CacheControl | None = None
    context_management: Any = None
    mcp_servers: Any = None


class Asked(Counted, kw_only=True):
    """`metadata` says who the end user is, which has no effect on the answer."""

    max_tokens: Annotated[int, Meta(ge=1)]
    anthropic_version: str | UnsetType = UNSET
    anthropic_beta: list[str] | UnsetType = UNSET
    stream: bool | UnsetType = UNSET
    stop_sequences: list[str] | UnsetType = UNSET
    temperature: Share | UnsetType = UNSET
    top_p: Share | UnsetType = UNSET
    top_k: Annotated[int, Meta(ge=0, le=1_000_000)] | UnsetType = UNSET
    metadata: dict[str, Any] | None = None
    service_tier: Literal["auto", "standard_only"] | UnsetType = UNSET
    speed: Literal["standard"] | None = None
    container: Any = None
    diagnostics: Any = None
    inference_geo: Any = None


_KINDS = {
    "str": "string", "int": "integer", "float": "number", "bool": "boolean", "array": "list",
    "object": "dictionary",
}  # fmt: skip
_COMPARED = {"<=": "less than or equal to", ">=": "greater than or equal to"}


def said(where: str, what: str) -> ServiceError:
    return invalid(f"{where}: {what}" if where else what)


def by_anthropic(fault: Fault) -> ServiceError:
    """As Anthropic says it, which is what Bedrock passes on: `max_tokens: Field required`."""
    path = ".".join(str(step) for step in fault.path)
    match fault.rule:
        case Rule.REQUIRED:
            return said(f"{path}.{fault.said}".removeprefix("."), "Field required")
        case Rule.EXTRA:
            where = f"{path}.{fault.said}".removeprefix(".")
            return said(where, "Extra inputs are not permitted")
        case Rule.KIND:
            kinds = [_KINDS[name] for name in fault.said.split(" | ") if name in _KINDS]
            return said(path, f"Input should be a valid {' or '.join(kinds)}")
        case Rule.BOUND:
            sign, _, limit = fault.said.partition(" ")
            limit = limit.removesuffix(".0")
            return said(path, f"Input should be {_COMPARED.get(sign, sign)} {limit}")
    return said(path, "Input should be one of the documented values")
