"""Text that a stranger said: a process of an agency's, a model, what is beyond the walls.

JSON lets half a character stand (`"\\ud800"`), which no encoding of ours can hold: wherever it is
written later, it would be our error. So it is replaced once, where it enters.
"""

from typing import Any


def mended(text: str) -> str:
    """Without halves of characters. Two that make one are one."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def mended_in(said: Any) -> Any:
    """The same for all that was read of a JSON document, its names too. RecursionError for what is
    deeper than it can be read."""
    match said:
        case str():
            return mended(said)
        case list():
            return [mended_in(each) for each in said]
        case dict():
            return {mended(name): mended_in(each) for name, each in said.items()}
    return said
