"""Which family's body a call has: by the id that the caller named, so an alias decides.

A model of this region's own, and one whose family is not known here, takes what its body looks
like; decision 0056 has the rules.
"""

from collections.abc import Mapping
from typing import Any

from bastide.inference.dialects import (
    anthropic_messages,
    llama,
    mistral_text,
    nova,
    titan_text,
)
from bastide.inference.dialects.dialect import About, Dialect, Exchange
from bastide.inference.dialects.json_body import malformed

# The first that begins the id.
FAMILIES: Mapping[str, Dialect] = {
    "amazon.nova-": nova.read,
    "amazon.titan-t": titan_text.read,  # -text-… and -tg1-…, but not -embed-…
    "anthropic.": anthropic_messages.read,
    "meta.": llama.read,
    "mistral.": mistral_text.read,
}
# Of a model without a family: the first member that the body has.
BY_MEMBER: Mapping[str, Dialect] = {
    "anthropic_version": anthropic_messages.read,
    "schemaVersion": nova.read,
    "inputText": titan_text.read,
    "prompt": llama.read,
}


def read(document: Any, about: About) -> Exchange:
    """The call's body, in its family's words. Raises ValidationException."""
    if not isinstance(document, dict):
        raise malformed("#: expected type: JSONObject")
    return _dialect(about.named, document)(document, about)


def _dialect(named: str, document: Mapping[str, Any]) -> Dialect:
    for prefix, dialect in FAMILIES.items():
        if named.startswith(prefix):
            return dialect
    for member, dialect in BY_MEMBER.items():
        if member in document:
            return dialect
    raise malformed("#: required key [messages] not found")
