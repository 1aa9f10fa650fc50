"""The policies that decide for one agency: the mandatory ones, the common ones, and its own.

Never one set for all: with 11,000 agencies a decision took 208 ms; with a slice it does not know
how many there are.
"""

import json
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any

from cedarpy import PolicySet, Schema, policies_to_json_str

from bastide.policy.cedar.reading import WHOLE, Read, for_two, reads

HELD_MAX = 2_000
Named = Sequence[tuple[str, str]]  # (name, text) of an agency's own policies
Est = dict[str, Any]


def shipped(name: str) -> str:
    return files("bastide.policy.cedar").joinpath(name).read_text()


def parsed(text: str) -> list[Est]:
    """The policies of a text, in its order, in Cedar's JSON form. Raises ValueError."""
    try:
        found = json.loads(policies_to_json_str(text))
    except RecursionError as error:
        raise ValueError("The conditions are nested too deeply.") from error
    if found["templates"]:
        raise ValueError("A template with ?principal or ?resource decides nothing: write it out.")
    return [found["staticPolicies"][f"policy{n}"] for n in range(len(found["staticPolicies"]))]


@dataclass(frozen=True, slots=True)
class Slice:
    """Policies that are parsed. `names` are by Cedar's own ids, which count. `asks_…`: whether any
    of them can read it, in what one person may do alone."""

    schema: Schema
    policies: PolicySet
    names: Mapping[str, str]
    version: int
    asks_arn: bool
    asks_operation: bool
    asks_guardrail: bool
    asks_time: bool
    _reads: Mapping[str, frozenset[Read]]  # by policy

    def reads(self, name: str) -> frozenset[Read]:
        """What one of the policies looks at."""
        return self._reads.get(name, frozenset())


@dataclass(frozen=True, slots=True)
class Shipped:
    """What is the same for all: the schema, and the policies that no agency changes."""

    schema: Schema
    policies: PolicySet
    reads: Mapping[str, frozenset[Read]]  # by policy, in their order
    read_alone: frozenset[Read]

    @property
    def names(self) -> Sequence[str]:
        return list(self.reads)

    @staticmethod
    def of(mandatory: str, common: str, schema: str) -> "Shipped":
        text = mandatory + common
        est = parsed(text)
        return Shipped(
            Schema.from_str(schema),
            PolicySet.from_str(text),
            {str(each["annotations"]["id"]): reads(each) for each in est},
            _read_alone(est),
        )

    def with_own(self, own: Named, version: int) -> Slice:
        """The slice of an agency with these policies. An annotation that it wrote names nothing:
        its policies are `agency/NAME#1`, …"""
        found, by_name, policies = self.read_alone, dict(self.reads), self.policies
        for name, text in own:
            est = parsed(text)
            by_name |= {f"agency/{name}#{n}": reads(each) for n, each in enumerate(est, 1)}
            found |= _read_alone(est)
            policies = policies.with_added_str(text)
        context = ("context", WHOLE) in found
        return Slice(
            self.schema,
            policies,
            {f"policy{n}": name for n, name in enumerate(by_name)},
            version,
            asks_arn=bool({("resource", WHOLE), ("resource", "arn")} & found),
            asks_operation=context or ("context", "operation") in found,
            asks_guardrail=context or ("context", "guardrail") in found,
            asks_time=context or ("context", "now") in found,
            _reads=by_name,
        )


def _read_alone(est: Sequence[Est]) -> frozenset[Read]:
    """What can be read by policies about what one person may do alone."""
    alone = (reads(each) for each in est if not for_two(each))
    return frozenset().union(*alone)


def packaged() -> Shipped:
    return Shipped.of(
        shipped("mandatory.cedar"), shipped("common.cedar"), shipped("bastide.cedarschema")
    )


@dataclass(slots=True)
class Slices:
    """The most recently used agencies' slices. Agencies without policies share one.
    `policies_of`: what an account has stored."""

    shipped: Shipped
    policies_of: Callable[[str], Named]
    held_max: int = HELD_MAX
    _held: OrderedDict[str, Slice] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _versions: int = 0
    _changes: int = 0
    _plain: Slice | None = None

    def of(self, account: str) -> Slice:
        with self._lock:
            found = self._held.get(account)
            if found is not None:
                self._held.move_to_end(account)
                return found
            self._versions += 1
            version, changes = self._versions, self._changes
        made = self._made(self.policies_of(account), version)
        with self._lock:
            if changes == self._changes:  # while it was read
                self._held[account] = made
                while len(self._held) > self.held_max:
                    self._held.popitem(last=False)
        return made

    def forget(self, account: str) -> None:
        with self._lock:
            self._changes += 1
            self._held.pop(account, None)

    def _made(self, policies: Named, version: int) -> Slice:
        if policies:
            return self.shipped.with_own(policies, version)
        plain = self._plain
        if plain is None:
            plain = self._plain = self.shipped.with_own((), 0)
        return plain
