"""Presidio's recognisers of numbers with check digits and fixed forms. They are imported where
they run: it takes seconds."""

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from bastide.guardrails.detect.finding import Finding

SCORE_MIN = 0.4  # below it Presidio itself says that a form alone is too weak
_NINE_DIGITS = re.compile(r"\d(?:[-. ]?\d){8}")
# Each, and what is in every text where it finds anything: a look at that takes much less time.
RECOGNISERS = {
    "IbanRecognizer": ("INTERNATIONAL_BANK_ACCOUNT_NUMBER", re.compile(r"[A-Z]{2}\d{2}")),
    "UsSsnRecognizer": ("US_SOCIAL_SECURITY_NUMBER", _NINE_DIGITS),
    "UsItinRecognizer": ("US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER", _NINE_DIGITS),
    "NhsRecognizer": ("UK_NATIONAL_HEALTH_SERVICE_NUMBER", _NINE_DIGITS),
    "UkNinoRecognizer": ("UK_NATIONAL_INSURANCE_NUMBER", re.compile(r"[A-Z]{2}\s?\d")),
    "AbaRoutingRecognizer": ("US_BANK_ROUTING_NUMBER", _NINE_DIGITS),
    "IpRecognizer": ("IP_ADDRESS", re.compile(r"\d\.\d|[0-9A-F:]:[0-9A-F:]")),
}


@cache
def _recognisers() -> Sequence[tuple[str, re.Pattern[str], Any]]:
    from presidio_analyzer import predefined_recognizers

    return [
        (kind, there, getattr(predefined_recognizers, name)())
        for name, (kind, there) in RECOGNISERS.items()
    ]


def found_by_presidio(text: str) -> Iterator[Finding]:
    capitals = text.upper()
    said = capitals if len(capitals) == len(text) else text  # an IBAN may be written small
    for kind, there, recogniser in _recognisers():
        if there.search(said) is None:
            continue
        for found in recogniser.analyze(said, recogniser.supported_entities, None):
            if found.score >= SCORE_MIN:
                yield Finding(found.start, found.end, kind, min(0.99, 0.55 + found.score * 0.4))
