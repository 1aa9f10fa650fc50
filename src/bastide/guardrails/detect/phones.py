"""Telephone numbers: by their form, and by the words before them where the form alone could be
any number."""

import re
from collections.abc import Iterator

from bastide.guardrails.detect.finding import Finding
from bastide.guardrails.detect.patterns import said_before
from bastide.guardrails.detect.tokens import digits_of

DIGITS_MIN, DIGITS_MAX = 6, 15
_ANY = re.compile(
    r"(?<![\w.@/#$€£-])(?:\+|\(|00)?\(?\d(?:[\d().\-/  ]{4,22})\d(?:\s?(?:x|ext\.?)"
    r"\s?\d{1,5})?(?![\w@/])(?!-\d|\.\d)"
)
_SAID = re.compile(
    r"\b(?:phone|tel|telephone|mobile|cell|cellphone|call(?:s|ed|ing)?|fax|desk|dial|sms|"
    r"text(?:ed)?|whatsapp|ring|reach(?:ed)?|answering|messages?|hotline|"
    r"contact)\b",
    re.IGNORECASE,
)
# Forms that are written for telephones: international, in brackets, in three groups or more.
_PLAIN = re.compile(
    r"\+\d|00\d{2}[ -]|\(\d{2,5}\)\s?\d|\d{3}[-.]\d{3}[-.]\d{4}\b|001-\d{3}|"
    r"1-\d{3}-\d{3}-\d{4}|0\d{1,4}[ -]\d{2,4}[ -]\d|\d{2}(?:[ .-]\d{2}){3,4}$|"
    r"0\d{2,4}[ -]\d{5,8}$|(?=(?:\d[ -]?){7})\d{2,4}(?:[ -]\d{2,4}){2,3}$"
)
_SSN = re.compile(r"\d{3}-\d{2}-\d{4}$")
_DATE = re.compile(
    r"(?:19|20)\d{2}[-/. ]\d{1,2}[-/. ]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.](?:19|20)?\d{2}$|"
    r"\d{1,3}(?:\.\d{1,3}){3}$|(?:19|20)\d{2}\s?-\s?(?:19|20)\d{2}$"
)


def phones(text: str) -> Iterator[Finding]:
    for found in _ANY.finditer(text):
        number = found[0]
        if (
            not DIGITS_MIN <= len(digits_of(number)) <= DIGITS_MAX
            or _DATE.match(number)
            or _SSN.match(number)
        ):
            continue
        said = said_before(text, found.start(), _SAID)
        if _PLAIN.match(number):
            yield Finding(*found.span(), "PHONE", 0.95 if said else 0.85)
        elif said:
            yield Finding(*found.span(), "PHONE", 0.8)
