"""How much hate, insult, sex, violence and misconduct is in a text, each from 0 to 1.

Hate, insults and misconduct are learned (`linear.py`); for sex and violence there is no data that
may be shipped, so they are words of our own: a word that says it outright, or several that say it
together.
"""

import re

from bastide.guardrails.detect.linear import Linear
from bastide.guardrails.detect.models import shipped
from bastide.guardrails.detect.views import plain

LEARNED = ("HATE", "INSULTS", "MISCONDUCT")
_SPAN = 160  # characters in which words count together
_GROUP_MAX, _OTHERS_MAX = 9, 3
_SEXUAL = (
    r"porn\w*|hentai|blow ?jobs?|hand ?jobs?|cum(?:ming|shot)?|dildos?|vibrators?|orgasms?|"
    r"masturbat\w+|ejaculat\w+|"
    r"fellatio|cunnilingus|anal sex|oral sex|threesomes?|gang ?bang\w*|horny|"
    r"nudes?|sexting|milfs?|"
    r"fetish(?:es)?|bdsm|strip(?:per|tease)s?|escorts? service|make love|have sex|having sex|"
    r"had sex|sex (?:scene|story|tape|chat|toys?)|erotic\w*|nsfw"
)
_BODY = (
    r"naked|nude|breasts?|nipples?|penis|vagina|genitals?|clitoris|thighs|lingerie|"
    r"undress\w*|aroused?|moan\w*|seduc\w+|lust\w*|kiss\w*|sex|sexy|sexual\w*|intimate\w*|"
    r"touch\w*|caress\w*|panties|bed|pussy|dick|cock|boobs|tits|erections?"
)
_CLINICAL = (
    r"patients?|clinical\w*|study|studies|cancers?|screening|diagnos\w+|treatments?|"
    r"symptoms?|disease|disorder|surgery|medical|contracepti\w+|health"
)
_WHOM = (
    r"him|her|them|people|someone|everyone|somebody|children|kids|families|family|wife|husband|"
    r"boss|neighbou?rs?|civilians|women|men|classmates|teachers?|students|crowd|president|"
    r"victims?|prisoners?"
)
# What is also done to pictures, discs and mails is done to someone only where the person follows.
_VIOLENT = (
    r"(?:kill|murder|behead|slaughter|stab|strangle|torture|execute|massacre|butcher|maim|"
    rf"dismember|lynch|assassinate)(?:s|ed|ing)? (?:\w+ ){{0,3}}(?:you|me|{_WHOM})|"
    r"(?:shoot|shot|hang|burn|bomb|poison)(?:s|ed|ing)? "
    rf"(?:(?:the|my|his|her|your) )?(?:{_WHOM})|"
    r"(?:beat|cut|slit|gouge|rip|tear|bash|smash|crack|blow)(?:s|ing)? (?:\w+ )"
    r"{0,3}(?:throats?|skulls?|heads?|eyes|brains?|face|guts|to death)|"
    r"beaten to death|mass shooting|school shooting|blood ?bath|bloodshed|genocide|car bomb|"
    r"pipe bomb|nail bomb|suicide (?:bomb\w*|vest)|drive-by shooting"
)
_HARM = (
    r"kill\w*|murder\w*|stab\w*|shoot\w*|shot|strangl\w*|tortur\w*|behead\w*|massacr\w*|"
    r"mutilat\w*|dismember\w*|blood\w*|gore|corpses?|knife|gun|guns|rifle|machete|bomb\w*|"
    r"explosives?|violent\w*|violence|attack(?:ed|ing)?|assault\w*|beat(?:en|ing)?|wound\w*|"
    r"punch\w*|weapons?|die|dead|death|hurt"
)
_OF_PROGRAMS = (
    r"process(?:es)?|threads?|servers?|malware|backdoor|payload|commands?|registry|scripts?|"
    r"files?|services?|phishing|ransomware|hosts?|sessions?|shell|powershell|function|code|"
    r"cells?"
)


def _words(pattern: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{pattern})\b", re.IGNORECASE)


_LEXICON = {
    "SEXUAL": (_words(_SEXUAL), _words(_BODY), _words(_CLINICAL)),
    "VIOLENCE": (_words(_VIOLENT), _words(_HARM), _words(_OF_PROGRAMS)),
}


def content_scores(text: str, model: Linear | None = None) -> dict[str, float]:
    seen = plain(text)
    learned = (model or shipped()).scores(seen)
    return {name: learned[name] for name in LEARNED} | {
        name: _said(seen, *words) for name, words in _LEXICON.items()
    }


def _said(
    text: str, outright: re.Pattern[str], together: re.Pattern[str], other: re.Pattern[str]
) -> float:
    """One word that says it outright is enough, whatever else is said. Of the others the most that
    stand together count, and less where words of another trade stand beside them."""
    places = [found.start() for found in together.finditer(text)]
    groups = [
        (sum(0 <= b - a <= _SPAN for b in places[at : at + _GROUP_MAX]), a)
        for at, a in enumerate(places)
    ]
    most, start = max(groups, default=(0, 0))
    if outright.search(text):
        return 0.9 if most > 1 else 0.8
    if most < 2:
        return 0.0
    beside = text[max(0, start - _SPAN) : start + 2 * _SPAN]
    return float((1 - 0.7**most) * 0.7 ** min(len(other.findall(beside)), _OTHERS_MAX))
