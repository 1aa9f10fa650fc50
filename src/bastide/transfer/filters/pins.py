"""What an environment's files must be: each one that this region's own lock names, to the bit.

The lock is the product's, not the bundle's: what travels cannot vouch for itself. A file of an
environment says nothing that its sender chose, not even its name.
"""

import re
from functools import cache
from hashlib import sha256

from bastide.environments import locks_folder, pinned
from bastide.transfer.filters.model import BadItem
from bastide.transfer.model import Item

NAME = re.compile(r"([a-z0-9][a-z0-9._-]{0,62})/([A-Za-z0-9._+-]{1,200})")


@cache
def pins(environment: str) -> pinned.Pins:
    """The digests that a lock allows, by distribution and version. Raises BadItem."""
    path = locks_folder() / f"{environment}.txt"
    if not path.is_file():
        raise BadItem("it is of an environment that this region has no lock of")
    return pinned.read(path)


def check(item: Item, data: memoryview) -> None:
    """Raises BadItem."""
    if item.headers or item.metadata or item.tags or item.provenance:
        raise BadItem("something is said of it, beside its name")
    environment, which = named(item)
    allowed = pins(environment).get(which)
    if allowed is None:
        raise BadItem("this region's lock does not name it")
    if sha256(data).hexdigest() not in allowed:
        raise BadItem("it is not what this region's lock names")


def named(item: Item) -> tuple[str, tuple[str, str]]:
    """The environment, and the distribution and version, that an item's name says."""
    found = NAME.fullmatch(item.name)
    if found is None:
        raise BadItem("its name is none of an environment's file")
    environment, file = found.groups()
    which = pinned.of_file(file)
    if which is None:
        raise BadItem("it is neither a wheel nor a source that is pinned")
    return environment, which
