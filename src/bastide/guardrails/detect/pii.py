"""Personal data in a text, by AWS's kinds: forms, check digits, and a tagger of names and
addresses."""

from collections.abc import Collection

from bastide.guardrails.detect.finding import KINDS, Finding, settled
from bastide.guardrails.detect.named import named
from bastide.guardrails.detect.patterns import found_by_form
from bastide.guardrails.detect.phones import phones
from bastide.guardrails.detect.presidio import found_by_presidio
from bastide.guardrails.detect.tagger import Tables, shipped


def find_pii(
    text: str, kinds: Collection[str] = KINDS, tables: Tables | None = None
) -> list[Finding]:
    """What is found of `kinds`. All kinds are looked for, whatever is asked: a card is no
    telephone number."""
    everything = [
        *found_by_form(text),
        *found_by_presidio(text),
        *phones(text),
        *named(text, tables or shipped()),
    ]
    return [found for found in settled(everything) if found.kind in kinds]
