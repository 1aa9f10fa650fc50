"""A text as it may be meant: without what hides in it, and with what is written in a code.

An attack that is encoded says nothing to a rule, but a model reads it.
"""

import base64
import binascii
import codecs
import re
import unicodedata

from bastide.kernel.lookalikes import CAPITAL, SMALL

VIEWS_MAX = 8
DECODED_MAX = 4000
_LEET = str.maketrans("013457@$", "oieastas")
_LOOKALIKE = str.maketrans(SMALL | CAPITAL)
_BASE64 = re.compile(r"(?<![\w+/=-])[A-Za-z0-9+/_-]{16,8000}={0,2}(?![\w+/=-])")
_HEX = re.compile(r"(?<!\w)(?:[0-9a-fA-F]{2}\s?){10,4000}(?!\w)")
_SPREAD = re.compile(r"(?:\b\w[ .\-_*]){5,400}\w\b")
_MIXED = re.compile(r"[a-z][013457@$][a-z]|\b[a-z]{0,3}[013457@$][a-z]{2,}", re.IGNORECASE)
_COMMON = re.compile(
    r"\b(?:the|and|you|your|are|ignore|instructions?|previous|all|system|prompt|that|with|"
    r"not|for|rules)\b",
    re.IGNORECASE,
)
_COMMON_MIN = 3


def plain(text: str) -> str:
    """Without marks that cannot be seen, in one spelling of each letter; tag characters become
    what they spell."""
    shown = [
        chr(ord(char) - 0xE0000) if 0xE0020 <= ord(char) <= 0xE007E else char
        for char in text
        if 0xE0020 <= ord(char) <= 0xE007E or unicodedata.category(char) not in ("Cf", "Co", "Cn")
    ]
    flat = unicodedata.normalize("NFKC", "".join(shown))
    return flat.translate(_LOOKALIKE) if _is_mixed(flat) else flat


def _is_mixed(text: str) -> bool:
    """Latin letters beside Greek or Cyrillic ones in the same word."""
    return re.search(r"[A-Za-z][\u0370-\u052f]|[\u0370-\u052f][A-Za-z]", text) is not None


def views_of(text: str) -> list[str]:
    """The plain text first, then each reading of what is encoded in it."""
    seen = plain(text)
    found = [seen, *_decoded(seen)]
    if _MIXED.search(seen):
        found.append(seen.translate(_LEET))
    if _SPREAD.search(seen):
        found.append(_SPREAD.sub(lambda spread: re.sub(r"[ .\-_*]", "", spread[0]), seen))
    for turned in (codecs.decode(seen, "rot13"), seen[::-1]):
        if len(_COMMON.findall(turned)) >= _COMMON_MIN > len(_COMMON.findall(seen)):
            found.append(turned)
    return list(dict.fromkeys(found))[:VIEWS_MAX]


def _decoded(text: str) -> list[str]:
    found = []
    for part in _BASE64.findall(text)[:VIEWS_MAX]:
        try:
            found.append(
                base64.b64decode(
                    part.replace("-", "+").replace("_", "/") + "=" * (-len(part) % 4),
                    validate=False,
                )
            )
        except (binascii.Error, ValueError):
            continue
    for part in _HEX.findall(text)[:VIEWS_MAX]:
        digits = re.sub(r"\s", "", part)
        found.append(bytes.fromhex(digits[: len(digits) // 2 * 2]))
    texts = [data[:DECODED_MAX].decode("utf-8", "ignore") for data in found]
    return [said for said in texts if _is_prose(said)]


def _is_prose(text: str) -> bool:
    letters = sum(char.isalpha() or char.isspace() for char in text)
    return len(text) >= 8 and letters >= 0.8 * len(text) and " " in text
