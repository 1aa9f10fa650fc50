"""What a guardrail may say: AWS's rules that the service model does not state, and what is not
honoured here, refused by its name."""

from collections.abc import Mapping
from typing import Any

from bastide.guardrails import regexes
from bastide.guardrails.folding import folded
from bastide.guardrails.judging import PROMPT_ATTACK
from bastide.guardrails.rules import POLICIES, entries, repeated
from bastide.kernel.errors import invalid, unsupported

Params = Mapping[str, Any]


def check(operation: str, req: Params) -> None:
    """Raises ServiceError."""
    if not any(req.get(policy) for policy in POLICIES):
        raise invalid("A guardrail must have at least one policy.")
    _check_tiers(operation, req)
    _check_words(req)
    _check_sensitive(req)
    _check_filters(operation, req)
    for policy, member, name in (
        ("topicPolicyConfig", "topicsConfig", "name"),
        ("contentPolicyConfig", "filtersConfig", "type"),
        ("contextualGroundingPolicyConfig", "filtersConfig", "type"),
        ("wordPolicyConfig", "managedWordListsConfig", "type"),
        ("sensitiveInformationPolicyConfig", "piiEntitiesConfig", "type"),
        ("sensitiveInformationPolicyConfig", "regexesConfig", "name"),
    ):
        if twice := repeated(one[name] for one in entries(req, policy, member)):
            raise invalid(f"{policy}.{member} names {twice} more than once.")
    for one in entries(req, "contextualGroundingPolicyConfig", "filtersConfig"):
        if not 0 <= one["threshold"] <= 0.99:
            raise invalid("The threshold of a contextual grounding filter must be from 0 to 0.99.")


def _check_tiers(operation: str, req: Params) -> None:
    for policy in POLICIES:
        tier = ((req.get(policy) or {}).get("tierConfig") or {}).get("tierName", "CLASSIC")
        if tier != "CLASSIC":  # AWS has it across regions only
            raise unsupported(operation, f"{policy}.tierConfig.tierName={tier}")


def _check_words(req: Params) -> None:
    policy = req.get("wordPolicyConfig")
    if policy is not None and not any(policy.get(member) for member in policy):
        raise invalid("A word policy must have words or a managed list of words.")
    for one in entries(req, "wordPolicyConfig", "wordsConfig"):
        if not folded(one["text"]).text.strip():
            raise invalid("A word of wordPolicyConfig.wordsConfig shows nothing.")


def _check_sensitive(req: Params) -> None:
    name = "sensitiveInformationPolicyConfig"
    policy = req.get(name)
    if policy is not None and not any(policy.get(member) for member in policy):
        raise invalid("A sensitive information policy must have PII entities or regexes.")
    for one in entries(req, name, "regexesConfig"):
        try:
            regexes.check(one["pattern"])
        except regexes.BadPattern as error:
            raise invalid(f"The pattern of the regex {one['name']} is invalid: {error}") from error


def _check_filters(operation: str, req: Params) -> None:
    for one in entries(req, "contentPolicyConfig", "filtersConfig"):
        for member in ("inputModalities", "outputModalities"):
            if "IMAGE" in (one.get(member) or ()):
                raise unsupported(operation, f"contentPolicyConfig.filtersConfig.{member}=IMAGE")
        if one["type"] == PROMPT_ATTACK and one["outputStrength"] != "NONE":
            raise invalid("The outputStrength of the filter PROMPT_ATTACK must be NONE.")
