"""A Converse request as the request to an OpenAI-compatible engine; AWS's errors where it is wrong.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bastide.inference.model import Endpoint
from bastide.kernel.errors import invalid, unsupported

Params = Mapping[str, Any]
STOP_POINTER = "/stop_sequence"
# What `additionalModelRequestFields` may say, under the names that models' own bodies use.
_EXTRA: Mapping[str, tuple[str, type | tuple[type, ...], float, float]] = {
    "top_k": ("top_k", int, 0, 1_000_000),
    "seed": ("seed", int, 0, 2**32 - 1),
    "min_p": ("min_p", (int, float), 0, 1),
    "presence_penalty": ("presence_penalty", (int, float), -2, 2),
    "frequency_penalty": ("frequency_penalty", (int, float), -2, 2),
}
_INFERENCE = {"temperature": "temperature", "topP": "top_p", "maxTokens": "max_tokens"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What is asked of the engine, whichever it will be."""

    messages: list[dict[str, str]]
    options: dict[str, Any]
    wants_stop_sequence: bool = False

    @property
    def tokens_max(self) -> int | None:
        found: int | None = self.options.get("max_tokens")
        return found

    def body(self, endpoint: Endpoint, *, stream: bool) -> dict[str, Any]:
        """The engine's request. The place and its memory of the last prompt are ours to say."""
        body = {"model": endpoint.model, "messages": self.messages, **self.options}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        if endpoint.slot is not None:
            body |= {"id_slot": endpoint.slot, "cache_prompt": endpoint.warm}
            if "stop" in self.options:  # the only way to hear which of them it was
                body["verbose"] = True
        return body


def prompt_of(operation: str, req: Params, context_tokens: int) -> Prompt:
    """Raises ServiceError. `context_tokens` is the model's own, 0 when it is not known."""
    _only_default(operation, req)
    return Prompt(
        messages=messages_of(operation, req),
        options={**_options(req, context_tokens), **_extra(operation, req)},
        wants_stop_sequence=_wants_stop_sequence(operation, req),
    )


def messages_of(operation: str, req: Params) -> list[dict[str, str]]:
    """System prompt and turns. A turn's text blocks are joined by a line break."""
    system = [
        _text(operation, block, f"the SystemContentBlock object at system.{index}")
        for index, block in enumerate(req.get("system", ()))
    ]
    found = [{"role": "system", "content": "\n".join(system)}] if system else []
    turns = req.get("messages", ())
    _check_roles(operation, [turn["role"] for turn in turns])
    return found + [
        {"role": turn["role"], "content": _content(operation, turn, index)}
        for index, turn in enumerate(turns)
    ]


def _check_roles(operation: str, roles: list[str]) -> None:
    if "system" in roles:
        raise unsupported(operation, "messages.role=system")
    if not roles or roles[0] != "user":
        raise invalid(
            "A conversation must start with a user message. Try again with a conversation that "
            "starts with a user message."
        )
    if any(one == other for one, other in itertools.pairwise(roles)):
        raise invalid(
            "A conversation must alternate between user and assistant roles. Make sure the "
            "conversation alternates between user and assistant roles and try again."
        )
    if roles[-1] != "user":
        raise invalid(
            "A conversation must end with a user message. Try again with a conversation that "
            "ends with a user message."
        )


def _content(operation: str, turn: Params, index: int) -> str:
    blocks = turn["content"]
    if not blocks:
        raise invalid(
            f"The content field in the Message object at messages.{index} is empty. "
            "Add a ContentBlock object to the content field and try again."
        )
    where = f"the ContentBlock object at messages.{index}.content"
    return "\n".join(
        _text(operation, block, f"{where}.{number}") for number, block in enumerate(blocks)
    )


def _text(operation: str, block: Params, where: str) -> str:
    if "text" not in block:
        raise unsupported(operation, f"{next(iter(block), 'content')} in {where}")
    text: str = block["text"]
    if not text or text.isspace():
        raise invalid(
            f"The text field in {where} is blank. Add text to the text field, and try again."
        )
    return text


def _options(req: Params, context_tokens: int) -> dict[str, Any]:
    config = req.get("inferenceConfig") or {}
    wanted = config.get("maxTokens", 0)
    if 0 < context_tokens < wanted:
        raise invalid(
            f"The maximum tokens you requested exceeds the model limit of {context_tokens}. "
            f"Try again with a maximum tokens value that is lower than {context_tokens}."
        )
    stops = config.get("stopSequences") or []
    if any(not stop for stop in stops):
        raise invalid("A stop sequence is empty. Remove it, and try again.")
    found = {ours: config[theirs] for theirs, ours in _INFERENCE.items() if theirs in config}
    return {**found, "stop": stops} if stops else found


def _extra(operation: str, req: Params) -> dict[str, Any]:
    fields = req.get("additionalModelRequestFields")
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise invalid("additionalModelRequestFields must be an object.")
    found = {}
    for name, value in fields.items():
        if name not in _EXTRA:
            raise unsupported(operation, f"additionalModelRequestFields.{name}")
        ours, kinds, low, high = _EXTRA[name]
        if not _is_number(value, kinds) or not low <= value <= high:
            raise invalid(f"The value of {name} must be a number from {low} to {high}.")
        found[ours] = value
    return found


def _is_number(value: Any, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _wants_stop_sequence(operation: str, req: Params) -> bool:
    paths = req.get("additionalModelResponseFieldPaths") or []
    for path in paths:
        if path != STOP_POINTER:
            raise unsupported(operation, f"additionalModelResponseFieldPaths={path}")
    return bool(paths)


def _only_default(operation: str, req: Params) -> None:
    latency = req.get("performanceConfig", {}).get("latency", "standard")
    if latency != "standard":
        raise unsupported(operation, f"performanceConfig.latency={latency}")
    tier = req.get("serviceTier", {}).get("type", "default")
    if tier != "default":
        raise unsupported(operation, f"serviceTier.type={tier}")
