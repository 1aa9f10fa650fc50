"""How much a text looks like an attack on a prompt: rules for what attacks say, and a linear model
for how they say it.

Each reading of the text (`views.py`) is asked; the worst counts. Near the line a model may be asked
(`guardrails/grey_zone.py`).
"""

import re

from bastide.guardrails.detect.linear import Linear
from bastide.guardrails.detect.models import shipped
from bastide.guardrails.detect.views import views_of

_ALL = (
    r"(?:all|any|every|each|the|these|those|your|of|my|other|and|or|previous|prior|above|earlier|"
    r"preceding|foregoing|initial|original|existing|system|safety|given|content|ethical)"
)
_ORDERS = (
    r"(?:instructions?|prompts?|rules?|guidelines?|directions?|directives?|commands?|"
    r"polic(?:y|ies)|"
    r"restrictions?|programming|context|constraints?|safeguards?|filters?)"
)
_RULES = tuple(
    (re.compile(pattern, re.IGNORECASE), score)
    for pattern, score in (
        (
            r"\b(?:ignore|disregard|forget|override|bypass|neglect|skip|drop)"
            rf"\s+(?:{_ALL}\s+){{1,6}}{_ORDERS}",
            0.95,
        ),
        (
            r"\b(?:do not|don['\u2019]t|no longer|never|stop)\s+(?:follow|obey|adher\w+ to|"
            rf"comply\w* with|bound by)\s+(?:{_ALL}\s+){{0,5}}{_ORDERS}",
            0.85,
        ),
        (r"\bignore\s+(?:everything|anything|all)\s+(?:above|before|that|you|said|i said)", 0.9),
        (r"\bforget\s+(?:everything|all)\s+(?:you|above|before|that|i)", 0.8),
        (
            r"\b(?:reveal|show|print|repeat|output|display|tell me|leak|dump|give me|what "
            r"(?:is|are|was|were)|write out|disclose|expose|share)"
            rf"\b[^.?!\n]{{0,40}}\b(?:system|initial|hidden|original|secret|developer|your "
            rf"(?:full |exact |own |first )?)\s*(?:{_ORDERS}|message)",
            0.85,
        ),
        (
            r"\b(?:repeat|print|output|write)\b[^.?!\n]{0,30}\b(?:words|text|everything|all)"
            r"\b[^.?!\n]{0,20}\babove\b",
            0.85,
        ),
        (
            r"\b(?:you are|you're|act as|become|enter|enable|activate|switch (?:in)?to)"
            r"\b[^.?!\n]{0,30}\b(?:DAN|do anything now|developer mode|jailbr\w+|god ?mode|"
            r"evil|unfiltered|uncensored|unrestricted|amoral)\b",
            0.9,
        ),
        (r"\bdo anything now\b|\bjailbreak(?:ed|ing)?\s+(?:prompt|mode|chatgpt|yourself)\b", 0.9),
        (
            r"\bpretend\b[^.?!\n]{0,40}\b(?:no|without|free of|not bound by)"
            r"\b[^.?!\n]{0,20}\b(?:rules|restrictions|limits|limitations|guidelines|filters?|"
            r"ethics|morals)",
            0.9,
        ),
        (
            r"\b(?:without|no|free (?:of|from)|has no|have no|ignores? all)\s+(?:any\s+|"
            r"all\s+)?(?:moral|ethical|content|safety|legal)?\s*(?:and \w+ )?(?:restrictions|"
            r"limitations|filters|filtering|censorship|safeguards|guardrails|guidelines)\b",
            0.7,
        ),
        (
            r"\b(?:stay|remain|always be|never break|do not break|don['\u2019]t break)"
            r"\s+(?:in\s+)?character\b",
            0.7,
        ),
        (
            r"\b(?:never|cannot|can['\u2019]t|must not|do not|don['\u2019]t|won['\u2019]t)"
            r"\s+(?:refuse|decline|reject)\b[^.?!\n]{0,40}",
            0.65,
        ),
        (
            r"<\|?(?:im_start|im_end|system|endoftext|eot_id|start_header_id)\|?>|\[/?INST\]|"
            r"<</?SYS>>|^\s{0,8}#{2,6}\s{0,4}(?:system|instruction|new instructions?)\b",
            0.85,
        ),
        (
            r"(?:^|\n)\s{0,8}(?:system|assistant|developer)\s{0,4}:\s{0,4}(?:you (?:are|must|"
            r"will)|ignore|new|from now)",
            0.85,
        ),
        (
            r"</?(?:user_?input|user_?query|untrusted|document|context|instructions?|system)"
            r"\s{0,4}>\s{0,8}(?:ignore|now|new|you|system)",
            0.8,
        ),
        (
            r"\bfrom now on\b[^.?!\n]{0,60}\b(?:you (?:are|will|must|shall)|answer|respond|"
            r"reply|act)",
            0.6,
        ),
        (r"\bnew (?:system )?(?:instructions?|task|rules?|prompt)\s{0,2}:", 0.7),
        (
            r"\b(?:decode|decrypt|translate)\b[^.?!\n]{0,60}\b(?:and|then)"
            r"\b[^.?!\n]{0,30}\b(?:follow|execute|obey|do what|act on|run)\b",
            0.8,
        ),
        (
            r"\b(?:send|post|forward|email|upload|exfiltrate)\b[^.?!\n]{0,60}\b(?:passwords?|"
            r"api keys?|secrets?|credentials|conversation history|chat history|confidential)"
            r"\b[^.?!\n]{0,40}\bto\b",
            0.7,
        ),
        (
            r"\b(?:important|attention|urgent)\b[^a-z\n]{0,4}(?:message|note|instructions?)"
            r"?[^a-z\n]{0,4}(?:to|for) (?:the )?(?:ai|assistant|model|llm|agent)\b",
            0.8,
        ),
    )
)


def prompt_attack_score(text: str, model: Linear | None = None) -> float:
    return max(_score(view, model or shipped()) for view in views_of(text))


def _score(text: str, model: Linear) -> float:
    """Rules and model as two witnesses: each may be enough."""
    said = max((score for rule, score in _RULES if rule.search(text)), default=0.0)
    return 1 - (1 - said) * (1 - model.scores(text)["PROMPT_ATTACK"])
