"""A Converse request as the request to an OpenAI-compatible engine; AWS's errors where it is wrong.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bastide.inference.blocks import has_results, system_text, turn_text
from bastide.inference.cache_points import POINTS_MAX, TTL_S, CachePoint
from bastide.inference.conversation import check_conversation
from bastide.inference.pointers import check_pointers
from bastide.inference.schemas import Schema, schema_of
from bastide.inference.tools import OWN_CHOICE, Toolbox, toolbox_of
from bastide.kernel.errors import invalid, unsupported

Params = Mapping[str, Any]
# What `additionalModelRequestFields` may say, under the names that models' own bodies use.
_EXTRA: Mapping[str, tuple[str, type | tuple[type, ...], float, float]] = {
    "top_k": ("top_k", int, 0, 1_000_000),
    "seed": ("seed", int, 0, 2**32 - 1),
    "min_p": ("min_p", (int, float), 0, 1),
    "presence_penalty": ("presence_penalty", (int, float), -2, 2),
    "frequency_penalty": ("frequency_penalty", (int, float), -2, 2),
}
# Elsewhere history may tell of calls where no tool is given: Anthropic's and OpenAI's bodies.
_NEED_TOOLS = ("bedrock-runtime.Converse", "bedrock-runtime.CountTokens")
BEGINNING_LETTERS = 4096  # enough to tell conversations apart
STOPS_MAX = 2500  # as Converse's model has it
STOP_LETTERS_MAX = 32_768  # an engine looks for each at every token of everybody's
_INFERENCE = {"temperature": "temperature", "topP": "top_p", "maxTokens": "max_tokens"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """What is asked of the engine, whichever it will be."""

    operation: str
    messages: list[dict[str, str]]
    options: dict[str, Any]
    begun: str = ""  # what the answer begins with already
    toolbox: Toolbox | None = None
    schema: Schema | None = None  # of an answer in words
    pointers: tuple[str, ...] = ()  # to what the answer also says
    points: tuple[CachePoint, ...] = ()  # what is to be remembered, the shortest first

    def asking(self, question: str) -> list[dict[str, str]]:
        """The messages with a question of ours at their end."""
        *before, last = self.messages
        return [*before, {**last, "content": f"{last['content']}\n\n---\n{question}"}]

    def first(self) -> list[dict[str, str]]:
        """What the engine is asked at first: the input that counts."""
        return self.asking(self.toolbox.first_question()) if self.toolbox else self.messages

    @property
    def begins(self) -> str:
        """Tells one conversation from another: it goes where it was before (places.py)."""
        first = "\0".join(each["content"][:BEGINNING_LETTERS] for each in self.messages[:2])
        return hashlib.blake2b(first.encode(errors="replace"), digest_size=8).hexdigest()

    @property
    def tools(self) -> frozenset[str]:
        """The names of those that may be called."""
        return frozenset(tool.name for tool in self.toolbox.tools) if self.toolbox else frozenset()

    @property
    def letters(self) -> int:
        return sum(len(each["content"]) for each in self.messages)

    @property
    def tokens_max(self) -> int | None:
        found: int | None = self.options.get("max_tokens")
        return found


def prompt_of(operation: str, req: Params, context_tokens: int) -> Prompt:
    """Raises ServiceError. `context_tokens` is the model's own, 0 when it is not known."""
    _only_default(operation, req)
    turns = req.get("messages", ())
    toolbox = toolbox_of(operation, req, after_results=bool(turns) and has_results(turns[-1]))
    messages = messages_of(operation, req, toolbox)
    return Prompt(
        operation=operation,
        messages=messages,
        begun=_begun(operation, req, messages[-1]),
        toolbox=toolbox,
        schema=_text_schema(req),
        options={**_options(req, context_tokens), **_extra(operation, req)},
        pointers=_pointers(req),
        points=_cache_points(operation, req, messages),
    )


def messages_of(
    operation: str, req: Params, toolbox: Toolbox | None = None
) -> list[dict[str, str]]:
    """System prompt with the tools, and turns. What one turn says is joined by line breaks."""
    turns = req.get("messages", ())
    calls_told = toolbox is not None or not operation.startswith(_NEED_TOOLS)
    check_conversation(turns, calls_told=calls_told)
    return [*_system(operation, req, toolbox), *_spoken(operation, turns)]


def _begun(operation: str, req: Params, last: Mapping[str, str]) -> str:
    """The assistant's turn at the end. Under a grammar engines continue nothing; and a guardrail
    would see half an answer."""
    if last["role"] != "assistant":
        return ""
    text = last["content"]
    if text != text.rstrip():
        raise invalid("messages: final assistant content cannot end with trailing whitespace")
    for name in ("toolConfig", "outputConfig", "guardrailConfig"):
        if req.get(name):
            raise unsupported(operation, f"messages.role=assistant at the end with {name}")
    return text


def _system(operation: str, req: Params, toolbox: Toolbox | None) -> list[dict[str, str]]:
    text = system_text(operation, req.get("system", ()))
    if toolbox is not None:
        text = f"{text}\n\n{toolbox.listing()}" if text else toolbox.listing()
    return [{"role": "system", "content": text}] if text else []


def _spoken(operation: str, turns: Sequence[Params]) -> list[dict[str, str]]:
    return [
        {"role": turn["role"], "content": turn_text(operation, turn, index)}
        for index, turn in enumerate(turns)
    ]


def _cache_points(
    operation: str, req: Params, messages: list[dict[str, str]]
) -> tuple[CachePoint, ...]:
    """Those in the system prompt and the tools, which are one text here, are one. `messages`: what
    was made of the request, a turn each behind the system's."""
    turns = req.get("messages", ())
    first = len(messages) - len(turns)
    tools = (req.get("toolConfig") or {}).get("tools", ())
    above = [block for block in (*req.get("system", ()), *tools) if "cachePoint" in block]
    spoken = [
        (index, number)
        for index, turn in enumerate(turns)
        for number, block in enumerate(turn["content"])
        if "cachePoint" in block
    ]
    found = [CachePoint(messages[:first], _ttl_s(above[-1]))] if above else []
    for index, number in spoken[-POINTS_MAX:]:
        content = turns[index]["content"]
        cut = [{**turns[index], "content": content[:number]}] if number else []
        before = [*messages[: first + index], *_spoken(operation, cut)]
        found.append(CachePoint(before, _ttl_s(content[number])))
    return tuple(found[-POINTS_MAX:])


def _ttl_s(block: Params) -> float:
    return TTL_S[block["cachePoint"].get("ttl", "5m")]


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
    if len(stops) > STOPS_MAX or sum(map(len, stops)) > STOP_LETTERS_MAX:
        raise invalid(
            f"There are more than {STOPS_MAX} stop sequences, or they have more than "
            f"{STOP_LETTERS_MAX} characters. Remove some, and try again."
        )
    found = {ours: config[theirs] for theirs, ours in _INFERENCE.items() if theirs in config}
    return {**found, "stop": stops} if stops else found


def _text_schema(req: Params) -> Schema | None:
    """What an answer in words has to be, by `outputConfig`."""
    text_format = (req.get("outputConfig") or {}).get("textFormat")
    if not text_format:
        return None
    where = "outputConfig.textFormat.structure.jsonSchema.schema"
    try:
        said = json.loads(text_format["structure"]["jsonSchema"]["schema"])
    except (ValueError, RecursionError):
        raise invalid(f"The value at {where} is not JSON.") from None
    return schema_of(said, where)


def _extra(operation: str, req: Params) -> dict[str, Any]:
    fields = req.get("additionalModelRequestFields")
    if fields is None:
        return {}
    if not isinstance(fields, dict):
        raise invalid("additionalModelRequestFields must be an object.")
    found = {}
    for name, value in _flat(fields).items():
        if name == OWN_CHOICE:
            continue  # it is the toolbox's
        if name not in _EXTRA:
            raise unsupported(operation, f"additionalModelRequestFields.{name}")
        ours, kinds, low, high = _EXTRA[name]
        if not _is_number(value, kinds) or not low <= value <= high:
            raise invalid(f"The value of {name} must be a number from {low} to {high}.")
        found[ours] = value
    return found


def _flat(fields: dict[str, Any]) -> dict[str, Any]:
    """Nova's code says topK in an inferenceConfig of its own."""
    rest = {name: value for name, value in fields.items() if name != "inferenceConfig"}
    nova = fields.get("inferenceConfig", {})
    if not isinstance(nova, dict):
        raise invalid("inferenceConfig of additionalModelRequestFields must be an object.")
    inner = {f"inferenceConfig.{name}": nova[name] for name in nova if name != "topK"}
    top_k = {"top_k": nova["topK"]} if "topK" in nova else {}
    return {**rest, **inner, **top_k}


def _is_number(value: Any, kinds: type | tuple[type, ...]) -> bool:
    return isinstance(value, kinds) and not isinstance(value, bool)


def _pointers(req: Params) -> tuple[str, ...]:
    pointers = tuple(req.get("additionalModelResponseFieldPaths") or ())
    check_pointers(pointers)
    return pointers


def _only_default(operation: str, req: Params) -> None:
    latency = req.get("performanceConfig", {}).get("latency", "standard")
    if latency != "standard":
        raise unsupported(operation, f"performanceConfig.latency={latency}")
    tier = req.get("serviceTier", {}).get("type", "default")
    if tier != "default":
        raise unsupported(operation, f"serviceTier.type={tier}")
