"""Weights that are an agency's objects: by whose leave they may be used, and what they were made
of, go with them. What is weights is told by its content (`filters/formats.py`)."""

import re
from collections.abc import Mapping

import msgspec

from bastide.db.derivations import Thing
from bastide.store.carrying import Carried
from bastide.transfer.model import Item, Refused

LICENCE = ("licence", "license")
SOURCES_MAX = 100
NAME_BYTES_MAX = 1200
TOLD_MAX = 20
_NAME = re.compile(r"[a-z0-9-]{1,40}/arn:[^\x00-\x1f\x7f]+")  # so none is a name of this region


def provenance(found: Carried) -> dict[str, str]:
    """What an object says of itself, where it has a licence in its metadata or its tags."""
    said = {**found.tags, **found.metadata}
    licence = next((said[name] for name in LICENCE if said.get(name)), "")
    if not licence:
        return {}
    made_of = [[one.arn, one.label] for one in found.made_of[:SOURCES_MAX]]
    return {
        "licence": licence,
        "source": found.arn,
        "made_of": msgspec.json.encode(made_of).decode(),
    }


def made_of(item: Item) -> list[Thing]:
    """What an object was made of in the region that it came from, itself there first. Raises
    Refused."""
    source = item.provenance.get("source")
    if not source:
        return []
    try:
        told = msgspec.json.decode(
            item.provenance.get("made_of", "[]").encode(), type=list[tuple[str, str]]
        )
    except msgspec.DecodeError:
        raise Refused("what weights were made of cannot be read") from None
    things = [Thing(source, item.label), *(Thing(arn, label) for arn, label in told)]
    if len(told) > SOURCES_MAX or not all(map(_is_plain, things)):
        raise Refused("what weights were made of are no names of another region's")
    return things


def told(items: list[Item]) -> Mapping[str, str]:
    """For the audit log: each weights' digest and licence."""
    found = [one for one in items if one.provenance.get("licence")]
    if not found:
        return {}
    lines = [f"sha256:{one.sha256} {one.provenance['licence'][:100]}" for one in found[:TOLD_MAX]]
    more = len(found) - len(lines)
    return {"weights": "; ".join(lines) + (f"; and {more} more" if more else "")}


def _is_plain(thing: Thing) -> bool:
    sizes = len(thing.arn.encode()), len(thing.label.encode())
    return max(sizes) <= NAME_BYTES_MAX and _NAME.fullmatch(thing.arn) is not None
