"""More names than our own lists have: `python -m evals.training.names`, in an environment that has
`faker` beside ours; filters of bits, which hold no name.

Faker (MIT) lists given and family names of some eighty countries. What prose writes small as well
is left out: it would make names of ordinary words.
"""

import importlib
from collections.abc import Iterator
from typing import Any

from bastide.guardrails.detect import gazetteers
from evals.training.writing import write

BITS = 1 << 19
LETTERS_MIN = 3
LATIN_END = 0x250
ATTRIBUTES = {"given": ("first_name", "middle_name"), "family": ("last_name",)}


def names(kind: str) -> list[str]:
    """All that are written in Latin letters, small; each word of a name by itself."""
    from faker.config import AVAILABLE_LOCALES

    found: set[str] = set()
    for locale in AVAILABLE_LOCALES:
        try:
            provider = importlib.import_module(f"faker.providers.person.{locale}").Provider
        except ImportError:  # a locale without names of its own
            continue
        for attribute in dir(provider):
            if attribute.startswith(ATTRIBUTES[kind]):
                found.update(_words(getattr(provider, attribute)))
    return sorted(word for word in found if not gazetteers.is_ordinary(word))


def _words(listed: Any) -> Iterator[str]:
    if callable(listed) or isinstance(listed, property | str):
        return
    for each in listed:
        name = each[0] if isinstance(each, tuple | list) else each
        for word in name.lower().split() if isinstance(name, str) else ():
            if len(word) >= LETTERS_MIN and all(ord(letter) < LATIN_END for letter in word):
                yield word


def main() -> None:
    write({name: gazetteers.table_of(names(kind), BITS) for kind, name in gazetteers.MORE.items()})


if __name__ == "__main__":
    main()
