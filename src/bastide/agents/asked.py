"""A turn that may be done: all of it that was found out before its first event."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bastide.agents.interpreting import File
from bastide.agents.loop import Event
from bastide.agents.sessions import Held
from bastide.agents.traces import Tracer
from bastide.audit.receipts import Draft
from bastide.kernel.call import Call


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Whose, as whom, of which agent, from where the conversation is. `searched`: by knowledge
    base, how this turn's caller wants it searched. `depth`: of how many supervisors' turns it is
    part. `files`: that came with it. `streams`: the answer is told as it is written. `remembered`:
    of earlier sessions. `draft`: of the receipt, unless the turn is part of another's. `inlined`:
    the definitions, by name, of collaborators that were said with the call."""

    call: Call
    worker: Call
    agent: Mapping[str, Any]
    held: Held
    event: Event
    tracer: Tracer
    prompted: Mapping[str, str]
    ttl_s: int
    searched: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    depth: int = 0
    streams: bool = False
    remembered: str = ""
    files: Sequence[File] = ()
    draft: Draft | None = None
    inlined: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
