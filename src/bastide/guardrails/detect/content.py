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
_SEXUAL = (
    r"porn\w*|hentai|blow ?jobs?|hand ?jobs?|cum(?:ming|shot)?|dildos?|vibrators?|orgasms?|"
    r"masturbat\w+|ejaculat\w+|"
    r"fellatio|cunnilingus|anal sex|oral sex|threesomes?|gang ?bang\w*|erections?|horny|"
    r"nudes?|sexting|milfs?|"
    r"fetish(?:es)?|bdsm|strip(?:per|tease)s?|escorts? service|make love|have sex|having sex|"
    r"had sex|sex (?:scene|story|tape|chat|toys?)|erotic\w*|nsfw|"
    r"pussy|dick|cock|boobs|tits"
)
_BODY = (
    r"naked|nude|breasts?|nipples?|penis|vagina|genitals?|clitoris|thighs|lingerie|"
    r"undress\w*|aroused?|moan\w*|seduc\w+|lust\w*|kiss\w*|sex|sexy|sexual\w*|intimate\w*|"
    r"touch\w*|caress\w*|panties|bed"
)
_CLINICAL = (
    r"patients?|clinical\w*|study|studies|cancers?|screening|diagnos\w+|treatments?|"
    r"symptoms?|disease|disorder|surgery|medical|contracepti\w+|health"
)
_VIOLENT = (
    r"(?:kill|murder|behead|slaughter|stab|shoot|strangle|torture|execute|massacre|butcher|"
    r"maim|dismember|lynch|assassinate|poison|bomb|hang|burn)(?:s|ed|ing)? "
    r"(?:\w+ ){0,3}(?:him|her|them|you|me|people|someone|everyone|somebody|children|kids|"
    r"families|family|wife|husband|boss|neighbou?rs?|civilians|women|men|classmates|"
    r"teachers?|students|crowd|president|victims?|prisoners?)|"
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
    """One word that says it outright is enough; of the others the most that stand together count.
    Words of another trade beside them say that something else is meant."""
    first = outright.search(text)
    places = [found.start() for found in together.finditer(text)]
    most = max(
        (sum(0 <= b - a <= _SPAN for b in places[at : at + 9]) for at, a in enumerate(places)),
        default=0,
    )
    said = max(0.8 if first else 0.0, 1 - 0.7**most if most > 1 else 0.0)
    meant_otherwise = len(other.findall(text))
    return min(0.98, said + (0.1 if first and most > 1 else 0.0)) * 0.7**meant_otherwise
