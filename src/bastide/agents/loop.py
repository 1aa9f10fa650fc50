"""A turn of an agent as a pure state machine: what happened in, what to do out.

It ends within its bounds whatever a model says, and every call that a model makes gets exactly one
result. A call that is wrong is said to be wrong once; at the second time, or when it only repeats
what it has called, the model must answer without functions.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from bastide.agents.holding import led_to
from bastide.agents.spotlight import spotlit
from bastide.agents.tools import Does, Tool
from bastide.inference.schemas import fault_of

Message = Mapping[str, Any]
RETURNED_MAX = 5  # calls that one answer hands to the caller: the most of the event's shape


class Phase(StrEnum):
    ASKING = "ASKING"  # the model has the word
    CALLING = "CALLING"  # functions are under way
    RETURNED = "RETURNED"  # the caller has control
    ASKED = "ASKED"  # the user has a question
    DONE = "DONE"


class Mode(StrEnum):
    """What the caller is asked for, in the words of `actionInvocationType`."""

    RESULT = "RESULT"
    CONFIRMATION = "USER_CONFIRMATION"
    BOTH = "USER_CONFIRMATION_AND_RESULT"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """Of one turn, with all that its collaborators do."""

    steps: int = 10  # answers of a model
    calls: int = 20  # of functions
    tokens: int = 100_000  # in and out; there is no price list, so they are the cost
    seconds: float = 600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Use:
    """One call that a model makes."""

    id: str
    name: str
    args: Mapping[str, Any]

    @property
    def signature(self) -> str:
        return f"{self.name} {json.dumps(self.args, sort_keys=True)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """`words`: the user's own, of this turn. `tainted`: the model has read what others wrote.
    `uses` are those of the answer under way, `results` what each has got, `held` what the caller
    is asked for."""

    tools: Mapping[str, Tool]
    fence: str
    bounds: Bounds = field(default_factory=Bounds)
    messages: Sequence[Message] = ()
    words: str = ""
    tainted: bool = False
    phase: Phase = Phase.DONE
    steps: int = 0
    calls: int = 0
    tokens: int = 0
    seconds: float = 0.0
    final: bool = False
    made: frozenset[str] = frozenset()
    faults: frozenset[str] = frozenset()
    uses: Sequence[Use] = ()
    results: Mapping[str, Message] = field(default_factory=dict)
    held: Mapping[str, Mode] = field(default_factory=dict)


# What happened.
@dataclass(frozen=True, slots=True)
class Said:
    """By the user, or by a supervisor: `words` are then the user's, behind it."""

    text: str
    words: str | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """By the model: content blocks, and what it took since the last event."""

    content: Sequence[Mapping[str, Any]]
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Called:
    """A function ended. `tokens`, `steps`, `calls`: what a collaborator took."""

    use_id: str
    text: str
    ok: bool
    tokens: int = 0
    steps: int = 0
    seconds: float = 0.0
    calls: int = 0


@dataclass(frozen=True, slots=True)
class Given:
    """By the caller, for a call that was handed to it."""

    text: str = ""
    ok: bool = True
    confirmed: bool | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """By use id; what is missing was given no result."""

    given: Mapping[str, Given]


Event = Said | Answered | Called | Resumed


# What to do.
@dataclass(frozen=True, slots=True)
class Ask:
    """The model; `final`: without functions."""

    final: bool


@dataclass(frozen=True, slots=True)
class Do:
    use: Use
    tool: Tool


@dataclass(frozen=True, slots=True)
class Refuse:
    """Nothing to do: a call got its result at once. For the trace."""

    use: Use
    why: str


@dataclass(frozen=True, slots=True)
class Return:
    calls: Sequence[tuple[Use, Tool, Mode]]


@dataclass(frozen=True, slots=True)
class Say:
    text: str
    asks: bool = False


@dataclass(frozen=True, slots=True)
class Fail:
    why: str


Effect = Ask | Do | Refuse | Return | Say | Fail


class IllegalEvent(Exception):
    """Our bug: an event that this phase cannot have."""


def step(turn: Turn, event: Event) -> tuple[Turn, list[Effect]]:
    match turn.phase, event:
        case ((Phase.DONE | Phase.RETURNED | Phase.ASKED), Said(text, words)):
            return _begun(turn, text, text if words is None else words)
        case Phase.RETURNED, Resumed(given):
            return _resumed(turn, given)
        case Phase.ASKING, Answered():
            return _answered(turn, event)
        case Phase.CALLING, Called():
            return _called(turn, event)
    raise IllegalEvent(f"{turn.phase} cannot take {type(event).__name__}")


def _begun(turn: Turn, text: str, words: str) -> tuple[Turn, list[Effect]]:
    """A new request has its own bounds. What still waited gets its result: the user's answer, if a
    question waited for it."""
    said: list[Mapping[str, Any]] = [{"text": text}]
    if turn.phase is Phase.ASKED:
        words = f"{turn.words}\n{words}"
        said = []
        turn = _with(turn, turn.uses[0], text, ok=True)
    elif turn.phase is Phase.RETURNED:
        for use in turn.uses:
            if use.id not in turn.results:
                turn = _with(turn, use, "The caller gave no result.", ok=False)
    content = [*_results(turn), *said]
    fresh = replace(
        turn, words=words, steps=0, calls=0, tokens=0, seconds=0.0, final=False, held={},
        made=frozenset(), faults=frozenset(), uses=(), results={},
        messages=(*turn.messages, {"role": "user", "content": content}),
    )  # fmt: skip
    return _ask(fresh)


def _ask(turn: Turn) -> tuple[Turn, list[Effect]]:
    """The model again, or the end: the last step that there is has no functions."""
    if why := spent(turn):
        return replace(turn, phase=Phase.DONE), [Fail(why)]
    final = turn.final or turn.steps == turn.bounds.steps - 1 or not turn.tools
    return replace(turn, phase=Phase.ASKING, final=final), [Ask(final)]


def spent(turn: Turn) -> str:
    """Why it must end here; "" if it may go on."""
    most = turn.bounds
    if turn.steps >= most.steps:
        return f"The agent took {most.steps} steps and did not come to an end."
    if turn.tokens >= most.tokens:
        return f"The agent used {turn.tokens} tokens; {most.tokens} is the most of a turn."
    if turn.seconds >= most.seconds:
        return f"The agent took longer than {most.seconds:g} s."
    return ""


def _answered(turn: Turn, event: Answered) -> tuple[Turn, list[Effect]]:
    content = list(_once(event.content))
    uses = [
        Use(id=block["toolUse"]["toolUseId"], name=block["toolUse"]["name"],
            args=block["toolUse"].get("input") or {})
        for block in content if "toolUse" in block
    ]  # fmt: skip
    turn = replace(
        turn, steps=turn.steps + 1, tokens=turn.tokens + event.tokens,
        seconds=turn.seconds + event.seconds,
    )  # fmt: skip
    if uses and not turn.final and all(use.signature in turn.made for use in uses):
        # It has their results. Said again they would only be called again: now it answers.
        again = [Refuse(use, f"{use.name} was called so already.") for use in uses]
        turn, more = _ask(replace(turn, final=True))
        return turn, [*again, *more]
    if uses and not turn.final and len({use.id for use in uses}) == len(uses):
        said = {"role": "assistant", "content": content}
        return _judged(replace(turn, messages=(*turn.messages, said), uses=uses))
    text = "\n".join(_text(block) for block in content if _text(block))
    if uses or not text:
        return replace(turn, phase=Phase.DONE), [Fail("The model gave no answer.")]
    said = {"role": "assistant", "content": [{"text": text}]}
    messages = (*turn.messages, said)
    return replace(turn, phase=Phase.DONE, messages=messages), [Say(text)]


def _once(content: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """Without what is blank, and with each call once: small models make the same one twice."""
    seen: set[str] = set()
    for block in content:
        if "toolUse" in block:
            named = (block["toolUse"]["name"], block["toolUse"].get("input") or {})
            call = json.dumps(named, sort_keys=True)
            if call not in seen:
                yield block
            seen.add(call)
        elif _text(block):
            yield block


def _text(block: Mapping[str, Any]) -> str:
    return str(block.get("text") or "").strip()


def _judged(turn: Turn) -> tuple[Turn, list[Effect]]:
    """Each call of one answer: a result at once, something to do, or the caller's."""
    effects: list[Effect] = []
    for use in turn.uses:
        turn, found = _judge(turn, use)
        effects += found
    return _go_on(replace(turn, phase=Phase.CALLING), effects)


def _judge(turn: Turn, use: Use) -> tuple[Turn, list[Effect]]:
    kind, why = _fault(turn, use)
    if why:
        again = f"{kind} {use.name}"
        return (
            replace(
                _with(turn, use, why, ok=False), faults=turn.faults | {again},
                final=turn.final or again in turn.faults,
            ),
            [Refuse(use, why)],
        )  # fmt: skip
    tool = turn.tools[use.name]
    turn = replace(turn, calls=turn.calls + 1, made=turn.made | {use.signature})
    if tool.does is Does.ASK_USER:
        return turn, []
    if tool.does in (Does.LOOK_UP, Does.INTERPRET, Does.COLLABORATE):
        # It tells nobody outside and changes nothing; a collaborator is as wary as this one.
        return turn, [Do(use, tool)]
    confirm = tool.confirm or (turn.tainted and not led_to(turn.words, tool, use.args))
    if tool.does is Does.EXECUTE and not confirm:
        return turn, [Do(use, tool)]
    mode = Mode.BOTH if confirm else Mode.RESULT
    if tool.does is Does.EXECUTE:
        mode = Mode.CONFIRMATION
    return replace(turn, held={**turn.held, use.id: mode}), []


def _fault(turn: Turn, use: Use) -> tuple[str, str]:
    """Its kind, and what the model is told."""
    tool = turn.tools.get(use.name)
    if tool is None:
        return "unknown", f"There is no function {use.name[:64]}."
    if wrong := fault_of(tool.schema, use.args):
        return "arguments", f"The arguments of {use.name} are wrong: {wrong}"
    if use.signature in turn.made:
        return "repeated", f"{use.name} was called with these arguments already: use its result."
    if turn.calls >= turn.bounds.calls:
        return "many", f"There were {turn.calls} calls: no more. Answer the user."
    if tool.does is Does.ASK_USER and len(turn.uses) > 1:
        return "alone", "Ask the user alone, with no other call."
    if len(turn.held) >= RETURNED_MAX:
        return "at once", f"At most {RETURNED_MAX} calls at once. Call it again later."
    return "", ""


def _called(turn: Turn, event: Called) -> tuple[Turn, list[Effect]]:
    use = next((one for one in turn.uses if one.id == event.use_id), None)
    if use is None or use.id in turn.results:
        raise IllegalEvent(f"no call {event.use_id} is under way")
    turn = replace(
        _with(turn, use, spotlit(event.text, turn.fence), ok=event.ok), tainted=True,
        tokens=turn.tokens + event.tokens, steps=turn.steps + event.steps,
        seconds=turn.seconds + event.seconds, calls=turn.calls + event.calls,
    )  # fmt: skip
    return _go_on(turn, [])


def _resumed(turn: Turn, given: Mapping[str, Given]) -> tuple[Turn, list[Effect]]:
    effects: list[Effect] = []
    for use in turn.uses:
        if use.id in turn.results:
            continue
        found = given.get(use.id, Given("The caller gave no result.", ok=False, confirmed=False))
        if turn.held[use.id] is not Mode.RESULT and not found.confirmed:
            turn = _with(turn, use, "The user did not agree to this call.", ok=False)
        elif turn.held[use.id] is Mode.CONFIRMATION:
            effects.append(Do(use, turn.tools[use.name]))
        else:
            turn = _with(turn, use, spotlit(found.text, turn.fence), ok=found.ok)
            turn = replace(turn, tainted=True)
    return _go_on(replace(turn, phase=Phase.CALLING, held={}), effects)


def _go_on(turn: Turn, effects: list[Effect]) -> tuple[Turn, list[Effect]]:
    """What is under way first, then the caller or the user, then the model again."""
    open_ = [use for use in turn.uses if use.id not in turn.results]
    waiting = [use for use in open_ if use.id in turn.held]
    asked = [use for use in open_ if turn.tools[use.name].does is Does.ASK_USER]
    if len(open_) > len(waiting) + len(asked):
        return turn, effects
    if asked:
        question = str(asked[0].args["question"])
        return replace(turn, phase=Phase.ASKED), [*effects, Say(question, asks=True)]
    if waiting:
        calls = [(use, turn.tools[use.name], turn.held[use.id]) for use in waiting]
        return replace(turn, phase=Phase.RETURNED), [*effects, Return(calls)]
    content = list(_results(turn))
    messages = (*turn.messages, {"role": "user", "content": content})
    turn, more = _ask(replace(turn, messages=messages, uses=(), results={}, held={}))
    return turn, [*effects, *more]


def adapted(turn: Turn) -> Turn:
    """To the functions that there are now: what waits for one that is gone is answered so."""
    open_ = [use for use in turn.uses if use.id not in turn.results]
    if all(use.name in turn.tools for use in open_):
        return turn
    for use in open_:
        turn = _with(turn, use, "This function is not there any more.", ok=False)
    return replace(turn, phase=Phase.RETURNED, held={})


def _with(turn: Turn, use: Use, text: str, *, ok: bool) -> Turn:
    result = {
        "toolUseId": use.id,
        "content": [{"text": text or "(nothing)"}],
        "status": "success" if ok else "error",
    }
    return replace(turn, results={**turn.results, use.id: {"toolResult": result}})


def _results(turn: Turn) -> Iterator[Message]:
    """In the order of the calls."""
    for use in turn.uses:
        if use.id in turn.results:
            yield turn.results[use.id]
