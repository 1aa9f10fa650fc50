"""Leaks that the pairs of tests/ni/minds.py have to find: each is planted by `plant`."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest

from bastide.agents import invocations
from bastide.agents import records as agent_records
from bastide.agents.memory import Memories
from bastide.guardrails import records as guardrail_records
from bastide.inference import converse
from bastide.kernel.errors import ServiceError
from bastide.knowledge import records
from bastide.knowledge.index.index import Index
from bastide.models import records as profile_records
from tests.labels_kit import US
from tests.ni.minds import HIGH

Patch = pytest.MonkeyPatch
ABOVE = tuple(US.parse(label).text for label in HIGH)


def _all(seen: Any) -> tuple[str, ...]:
    return (*seen, *(label for label in ABOVE if label not in seen))


def _wide(view: Any) -> Any:
    return replace(view, seen=_all(view.seen))


def _wrap(patch: Patch, owner: Any, name: str, leaky: Callable[[Any], Any]) -> None:
    patch.setattr(owner, name, leaky(getattr(owner, name)))


def _cache_of_all_labels(patch: Patch) -> None:
    patch.setattr(converse, "_whose", lambda call: (call.account, ""))


def usage_of_the_engine(patch: Patch) -> None:
    """What the engine's place knew: with fewer places than labels, that tells who took it."""

    async def leaky(_: Any, asked: Any, spent: Any, lease: Any) -> dict[str, int]:
        return {"cacheReadInputTokens": spent.cached}

    patch.setattr(converse.Conversations, "_remembered", leaky)


def _searched(patch: Patch, most: int) -> None:
    """What is hidden is taken out after `most` were found among all labels."""

    def leaky(real: Any) -> Any:
        def search(index: Index, query: Any) -> Any:
            hits = real(index, replace(query, sees=_all(query.sees), k=most or query.k))
            return [hit for hit in hits if hit.chunk.label in query.sees][: query.k]

        return search

    _wrap(patch, Index, "search", leaky)


def _counted(patch: Patch) -> None:
    """A page is filled before what is hidden is taken out of it."""

    def leaky(real: Any) -> Any:
        def listed(c: Any, source: Any, view: Any, after: Any, limit: int) -> Any:
            rows = real(c, source, _wide(view), after, limit)
            return [row for row in rows if row.label in view.seen]

        return listed

    _wrap(patch, records, "list_documents", leaky)


def _session_by_id(patch: Patch) -> None:
    real = invocations.Key
    patch.setattr(
        invocations, "Key", lambda **given: real(**{**given, "label": US.parse("U").text})
    )


def _remembered(patch: Patch) -> None:
    def leaky(real: Any) -> Any:
        return lambda mine, key, seen, limit: real(mine, key, _all(seen), limit)

    _wrap(patch, Memories, "recall", leaky)


def _summed(patch: Patch) -> None:
    """Each job tells what those of all labels have scanned."""

    def leaky(real: Any) -> Any:
        def listed(c: Any, source: Any, view: Any) -> Any:
            every = [job.statistics.scanned for job in real(c, source, _wide(view))]
            return [
                replace(job, statistics=replace(job.statistics, scanned=sum(every)))
                for job in real(c, source, view)
            ]

        return listed

    _wrap(patch, records, "list_jobs", leaky)


def _base_name(patch: Patch) -> None:
    _wrap(patch, records, "add_base", lambda real: lambda c, new, view: real(c, new, _wide(view)))


def _agent_name(patch: Patch) -> None:
    def leaky(real: Any) -> Any:
        def named(c: Any, account: str, name: str, label: str) -> Any:
            return next(
                (one for each in (label, *ABOVE) if (one := real(c, account, name, each))), None
            )

        return named

    _wrap(patch, agent_records, "named", leaky)


def _guardrail_name(patch: Patch) -> None:
    def leaky(real: Any) -> Any:
        def named(c: Any, account: str, label: str, name: str) -> Any:
            return next(
                (one for each in (label, *ABOVE) if (one := real(c, account, each, name))), None
            )

        return named

    _wrap(patch, guardrail_records, "named", leaky)


def _profile_token(patch: Patch) -> None:
    def leaky(real: Any) -> Any:
        def of_token(c: Any, account: str, label: str, token: str) -> Any:
            return next(
                (one for each in (label, *ABOVE) if (one := real(c, account, each, token))), None
            )

        return of_token

    _wrap(patch, profile_records, "of_token", leaky)


def _found_above(patch: Patch) -> None:
    """An error names what is above: the name is in use, "by" the one who has it there."""
    real = agent_records.named

    def named(c: Any, account: str, name: str, label: str) -> Any:
        for each in ABOVE:
            if real(c, account, name, each):
                raise ServiceError("ConflictException", f"{name} is in use at {each}.")
        return real(c, account, name, label)

    patch.setattr(agent_records, "named", named)


def _paged(patch: Patch, owner: Any) -> None:
    """A page begins where as many as there are of all labels would have it."""

    def leaky(real: Any) -> Any:
        def page(c: Any, account: str, seen: Any, after: Any, limit: int) -> Any:
            rows = real(c, account, _all(seen), after, limit)
            return [row for row in rows if row.label in seen]

        return page

    _wrap(patch, owner, "page", leaky)


def _bounded(patch: Patch, owner: Any) -> None:
    """The bound is of the agency, not of each label of it: what is made above fills it."""

    def leaky(real: Any) -> Any:
        def count(c: Any, account: str, label: str) -> int:
            above = sum(real(c, account, each) for each in ABOVE if each != label)
            return 10**6 if above else int(real(c, account, label))

        return count

    _wrap(patch, owner, "count", leaky)


PLANTS: Mapping[str, Callable[[Patch], None]] = {
    "a prompt cache keyed without the label": _cache_of_all_labels,
    "ranked over all labels, then hidden": lambda patch: _searched(patch, 0),
    "words weighed over all labels": lambda patch: _searched(patch, 100),
    "a count of all documents": _counted,
    "a session found by its id alone": _session_by_id,
    "memory recalled from above": _remembered,
    "statistics summed over labels": _summed,
    "a knowledge base's name in use above": _base_name,
    "an agent's name in use above": _agent_name,
    "a guardrail's name in use above": _guardrail_name,
    "a profile's token used above": _profile_token,
    "an error that names what is above": _found_above,
    "a page of agents counted over labels": lambda patch: _paged(patch, agent_records),
    "a bound of agents for all labels": lambda patch: _bounded(patch, agent_records),
    "a bound of guardrails for all labels": lambda patch: _bounded(patch, guardrail_records),
}
