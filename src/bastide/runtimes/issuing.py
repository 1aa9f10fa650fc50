"""Keys for one door: made when they are asked for, and the same for a while. Whoever asks without
pause costs one record in the evidence each time that they are made anew, and no more."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from bastide.kernel.clock import Clock
from bastide.kernel.errors import ServiceError
from bastide.runtimes.model import SERVICE
from bastide.runtimes.ports import Issue, Keys, Whose

GOOD_S = 1_500.0  # they last an hour, and AWS's SDKs ask again in its last quarter
REFUSED_S = 2.0


@dataclass(frozen=True, slots=True)
class Own:
    """What a session's door answers by itself."""

    token: str
    issue: Issue


@dataclass(slots=True)
class Issuer:
    """Belongs to the event loop."""

    keys: Keys
    clock: Clock
    whose: Whose
    _made: Mapping[str, str] | ServiceError | None = None
    _until_s: float = 0.0
    _alone: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def issue(self) -> Mapping[str, str]:
        """ValidationException where the role is gone, or is not cleared any more."""
        async with self._alone:
            if self._made is None or self.clock.monotonic_s() >= self._until_s:
                self._made = await asyncio.to_thread(self._new)
                kept_s = REFUSED_S if isinstance(self._made, ServiceError) else GOOD_S
                self._until_s = self.clock.monotonic_s() + kept_s
        if isinstance(self._made, ServiceError):
            raise self._made
        return self._made

    def _new(self) -> Mapping[str, str] | ServiceError:
        whose = self.whose
        try:
            return self.keys.issue(whose.account, whose.role_arn, SERVICE, whose.label, whose.door)
        except ServiceError as error:
            return error
