"""Presidio's recognisers of numbers with check digits and fixed forms. They are imported where
they run: it takes seconds."""

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from bastide.guardrails.detect.finding import Finding

SCORE_MIN = 0.4  # below it Presidio itself says that a form alone is too weak
RECOGNISERS = {
    "IbanRecognizer": "INTERNATIONAL_BANK_ACCOUNT_NUMBER",
    "UsSsnRecognizer": "US_SOCIAL_SECURITY_NUMBER",
    "UsItinRecognizer": "US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER",
    "NhsRecognizer": "UK_NATIONAL_HEALTH_SERVICE_NUMBER",
    "UkNinoRecognizer": "UK_NATIONAL_INSURANCE_NUMBER",
    "AbaRoutingRecognizer": "US_BANK_ROUTING_NUMBER",
    "IpRecognizer": "IP_ADDRESS",
}


@cache
def _recognisers() -> Sequence[tuple[str, Any]]:
    from presidio_analyzer import predefined_recognizers

    return [(kind, getattr(predefined_recognizers, name)()) for name, kind in RECOGNISERS.items()]


def found_by_presidio(text: str) -> Iterator[Finding]:
    capitals = text.upper()
    said = capitals if len(capitals) == len(text) else text  # an IBAN may be written small
    for kind, recogniser in _recognisers():
        for found in recogniser.analyze(said, recogniser.supported_entities, None):
            if found.score >= SCORE_MIN:
                yield Finding(found.start, found.end, kind, min(0.99, 0.55 + found.score * 0.4))
