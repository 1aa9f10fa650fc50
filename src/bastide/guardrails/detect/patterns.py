"""What has a form: numbers, addresses of the net, keys and passwords, by our own patterns.

A pattern alone is seldom enough: most need a word before them that says what they are, or a digit
that checks the others. Every quantifier is bounded, so that no text takes long.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bastide.guardrails.detect import checks
from bastide.guardrails.detect.finding import Finding

BEFORE = 48  # characters in which a word counts as said of what follows


@dataclass(frozen=True, slots=True)
class Pattern:
    """`said`: a word that must stand before, on the same line or the line above; the group `it`
    is what was found."""

    kind: str
    form: re.Pattern[str]
    confidence: float
    said: re.Pattern[str] | None = None
    check: Callable[[str], bool] | None = None


def _pattern(
    kind: str,
    form: str,
    confidence: float,
    *,
    said: str = "",
    check: Callable[[str], bool] | None = None,
) -> Pattern:
    words = re.compile(rf"\b(?:{said})\b", re.IGNORECASE) if said else None
    return Pattern(kind, re.compile(form), confidence, words, check)


_IS = r"(?:\s{0,3}(?:is|was|:|=|#|-|number|no\.?|code|to)){0,3}[\s:='\"]{1,4}"
_DIGITS = r"(?<![\w.+])\d(?:[ -]?\d){%d,%d}(?![\w])"
_ALNUM = r"(?<!\w)(?=[A-Z0-9-]{0,20}\d)[A-Z0-9][A-Z0-9-]{%d,%d}(?!\w)"

PATTERNS = (
    _pattern(
        "EMAIL", r"(?<![\w.+%-])[\w.+%-]{1,64}@(?:[\w-]{1,63}\.){1,8}[^\W\d_]{2,24}(?!\w)", 0.99
    ),
    _pattern(
        "URL", r"(?i)\b(?:https?|ftps?|sftp|wss?)://[^\s<>\"'()]{1,2000}[^\s<>\"'().,;:!?]", 0.98
    ),
    _pattern(
        "URL", r"(?i)(?<![\w@./-])www\.[\w.-]{1,253}\.[a-z]{2,24}(?:/[^\s<>\"']{0,500})?", 0.95
    ),
    _pattern(
        "URL",
        r"(?i)(?<![\w@./-])(?:[a-z0-9][a-z0-9-]{0,62}\.){1,6}"
        r"(?:com|org|net|edu|gov|mil|int|info|biz|io|co|ai|app|dev|uk|us|de|fr|it|es|nl|be|"
        r"ch|at|se|no|dk|fi|pl|pt|cz|eu|ru|ua|jp|cn|in|br|ca|au|nz)"
        r"(?![\w-]|\.\w)(?:/[^\s<>\"']{0,500})?",
        0.8,
    ),
    _pattern("CREDIT_DEBIT_CARD_NUMBER", _DIGITS % (11, 18), 0.97, check=checks.card),
    _pattern(
        "CREDIT_DEBIT_CARD_NUMBER",
        _DIGITS % (11, 18),
        0.8,
        said="card|visa|mastercard|amex|cc|credit|debit",
    ),
    _pattern(
        "CREDIT_DEBIT_CARD_CVV",
        r"(?<!\d)\d{3,4}(?!\d)",
        0.9,
        said="cvv2?|cvc2?|cid|security code|card verification",
    ),
    _pattern(
        "CREDIT_DEBIT_CARD_EXPIRY",
        r"(?<!\d)(?:0[1-9]|1[0-2])\s?[/-]\s?(?:20)?\d{2}(?![\d/-])",
        0.9,
        said="exp|expir\\w{1,6}|valid|good thru",
    ),
    _pattern("PIN", r"(?<!\d)\d{4,8}(?!\d)", 0.9, said="pin|pin code|pin number"),
    _pattern(
        "AWS_ACCESS_KEY",
        r"(?<![A-Z0-9])(?:AKIA|ASIA|AROA|AIDA|AGPA|ANPA)[A-Z0-9]{16}(?![A-Z0-9])",
        0.99,
    ),
    _pattern(
        "AWS_SECRET_KEY",
        r"(?<![\w/+=])(?=[A-Za-z/+]{0,39}\d)(?=[a-z0-9/+]{0,39}[A-Z])[\w/+]{40}(?![\w/+=])",
        0.95,
        said="secret\\w{0,20}|aws\\w{0,30}|access.key",
    ),
    _pattern("MAC_ADDRESS", r"(?i)(?<![\w:.-])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![\w:-])", 0.97),
    _pattern("MAC_ADDRESS", r"(?i)(?<![\w.])(?:[0-9a-f]{4}\.){2}[0-9a-f]{4}(?![\w.])", 0.9),
    _pattern(
        "SWIFT_CODE",
        r"(?<!\w)[A-Z]{4}[A-Z]{2}[A-Z0-9]{2}(?:[A-Z0-9]{3})?(?!\w)",
        0.9,
        said="swift|bic|swift code",
    ),
    _pattern(
        "VEHICLE_IDENTIFICATION_NUMBER",
        r"(?i)(?<!\w)(?=[a-z]{0,16}\d)[A-HJ-NPR-Z0-9]{17}(?!\w)",
        0.95,
        check=checks.vin,
    ),
    _pattern(
        "VEHICLE_IDENTIFICATION_NUMBER",
        r"(?<!\w)(?=[A-Z]{0,16}\d)[A-HJ-NPR-Z0-9]{17}(?!\w)",
        0.9,
        said="vin|vehicle identification|chassis",
    ),
    _pattern(
        "LICENSE_PLATE",
        r"(?<!\w)(?=[A-Z0-9 -]{0,9}\d)[A-Z0-9]{1,4}[ -]?[A-Z0-9]{2,4}(?:[ -]?[A-Z0-9]{1,3})?(?!\w)",
        0.85,
        said="licen[sc]e plates?|number plates?|plates?|registration(?: number| plate)?|reg",
    ),
    _pattern(
        "DRIVER_ID",
        _ALNUM % (4, 17),
        0.9,
        said="driv\\w{2,4}(?:['\u2019]s|s)? (?:licen[sc]e|permit|id)|driving licen[sc]e|dl",
    ),
    _pattern("US_PASSPORT_NUMBER", r"(?<!\w)[A-Z]?\d{8,9}(?!\w)", 0.9, said="passport"),
    _pattern(
        "US_BANK_ACCOUNT_NUMBER",
        r"(?<![\w-])\d{8,17}(?![\w-])",
        0.85,
        said="bank account|account|acct|checking|savings",
    ),
    _pattern("US_BANK_ROUTING_NUMBER", r"(?<![\w-])\d{9}(?![\w-])", 0.9, said="routing|aba|rtn"),
    _pattern(
        "US_SOCIAL_SECURITY_NUMBER",
        r"(?<![\w-])\d{3}[- ]?\d{2}[- ]?\d{4}(?![\w-])",
        0.95,
        said="ssn|social security(?: number)?|social",
        check=checks.ssn,
    ),
    _pattern(
        "CA_SOCIAL_INSURANCE_NUMBER",
        r"(?<![\w-])\d{3}[- ]?\d{3}[- ]?\d{3}(?![\w-])",
        0.96,
        said="sin|social insurance(?: number)?",
        check=checks.luhn,
    ),
    _pattern(
        "CA_HEALTH_NUMBER",
        r"(?<![\w-])\d{4}[- ]?\d{3}[- ]?\d{3}(?:[- ]?[A-Z]{2})?(?![\w-])",
        0.96,
        said="health (?:card|insurance|number)|ohip|phn|ramq|msp",
    ),
    _pattern(
        "UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER",
        r"(?<![\w-])\d{5}\s?\d{5}(?![\w-])",
        0.96,
        said="utr|unique taxpayer(?: reference)?|taxpayer|tax reference",
        check=checks.utr,
    ),
    _pattern(
        "PASSWORD",
        r"(?i)\b(?:password|passwd|passphrase|pwd|passcode)"
        rf"\b{_IS}(?P<it>(?=\S{{0,64}}[\d\W])[^\s,;\"']{{4,64}})",
        0.9,
    ),
    _pattern(
        "PASSWORD",
        r"(?i)\b(?:password|passwd|passphrase|pwd|passcode)"
        r"\s{0,2}[:=]\s{0,2}[\"']?(?P<it>[^\s,;\"']{4,64})",
        0.9,
    ),
    _pattern(
        "USERNAME",
        r"(?i)\b(?:user ?name|user ?id|login|log ?in|screen name|handle|account name)"
        r"\b(?:\s{0,3}(?:is|was|:|=|as)){1,2}[\s:='\"]{1,4}(?P<it>[\w.@+-]{3,64})",
        0.85,
    ),
    _pattern("USERNAME", r"(?<![\w@.])@[A-Za-z_]\w{2,30}(?!\w|\.\w)", 0.7),
    _pattern(
        "AGE", r"(?i)(?<![\w.])(?P<it>\d{1,3})[ -]?(?:years?|yrs?|months?)[ -]old(?!\w)", 0.95
    ),
    _pattern(
        "AGE", r"(?i)(?<![\w.])(?P<it>\d{1,3}) ?(?:y[./ ]?o\b|yrs? of age|years of age)", 0.95
    ),
    _pattern(
        "AGE",
        r"(?i)\b(?:aged?|turn(?:s|ed|ing)?|at the age of|age is)(?: just| now)"
        r"?[ :=]{1,3}(?P<it>\d{1,3})(?![\w.,]\d|\w|\s?%)",
        0.85,
    ),
    _pattern(
        "AGE",
        r"(?i)\b(?:i['\u2019]?m|i am|(?:s?he|who)(?:['\u2019]s| is| was))(?: now| only| just|"
        r" about| almost| over)? (?P<it>[1-9]\d?|1[01]\d)(?= and\b|[.,!?)]|$)",
        0.8,
    ),
    _pattern(
        "ADDRESS",
        r"(?i)\b(?:zip|zip ?code|post(?:al)? ?code|postcode|plz)\b(?:\s{0,2}(?:is|:|=))"
        r"{0,2}\s{1,3}(?P<it>(?=[A-Z]{0,4}\d)[A-Z0-9]{1,5}(?:[ -]?[A-Z0-9]{2,5})?)(?!\w)",
        0.9,
    ),
    _pattern("ADDRESS", r"(?<!\w)[A-Z]{1,2}\d[A-Z\d]? \d[A-BD-HJLNP-UW-Z]{2}(?!\w)", 0.85),
    _pattern(
        "ADDRESS",
        r"(?<!\w)[A-CEGHJ-NPR-TVXY]\d[A-CEGHJ-NPR-TV-Z] ?\d[A-CEGHJ-NPR-TV-Z]\d(?!\w)",
        0.85,
    ),
    _pattern("ADDRESS", r"(?<!\w)(?:P\.? ?O\.? ?|Post Office )Box \d{1,7}(?!\w)", 0.9),
)


def found_by_form(text: str) -> Iterator[Finding]:
    for pattern in PATTERNS:
        if pattern.said is not None and pattern.said.search(text) is None:
            continue  # most texts say few of these words: nothing else is looked at then
        for found in pattern.form.finditer(text):
            start, end = found.span("it") if "it" in pattern.form.groupindex else found.span()
            if pattern.check is not None and not pattern.check(text[start:end]):
                continue
            if pattern.said is None or said_before(text, start, pattern.said):
                yield Finding(start, end, pattern.kind, pattern.confidence)


def said_before(text: str, start: int, words: re.Pattern[str]) -> bool:
    """Whether one of these words stands shortly before, in the same sentence."""
    before = re.split(r"[.!?;]\s|\n\s*\n", text[max(0, start - BEFORE) : start])[-1]
    return words.search(before) is not None
