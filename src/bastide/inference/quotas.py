"""How many requests and tokens a minute an agency may ask of a model, at each label of its own.

A bucket is full at first and fills again evenly through the minute. A request takes what it may
write at most, and an estimate of what it reads, when it comes; at its end it gives back what it did
not use. Labels share no bucket: what one has left would tell it what another does.
Source: https://docs.aws.amazon.com/bedrock/latest/userguide/quotas-token-burndown.html
"""

import math
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field

from bastide.kernel.call import Call, Principal
from bastide.kernel.clock import Clock
from bastide.kernel.errors import ServiceError
from bastide.models.model import ModelCard
from bastide.settings import Quota

MINUTE_S = 60.0
BUCKETS_MAX = 100_000
LETTERS_PER_TOKEN = 4  # of a prompt that nobody has counted yet
TOO_MANY = "Too many requests, please wait before trying again."
TOO_MANY_TOKENS = "Too many tokens, please wait before trying again."

_Key = tuple[str, str, str, str]  # agency, label, model, "requests" or "tokens"


@dataclass(slots=True)
class _Bucket:
    """What was left, and when; below nothing while more was used than was foreseen."""

    left: float
    at_s: float


@dataclass(slots=True, eq=False)
class Ticket:
    """An admitted request. `settle` it, with the tokens that it used, once."""

    _quotas: "Quotas"
    _key: _Key | None
    _taken: float
    _limit: int = 0

    def forfeit(self) -> None:
        """Nobody knows what it has used: what was foreseen."""
        self._key = None

    def settle(self, tokens: int) -> None:
        key, self._key = self._key, None
        if key is not None:
            self._quotas.give(key, self._limit, self._taken - tokens)


@dataclass(slots=True, kw_only=True)
class Quotas:
    """Safe to use from many threads. `of_models` (by model id) stand before `of_all`."""

    clock: Clock
    of_all: Quota = field(default_factory=Quota)
    of_models: Mapping[str, Quota] = field(default_factory=dict)
    _buckets: OrderedDict[_Key, _Bucket] = field(default_factory=OrderedDict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def admit(self, call: Call, card: ModelCard, *, letters: int, written_max: int) -> Ticket:
        """Raises ThrottlingException. `letters`: of what is to be read; `written_max`: tokens."""
        with self._lock:
            return self._admit(call.principal, card, letters, written_max)

    def begin(self, who: Principal, card: ModelCard) -> None:
        """One request of many tokens, which are told by `charge` as they are read. Raises
        ThrottlingException, also where more was read than the minute had."""
        with self._lock:
            self._admit(who, card, 0, 0)

    def charge(self, who: Principal, card: ModelCard, tokens: int) -> None:
        """Taken, whatever is left."""
        limit = self.of_models.get(card.model_id, self.of_all).tokens_per_minute
        if limit is not None:
            whose = who.account, who.session.text, card.model_id
            self.give((*whose, "tokens"), limit, -tokens)

    def _admit(self, who: Principal, card: ModelCard, letters: int, written_max: int) -> Ticket:
        quota = self.of_models.get(card.model_id, self.of_all)
        if quota.requests_per_minute is None and quota.tokens_per_minute is None:
            return Ticket(self, None, 0)
        whose = who.account, who.session.text, card.model_id
        requests, tokens = (*whose, "requests"), (*whose, "tokens")
        wanted = letters // LETTERS_PER_TOKEN + written_max
        if quota.requests_per_minute is not None:
            self._take(requests, quota.requests_per_minute, 1, TOO_MANY)
        if quota.tokens_per_minute is None:
            return Ticket(self, None, 0)
        try:
            taken = self._take(tokens, quota.tokens_per_minute, wanted, TOO_MANY_TOKENS)
        except ServiceError:
            if quota.requests_per_minute is not None:
                self.give(requests, quota.requests_per_minute, 1)
            raise
        return Ticket(self, tokens, taken, quota.tokens_per_minute)

    def give(self, key: _Key, limit: int, amount: float) -> None:
        """Back; a negative amount is taken, whatever is left."""
        with self._lock:
            bucket = self._bucket(key, limit)
            bucket.left = min(float(limit), bucket.left + amount)

    def _take(self, key: _Key, limit: int, wanted: int, refusal: str) -> float:
        """All of a bucket, where more than it ever holds is wanted."""
        bucket, wanted = self._bucket(key, limit), min(wanted, limit)
        if bucket.left < wanted:
            wait_s = math.ceil((wanted - bucket.left) * MINUTE_S / limit)
            raise ServiceError("ThrottlingException", refusal, retry_after_s=wait_s)
        bucket.left -= wanted
        return wanted

    def _bucket(self, key: _Key, limit: int) -> _Bucket:
        """As it is now. The longest unused are forgotten: they are full, but for a debt."""
        now = self.clock.monotonic_s()
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = _Bucket(float(limit), now)
            if len(self._buckets) > BUCKETS_MAX:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
            filled = (now - bucket.at_s) * limit / MINUTE_S
            bucket.left, bucket.at_s = min(float(limit), bucket.left + filled), now
        return bucket
