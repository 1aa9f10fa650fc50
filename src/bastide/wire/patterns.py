"""The models' regular expressions (Java's and ECMA's) as Python's.

`\\p{L}` and its kind are exact for ASCII and generous beyond it: Python's `re` has no Unicode
categories, and a constraint may be too wide but never refuse what AWS takes. What some text could
hold up for long is written anew here; a test hunts for more of those in every model.
"""

import re
from collections.abc import Callable
from functools import cache

Matcher = Callable[[str], object]
TEXT_MAX = 4096  # a longer text is not matched: matching takes a thread as long as it takes
_BEYOND = "\\u0080-\\U0010ffff"
_CLASSES = {
    "L": f"a-zA-Z{_BEYOND}",
    "M": _BEYOND,
    "N": f"0-9{_BEYOND}",
    "P": f"!-#%-*,-/:;?@\\[-\\]_{{}}{_BEYOND}",
    "S": f"$+<=>\\^`|~{_BEYOND}",
    "Z": f" {_BEYOND}",
    "Zs": f" {_BEYOND}",
    "C": "\\x00-\\x1f\\x7f-\\x9f",
    "Alnum": "a-zA-Z0-9",
    "ASCII": "\\x00-\\x7f",
    "Print": "\\x20-\\x7e",
}
# Written for UTF-16: halves of surrogates, or the last character of the basic plane.
_UTF_16 = {
    "\\uD800\\uDC00-\\uDBFF\\uDFFF": "",
    "\\uFFFD\\u10000-\\u10FFFF": "\\U0010ffff",
    "\\uFFFD": "\\U0010ffff",
}
# A repeat of what repeats, with many ways to share a text between the two: said plainly.
_AMBIGUOUS = {
    "([-a-z0-9]*[a-z0-9]){0,39}?": "([-a-z0-9]*[a-z0-9])?",
    "(-*[a-zA-Z0-9\\+\\-\\.])*": "[a-zA-Z0-9+.-]*",
    "[a-zA-Z0-9]{1,63}(-*[a-zA-Z0-9\\+\\-\\.]){0,63}": "[a-zA-Z0-9][a-zA-Z0-9+.-]*",
    "([.\\-_a-zA-Z0-9]+/?){3,1016}": "(?=[.\\w-](/?[.\\w-]){2})([.\\w-]/?)+",
    "[A-Za-z0-9-_=]+.[A-Za-z0-9-_=]+.[A-Za-z0-9-_=]+": "[\\w=-]++([^\\w=-][\\w=-]++){0,2}",
}
# What Python reads in another way, or not at all.
_FOREIGN = {
    # bedrock-agent's model knows one partition alone; ARNs here have the region's.
    "arn:aws:bedrock:": "arn:aws(-[^:]+)?:bedrock:",
    ":/d{12}:": ":\\d{12}:",  # the same model's slip: no ARN that AWS gives would match it
    "\\z": "\\Z",
    "[\\w-_]": "[\\w_-]",
    "${1,128}": "",
    "${1,256}": "",
}
_REPLACED = tuple((_UTF_16 | _AMBIGUOUS | _FOREIGN).items())
_CATEGORY = re.compile(r"\\([pP])\{(\w+)\}")


@cache
def matcher(pattern: str) -> Matcher | None:
    """Whether a text matches as a whole; None for a pattern that cannot be used."""
    try:
        return re.compile(translated(pattern), re.ASCII).fullmatch
    except (re.error, KeyError):
        return None


def translated(pattern: str) -> str:
    """The pattern in Python's syntax. KeyError for a category that is not known here."""
    for theirs, ours in _REPLACED:
        pattern = pattern.replace(theirs, ours)
    out: list[str] = []
    at = 0
    for found in _CATEGORY.finditer(pattern):
        out.append(pattern[at : found.start()])
        is_inside = _ends_inside(pattern[: found.start()])
        out.append(_category(found.group(1), found.group(2), is_inside))
        at = found.end()
    return "".join(out) + pattern[at:]


def _category(kind: str, name: str, is_inside: bool) -> str:
    chars = _CLASSES[name]
    if is_inside:
        if kind == "P":
            raise KeyError(name)
        return chars
    return f"[{'^' if kind == 'P' else ''}{chars}]"


def _ends_inside(text: str) -> bool:
    """Whether a character class is open at the end of `text`."""
    plain = re.sub(r"\\.", "", text)
    return plain.rfind("[") > plain.rfind("]")
