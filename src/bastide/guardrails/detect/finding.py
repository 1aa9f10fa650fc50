"""What was found: where, of AWS's kinds of personal data which, and how sure."""

from bisect import bisect
from collections.abc import Iterable, Iterator

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


RUNNING = frozenset({"NAME", "ADDRESS"})  # in words: a part of it is still one
PART_MIN = 3


def settled(findings: Iterable[Finding]) -> list[Finding]:
    """Of findings that overlap the surer one stays, of equally sure ones the longer, and of what is
    in words the rest beside it; in the order of the text."""
    kept: list[tuple[int, int, Finding]] = []
    for found in sorted(findings, key=lambda f: (-f.confidence, f.start - f.end, f.start, f.kind)):
        for start, end in list(_free(kept, found.start, found.end)):
            is_whole = end - start == found.end - found.start
            if is_whole or (found.kind in RUNNING and end - start >= PART_MIN):
                part = Finding(start, end, found.kind, found.confidence)
                kept.insert(bisect(kept, (start, end)), (start, end, part))
    return [found for _, _, found in kept]


def _free(kept: list[tuple[int, int, Finding]], start: int, end: int) -> Iterator[tuple[int, int]]:
    """Where between `start` and `end` nothing was found yet."""
    at = bisect(kept, (start,))
    if at and kept[at - 1][1] > start:
        start = kept[at - 1][1]
    while start < end:
        until = kept[at][0] if at < len(kept) else end
        if start < until:
            yield start, min(until, end)
        if until >= end:
            return
        start, at = max(start, kept[at][1]), at + 1
