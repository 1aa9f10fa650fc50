"""From what CreateGuardrail takes to rules, and to what GetGuardrail answers.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateGuardrail.html
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from bastide.guardrails.model import (
    Action,
    Filter,
    Grounding,
    Pii,
    Regex,
    Rules,
    Sides,
    Strength,
    Topic,
    Word,
)

Config = Mapping[str, Any]
T = TypeVar("T")
# What the members of a policy are called in an answer, by their names in a request.
POLICIES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "topicPolicyConfig": ("topicPolicy", {"topicsConfig": "topics", "tierConfig": "tier"}),
    "contentPolicyConfig": ("contentPolicy", {"filtersConfig": "filters", "tierConfig": "tier"}),
    "wordPolicyConfig": (
        "wordPolicy",
        {"wordsConfig": "words", "managedWordListsConfig": "managedWordLists"},
    ),
    "sensitiveInformationPolicyConfig": (
        "sensitiveInformationPolicy",
        {"piiEntitiesConfig": "piiEntities", "regexesConfig": "regexes"},
    ),
    "contextualGroundingPolicyConfig": (
        "contextualGroundingPolicy",
        {"filtersConfig": "filters", "tierConfig": "tier"},
    ),
}
MESSAGES = ("blockedInputMessaging", "blockedOutputsMessaging")
_KEPT = ("name", "description", *MESSAGES, *POLICIES)


def config_of(req: Config) -> str:
    """What is kept of a request, in one spelling."""
    kept = {name: req[name] for name in _KEPT if req.get(name)}
    return json.dumps(kept, sort_keys=True, separators=(",", ":"))


def shown(config: Config) -> dict[str, Any]:
    """The policies and the messages, as GetGuardrail answers them."""
    found: dict[str, Any] = {name: config[name] for name in MESSAGES}
    for policy, (told, members) in POLICIES.items():
        if given := config.get(policy):
            found[told] = {members[name]: given[name] for name in given}
    return found


def entries(config: Config, policy: str, member: str) -> list[Config]:
    found: list[Config] = (config.get(policy) or {}).get(member) or []
    return found


def rules_of(config: Config) -> Rules:
    def each(policy: str, member: str, made: Callable[[Config], T]) -> tuple[T, ...]:
        return tuple(made(one) for one in entries(config, policy, member))

    words, sensitive = "wordPolicyConfig", "sensitiveInformationPolicyConfig"
    return Rules(
        blocked_input=config["blockedInputMessaging"],
        blocked_output=config["blockedOutputsMessaging"],
        words=each(words, "wordsConfig", lambda one: Word(one["text"], sides_of(one))),
        managed=dict(
            each(words, "managedWordListsConfig", lambda one: (one["type"], sides_of(one)))
        ),
        regexes=each(
            sensitive,
            "regexesConfig",
            lambda one: Regex(one["name"], one["pattern"], sides_of(one)),
        ),
        pii=each(sensitive, "piiEntitiesConfig", lambda one: Pii(one["type"], sides_of(one))),
        filters=each("contentPolicyConfig", "filtersConfig", _filter),
        topics=each("topicPolicyConfig", "topicsConfig", _topic),
        grounding=each("contextualGroundingPolicyConfig", "filtersConfig", _grounding),
    )


def sides_of(one: Config) -> Sides:
    """`action` is that of both sides, where neither says another."""
    default = one.get("action", Action.BLOCK)

    def side(name: str) -> Action | None:
        action = Action(one.get(f"{name}Action") or default)
        return action if one.get(f"{name}Enabled", True) else None

    return Sides(side("input"), side("output"))


def _filter(one: Config) -> Filter:
    strengths = Strength(one["inputStrength"]), Strength(one["outputStrength"])
    return Filter(one["type"], *strengths, sides_of(one))


def _topic(one: Config) -> Topic:
    return Topic(one["name"], one["definition"], tuple(one.get("examples") or ()), sides_of(one))


def _grounding(one: Config) -> Grounding:
    action = Action(one.get("action") or Action.BLOCK) if one.get("enabled", True) else None
    return Grounding(one["type"], float(one["threshold"]), action)


def repeated(names: Iterator[str]) -> str:
    """The first name that comes twice; "" if none does."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            return name
        seen.add(name)
    return ""
