"""What the filters said, checked as one chain: all of them, in order, each about what the one
before it passed on, each signed by its own key. What is not proved so is not released."""

from collections.abc import Mapping, Sequence
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from bastide.transfer.filters.model import LINE, REWRITES, Seen, Told, table_digest
from bastide.transfer.model import Item, Refused

# Each answers what it understood. The last two read what re-encode wrote, with either parser: its
# own word for that is not taken.
READERS = ("parser-a", "parser-b", "re-encode", "scan", "label")


def opened(said: bytes, key: Ed25519PublicKey) -> Told:
    """One filter's statement, if that key signed it. Raises Refused."""
    body, _, rest = said.partition(b"\n")
    try:
        key.verify(bytes.fromhex(rest.decode("ascii").removesuffix("\n")), body)
        return msgspec.json.decode(body, type=Told)
    except (InvalidSignature, ValueError, msgspec.DecodeError):
        raise Refused("a filter's signature does not hold") from None


def verified(
    bundle: str, first: Seen, said: Sequence[bytes], keys: Mapping[str, Ed25519PublicKey]
) -> Told:
    """The last filter's statement, if the whole line passed `bundle`, whose items were `first`
    when it began. Raises Refused."""
    if len(said) != len(LINE):
        raise Refused(f"{len(said)} of {len(LINE)} filters have spoken")
    previous, seen, spoken = "", first, {}
    for name, one in zip(LINE, said, strict=True):
        told = spoken[name] = opened(one, keys[name])
        _check(told, name, bundle, previous)
        _check_seen(told, seen)
        previous, seen = sha256(one).hexdigest(), told.emitted
    if any(spoken[name].meanings != spoken[READERS[0]].meanings for name in READERS):
        raise Refused("two parsers understood the items differently")
    if _said_of(told.items) != _said_of(spoken[READERS[0]].items):
        raise Refused("what is said of the items changed on the way")
    return told


def _said_of(items: Sequence[Item]) -> list[Item]:
    """All but what re-encode may change: their bytes."""
    return [msgspec.structs.replace(item, size=0, sha256="") for item in items]


def _check(told: Told, name: str, bundle: str, previous: str) -> None:
    if told.filter != name or told.bundle != bundle or told.previous != previous:
        raise Refused(f"what stands in {name}'s place was said of something else")
    if told.verdict != "passed":
        raise Refused(f"{name} refused it: {'; '.join(told.why)}")
    if len(told.meanings) != len(told.items):
        raise Refused(f"{name} did not look at every item")


def _check_seen(told: Told, seen: Seen) -> None:
    if told.saw != seen:
        raise Refused(f"{told.filter} saw something else than it was to see")
    if told.emitted != told.saw and told.filter not in REWRITES:
        raise Refused(f"{told.filter} changed what it was only to look at")
    if table_digest(told.items) != told.emitted.table:
        raise Refused(f"{told.filter} speaks of other items")
