"""What was found: where, of AWS's kinds of personal data which, and how sure."""

from bisect import bisect
from collections.abc import Iterable

import msgspec

KINDS = frozenset(
    [
        "ADDRESS",
        "AGE",
        "AWS_ACCESS_KEY",
        "AWS_SECRET_KEY",
        "CA_HEALTH_NUMBER",
        "CA_SOCIAL_INSURANCE_NUMBER",
        "CREDIT_DEBIT_CARD_CVV",
        "CREDIT_DEBIT_CARD_EXPIRY",
        "CREDIT_DEBIT_CARD_NUMBER",
        "DRIVER_ID",
        "EMAIL",
        "INTERNATIONAL_BANK_ACCOUNT_NUMBER",
        "IP_ADDRESS",
        "LICENSE_PLATE",
        "MAC_ADDRESS",
        "NAME",
        "PASSWORD",
        "PHONE",
        "PIN",
        "SWIFT_CODE",
        "UK_NATIONAL_HEALTH_SERVICE_NUMBER",
        "UK_NATIONAL_INSURANCE_NUMBER",
        "UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER",
        "URL",
        "USERNAME",
        "US_BANK_ACCOUNT_NUMBER",
        "US_BANK_ROUTING_NUMBER",
        "US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER",
        "US_PASSPORT_NUMBER",
        "US_SOCIAL_SECURITY_NUMBER",
        "VEHICLE_IDENTIFICATION_NUMBER",
    ]
)  # GuardrailPiiEntityType


class Finding(msgspec.Struct, frozen=True, order=True):
    start: int
    end: int
    kind: str
    confidence: float


def settled(findings: Iterable[Finding]) -> list[Finding]:
    """Of findings that overlap the surer one stays, of equally sure ones the longer; in the
    order of the text."""
    kept: list[tuple[int, int, Finding]] = []
    for found in sorted(findings, key=lambda f: (-f.confidence, f.start - f.end, f.start, f.kind)):
        at = bisect(kept, (found.start, found.end))
        free_before = at == 0 or kept[at - 1][1] <= found.start
        if free_before and (at == len(kept) or kept[at][0] >= found.end):
            kept.insert(at, (found.start, found.end, found))
    return [found for _, _, found in kept]
