"""Which family's body a call has: by the id that the caller named, so an alias decides.

A model of this region's own says no family by its id: it takes what its body looks like, as does
one of a family that is not known here. Decision 0056 has the rules.
"""

from collections.abc import Mapping
from typing import Any

from bastide.inference.dialects import (
    anthropic_messages,
    chat_bodies,
    llama,
    mistral_text,
    nova,
    titan_text,
)
from bastide.inference.dialects.dialect import About, Dialect, Exchange, Params
from bastide.inference.dialects.json_body import malformed, parsed

PROMPT = ("messages", "system", "toolConfig")


def _mistral(document: Any, about: About) -> Exchange:
    """Its models of both kinds have ids alike."""
    is_chat = "messages" in document
    return (chat_bodies.read_mistral if is_chat else mistral_text.read)(document, about)


# The first that begins the id.
FAMILIES: Mapping[str, Dialect] = {
    "amazon.nova-": nova.read,
    "amazon.titan-t": titan_text.read,  # -text-… and -tg1-…, but not -embed-…
    "anthropic.": anthropic_messages.read,
    "meta.": llama.read,
    "mistral.": _mistral,
    "openai.": chat_bodies.read_openai,
    "qwen.": chat_bodies.read_openai,
}
# Of a model without a family: the first member that the body has.
BY_MEMBER: Mapping[str, Dialect] = {
    "anthropic_version": anthropic_messages.read,
    "schemaVersion": nova.read,
    "inferenceConfig": nova.read,
    "inputText": titan_text.read,
    "prompt": llama.read,
}


def read(document: Any, about: About) -> Exchange:
    """The call's body, in its family's words. Raises ValidationException."""
    if not isinstance(document, dict):
        raise malformed("#: expected type: JSONObject")
    return _dialect(about.named, document)(document, about)


def prompt_in(body: bytes, about: About) -> Params:
    """What of a body for InvokeModel its tokens depend on, as Converse's."""
    request = read(parsed(body), about).request
    return {name: request[name] for name in PROMPT if name in request}


def _dialect(named: str, document: Mapping[str, Any]) -> Dialect:
    for prefix, dialect in FAMILIES.items():
        if named.startswith(prefix):
            return dialect
    for member, dialect in BY_MEMBER.items():
        if member in document:
            return dialect
    return chat_bodies.read_openai
