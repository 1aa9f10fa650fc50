"""What a dialect is: one family's body, read as a Converse request, and the answer said its way.

A new family is a module with a `Dialect` and a line in `families.py`. Models that are not talked
to, such as those that embed, answer the whole call: `WholeCalls`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, invalid
from bastide.models.model import ModelCard

Params = dict[str, Any]
METRICS = "amazon-bedrock-invocationMetrics"  # in the last chunk of a stream


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What a dialect may know of a call beside its body. `named`: the id that the caller gave,
    without ARN and profile, so `anthropic.…` where that is an alias of a local model."""

    operation: str
    named: str
    request_id: str
    at_s: int


class Exchange(Protocol):
    """One body that was read. It is of one call: chunks depend on the events before.

    `counts_first`: the family's stream begins with how many tokens the prompt has, which is then
    counted before and set. 0 where counting is as dear as answering: another's engine."""

    counts_first: bool
    prompt_tokens: int

    @property
    def request(self) -> Params:
        """For Converse; without the model's id."""
        ...

    def answer(self, said: Params) -> Params:
        """Converse's answer as the family's body."""
        ...

    def chunks(self, event: Params) -> list[Params]:
        """What one of ConverseStream's events is in the family's stream. `metadata` is the last,
        and has at least one chunk: the metrics go into it."""
        ...


class CountsLast:
    """Of an exchange that says the tokens of its prompt when Converse does: at the end."""

    counts_first = False
    prompt_tokens = 0


Dialect = Callable[[Any, About], Exchange]  # of the parsed body; raises ValidationException


def cannot_take(field: str) -> ServiceError:
    """AWS's words for what is well formed and not for this model: an image where it knows text."""
    return invalid(f"This model doesn't support the {field} field. Remove {field} and try again.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """A call that one of `WholeCalls` answers. `body` is the parsed JSON."""

    card: ModelCard
    named: str
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    body: Mapping[str, Any]
    input_tokens: int
    output_tokens: int = 0


class WholeCalls(Protocol):
    """Whoever answers InvokeModel itself. Its answers have receipts of its own making: prompt and
    answer in them are set to the bodies."""

    def takes(self, named: str, card: ModelCard) -> bool: ...

    async def answer(self, call: Call, whole: Whole) -> Answered: ...
