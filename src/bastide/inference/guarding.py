"""A conversation held against a guardrail: what is judged of it, and an answer as it may be shown.

What goes in is judged before a place is asked for. An answer is judged as its parts arrive, by one
judge for each of its texts, in whichever mode; a call of a tool is no text, and passes.
Source: https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use-converse-api.html
"""

import json
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import Any

from bastide.inference.model import StopReason
from bastide.inference.ports import Guard, Guards, Judge, Said, Threads
from bastide.inference.turn import Opened, Part, Speaking, Text
from bastide.kernel.call import Call
from bastide.kernel.errors import invalid

Params = dict[str, Any]
Asked = Mapping[str, Any]
Run = Callable[..., Awaitable[Any]]  # in a thread of the agency's share


class Mode(StrEnum):
    WHOLE = "whole"  # nothing is shown before all is judged
    SYNC = "sync"  # what is judged is shown
    ASYNC = "async"  # what comes is shown, until it is found wanting


WHOLE = Mode.WHOLE
_ESCAPE = re.compile(r"\\(?:u[0-9a-f]{4}|.)")


@dataclass(frozen=True, slots=True)
class Spot:
    """One text of a request; `put` makes it another."""

    text: str
    put: Callable[[str], None]
    qualifiers: tuple[str, ...] = ()

    @property
    def is_judged(self) -> bool:
        return not self.qualifiers or "guard_content" in self.qualifiers


@dataclass(slots=True)
class Guarded:
    """One call under its guardrail; under none, everything passes."""

    guard: Guard | None
    run: Run
    config: Mapping[str, Any] = field(default_factory=dict)
    is_blocked: bool = False

    async def admitted(self, req: Asked) -> Asked | None:
        """What the model may be asked, with what is to be hidden hidden; None if nothing."""
        if self.guard is None:
            return req
        copy = _copied(req)
        spots = _judged_spots(copy)
        said = Said(
            texts=[spot.text for spot in spots if spot.is_judged],
            sources=[spot.text for spot in spots if "grounding_source" in spot.qualifiers],
            queries=[spot.text for spot in spots if "query" in spot.qualifiers],
        )
        passed = await self.run(self.guard.judge_input, said)
        if passed is None:
            self.is_blocked = True
            return None
        for spot, text in zip((one for one in spots if one.is_judged), passed, strict=True):
            if text != spot.text:
                spot.put(text)
        return copy

    @property
    def mode(self) -> Mode:
        """What hides cannot show first and hide then."""
        guard = self.guard
        wanted = Mode(self.config.get("streamProcessingMode") or Mode.SYNC)
        return Mode.SYNC if guard is not None and guard.hides else wanted

    def parts(
        self, turn: Speaking, parts: AsyncGenerator[Part, None], mode: Mode
    ) -> AsyncGenerator[Part, None]:
        """An answer as it may be shown."""
        return parts if self.guard is None else self._screened(self.guard, turn, parts, mode)

    async def _screened(
        self, guard: Guard, turn: Speaking, parts: AsyncGenerator[Part, None], mode: Mode
    ) -> AsyncGenerator[Part, None]:
        """Where it is blocked, the message stands for the rest, and the engine is stopped."""
        screen = _Screen(guard, mode, self.run)
        async with aclosing(parts):
            async for part in parts:
                for shown in await screen.take(part):
                    yield shown
                if screen.is_blocked:
                    break
            for shown in await screen.end():
                yield shown
        self.is_blocked = screen.is_blocked
        if screen.is_blocked:
            turn.voice.close()
        if screen.is_blocked or guard.intervened():
            turn.reason = StopReason.GUARDRAIL_INTERVENED
        guard.close()

    def refusal(self) -> Params:
        """The answer to what is blocked."""
        assert self.guard is not None
        return {
            "output": {
                "message": {"role": "assistant", "content": [{"text": self.guard.message_in}]}
            },
            "stopReason": str(StopReason.GUARDRAIL_INTERVENED),
            **self.traced(),
        }

    def traced(self) -> Params:
        trace = self.config.get("trace") or "disabled"
        if self.guard is None or trace == "disabled":
            return {}
        return {"trace": {"guardrail": self.guard.trace(full=trace == "enabled_full")}}


def guarded_by(guards: Guards, threads: Threads, call: Call, req: Params) -> Guarded:
    """Raises ServiceError for a guardrail that the caller does not find."""
    config, run = req.get("guardrailConfig"), partial(threads.run, call.whose)
    if not config:
        return Guarded(None, run)
    for name in ("guardrailIdentifier", "guardrailVersion"):
        if not config.get(name):
            raise invalid(f"guardrailConfig needs a {name}.")
    return Guarded(guards.guard(call, config), run, config)


class _Screen:
    """What is shown of an answer's parts."""

    def __init__(self, guard: Guard, mode: Mode, run: Run) -> None:
        self._guard, self._mode, self._run = guard, mode, run
        self._judge: Judge | None = None
        self._late: list[Part] = []  # what is shown once all of it is judged
        self._is_late = mode is Mode.WHOLE or (mode is Mode.SYNC and guard.settles_late)
        self.is_blocked = False

    async def take(self, part: Part) -> list[Part]:
        if not isinstance(part, Text):
            closed = [] if isinstance(part, Opened) else await self._closed()
            return closed if self.is_blocked else self._shown([*closed, part])
        if self._judge is None:
            self._judge = self._guard.judge()
        passed = await self._run(self._judge.add, part.text)
        shown = part.text if self._mode is Mode.ASYNC else passed
        found = self._shown([Text(shown)] if shown else [])
        return found + self._blocked() if self._judge.is_blocked else found

    async def end(self) -> list[Part]:
        """What is left; nothing after a block."""
        if self.is_blocked:
            return []
        closed = await self._closed()
        if self.is_blocked:
            return closed
        late, self._late = self._late, []
        return [*late, *closed]

    async def _closed(self) -> list[Part]:
        """The end of a text that is open."""
        judge, self._judge = self._judge, None
        if judge is None:
            return []
        rest = await self._run(judge.end)
        if judge.is_blocked:
            return self._blocked()
        return [Text(rest)] if rest and self._mode is not Mode.ASYNC else []

    def _shown(self, parts: list[Part]) -> list[Part]:
        """A late one keeps all but the beginning to itself."""
        if not self._is_late:
            return parts
        self._late += [part for part in parts if not isinstance(part, Opened)]
        return [part for part in parts if isinstance(part, Opened)]

    def _blocked(self) -> list[Part]:
        self.is_blocked, self._late = True, []
        return [Text(self._guard.message_out)]


def _judged_spots(req: Params) -> list[Spot]:
    """If any content of the turns is marked to be guarded, nothing else of them is judged; of the
    system prompts nothing but what is marked."""
    turns = [spot for turn in req["messages"] for spot in _spots(turn["content"])]
    marked = [spot for spot, is_marked in turns if is_marked]
    system = [spot for spot, is_marked in _spots(req.get("system") or []) if is_marked]
    return [*system, *(marked or [spot for spot, _ in turns])]


def _spots(blocks: list[Any]) -> Iterator[tuple[Spot, bool]]:
    """The texts of blocks, and whether each is marked to be guarded."""
    for block in blocks:
        match block:
            case {"guardContent": {"text": inner}}:
                qualifiers = tuple(inner.get("qualifiers") or ())
                yield Spot(inner["text"], _putter(inner), qualifiers), True
            case {"text": text}:
                yield Spot(text, _putter(block)), False
            case {"toolResult": {"content": contents}}:
                yield from ((_result_spot(each), False) for each in contents)


def _result_spot(block: Params) -> Spot:
    """A value is judged as the text that the model reads."""
    if "json" not in block:
        return Spot(block.get("text", ""), _putter(block))

    def put(text: str) -> None:
        block.clear()
        block["text"] = text

    return Spot(_unescaped(json.dumps(block["json"], ensure_ascii=False)), put)


def _unescaped(text: str) -> str:
    """`\\n` means the end of a line to who reads it: as a letter it would hide the next word."""
    return _ESCAPE.sub(lambda found: json.loads(f'"{found[0]}"'), text)


def _putter(holder: Params) -> Callable[[str], None]:
    def put(text: str) -> None:
        holder["text"] = text

    return put


def _copied(req: Asked) -> Params:
    """To be changed: the texts of it, and what holds them."""
    found = dict(req)
    for name in ("messages", "system"):
        if req.get(name):
            found[name] = _deep(req[name])
    for turn in found["messages"]:
        turn["content"] = _together(turn["content"])
    if found.get("system"):
        found["system"] = _together(found["system"])
    return found


def _together(blocks: list[Any]) -> list[Any]:
    """The model reads neighbours as one text, so what stands across their border is one too. A
    cachePoint between them says nothing."""
    found: list[Any] = []
    held: tuple[Any, Params] | None = None  # the last text, and how it is marked
    for block in blocks:
        if "toolResult" in block:
            block["toolResult"]["content"] = _together(block["toolResult"]["content"])
        here = _text_of(block)
        if here is not None and held is not None and here[0] == held[0]:
            held[1]["text"] += "\n" + here[1]["text"]
            continue
        if "cachePoint" not in block:
            held = here
        found.append(block)
    return found


def _text_of(block: Params) -> tuple[Any, Params] | None:
    match block:
        case {"guardContent": {"text": inner}}:
            return tuple(inner.get("qualifiers") or ()), inner
        case {"text": _}:
            return None, block
    return None


def _deep(value: Any) -> Any:
    """`json` of a tool's result may be anything: it is put whole."""
    if isinstance(value, list):
        return [_deep(each) for each in value]
    if isinstance(value, dict):
        return {key: each if key == "json" else _deep(each) for key, each in value.items()}
    return value
