"""Whether the user's own words led to a call, once a model has read what others wrote.

Before that, a model knows the user's words and the agent's instruction alone. After it, a call may
be what somebody wrote into a web page or a mail. Such a call goes on without a person only if the
user's words of this turn name the function and hold every value that it is given (decision 0062).
"""

import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from bastide.agents.tools import Tool

_WORD = re.compile(r"[^\W_]+")
_STEM = 4  # a longer word may lose its last letter in another form of it
# Words that tell nothing from another.
_EMPTY = frozenset((
    "a", "an", "and", "any", "as", "at", "by", "for", "from", "get", "in", "into", "is", "it",
    "its", "list", "of", "on", "or", "set", "the", "this", "to", "use", "value", "with",
))  # fmt: skip


def led_to(words: str, tool: Tool, args: Mapping[str, Any]) -> bool:
    said = _plain(words)
    return _names(said, tool) and all(_holds(said, value) for value in _leaves(args))


def _plain(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def _names(said: str, tool: Tool) -> bool:
    """Every telling word of the function's name is among the user's, in some form of it. A name of
    none is named by nobody."""
    spelled = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", tool.name)
    telling = [word for word in _WORD.findall(_plain(spelled)) if word not in _EMPTY]
    spoken = _WORD.findall(said)
    return bool(telling) and all(any(_same(one, other) for other in spoken) for one in telling)


def _same(one: str, other: str) -> bool:
    short = min(len(one), len(other))
    kept = short - 1 if short > _STEM else short  # delete, deleting
    return one == other or (short >= _STEM - 1 and one[:kept] == other[:kept])


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for one in value.values():
            yield from _leaves(one)
    elif isinstance(value, list):
        for one in value:
            yield from _leaves(one)
    elif value is not None:
        yield value


def _holds(said: str, value: Any) -> bool:
    """A value is held as whole words, one of them telling: 10 is not in 100, true is said by
    nobody, and "in" by all."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    plain = _plain(text)
    if not plain:
        return True
    if all(word in _EMPTY for word in plain.split()):
        return False
    return re.search(rf"(?<!\w){re.escape(plain)}(?!\w)", said) is not None
