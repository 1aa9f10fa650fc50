"""One filter, in a process of its own: `python -m bastide.transfer.filters NAME TASK SAYS KEY`.

It reads and writes descriptors alone: 0 the items end to end, 1 what it emits, and, by their
numbers, its task, what it says (signed) and its key. One that ends without a word has refused.
"""

import mmap
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastide.jobs import namespaces
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.scheme import MarkingError, Scheme, load
from bastide.transfer.filters import formats, site_scanner, words
from bastide.transfer.filters.model import (
    LINE,
    BadItem,
    SchemeSource,
    Seen,
    Task,
    Told,
    code_version,
    table_digest,
)
from bastide.transfer.filters.scan import scan
from bastide.transfer.model import Item

if TYPE_CHECKING:
    from hashlib import _Hash

ITEMS, OUT = 0, 1
BLOCK_BYTES = 1 << 20
WHY_MAX = 100
Look = Callable[[Item, memoryview], str]
"""Looks at one item and answers what it understood, "" where that is not this filter's business."""


def main(name: str, task_fd: int, says_fd: int, key_fd: int) -> None:
    task = msgspec.json.decode(_whole(task_fd), type=Task)
    key = Ed25519PrivateKey.from_private_bytes(_whole(key_fd))
    size = sum(item.size for item in task.items)
    if os.fstat(ITEMS).st_size != size:
        sys.exit("the items are not those of the task")
    data = _mapped(size)
    told = _rewritten(name, task, data) if name == "re-encode" else _looked(name, task, data)
    body = msgspec.json.encode(told)
    with open(says_fd, "wb") as says:
        says.write(body + b"\n" + key.sign(body).hex().encode() + b"\n")


def _looked(name: str, task: Task, data: memoryview) -> Told:
    look = _look(name, task)
    meanings, why = [], []
    for number, (item, view) in enumerate(_items(task, data)):
        try:
            meanings.append(look(item, view))
        except BadItem as error:
            why.append(f"item {number}: {error}")
    seen = _seen(task.items, sha256(data).hexdigest())
    return Told(
        filter=name, bundle=task.bundle, previous=task.previous, saw=seen, emitted=seen,
        items=task.items, verdict=_verdict(why), meanings=meanings, why=why[:WHY_MAX],
        version=code_version(),
    )  # fmt: skip


def _rewritten(name: str, task: Task, data: memoryview) -> Told:
    """Each item anew, from what was understood of it."""
    meanings, why, items, whole = [], [], [], sha256()
    for number, (item, view) in enumerate(_items(task, data)):
        try:
            meanings.append(formats.of(item).a(view))
            items.append(_rebuilt(item, view, whole))
        except BadItem as error:
            why.append(f"item {number}: {error}")
    return Told(
        filter=name, bundle=task.bundle, previous=task.previous,
        saw=_seen(task.items, sha256(data).hexdigest()), emitted=_seen(items, whole.hexdigest()),
        items=items, verdict=_verdict(why), meanings=meanings, why=why[:WHY_MAX],
        version=code_version(),
    )  # fmt: skip


def _rebuilt(item: Item, view: memoryview, whole: "_Hash") -> Item:
    digest, size = sha256(), 0

    def write(data: bytes | memoryview) -> None:
        nonlocal size
        digest.update(data)
        whole.update(data)
        size += len(data)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(OUT, rest[:BLOCK_BYTES]) :]

    formats.of(item).rebuild(view, write)
    return msgspec.structs.replace(item, size=size, sha256=digest.hexdigest())


def _look(name: str, task: Task) -> Look:
    if name == "parser-a":
        return lambda item, view: formats.of(item).a(view)
    if name == "parser-b":
        return lambda item, view: formats.of(item).b(view)
    if name == "scan":
        if task.scanner:  # which is to see nothing of this process: the key is here
            namespaces.prctl(namespaces.PR_SET_DUMPABLE, 0)
        return partial(_scanned, task)
    scheme = _scheme(task.scheme)
    if name == "words":
        return _silent(words.made(scheme, task.words, task.patterns).check)
    ceilings = [scheme.clearance(one) for one in task.ceilings]
    if name not in ("types", "label"):
        sys.exit(f"{name} is no filter: {', '.join(LINE)}")

    def look(item: Item, view: memoryview) -> str:
        _check_label(scheme, ceilings, item)  # at both ends: neither has to be believed alone
        return formats.checked(item, view).name if name == "types" else formats.of(item).b(view)

    return look


def _scanned(task: Task, item: Item, view: memoryview) -> str:
    """First that it is what the parsers understood: re-encode may have been taken over."""
    meaning = formats.again(item, view)
    scan(item, view)
    site_scanner.scan(task.scanner, task.scanner_timeout_s, view)
    return meaning


def _scheme(source: SchemeSource) -> Scheme:
    if not source.text:
        return load(source.name)
    held = os.memfd_create("scheme")
    with open(held, "wb", closefd=False) as file:
        file.write(source.text.encode())
    return load(source.name, Path(f"/proc/self/fd/{held}"))


def _silent(check: Callable[[Item, memoryview], None]) -> Look:
    def look(item: Item, view: memoryview) -> str:
        check(item, view)
        return ""

    return look


def _check_label(scheme: Scheme, ceilings: list[Label], item: Item) -> None:
    """A label is one of this region's scheme, in its canonical form, that neither region is too
    low for."""
    try:
        label = scheme.parse(item.label)
    except MarkingError:
        raise BadItem("its label is none") from None
    if label.text != item.label:
        raise BadItem("its label is not in its canonical form")
    if not all(ceiling.dominates(label) for ceiling in ceilings):
        raise BadItem("its label is above what a region may hold")


def _items(task: Task, data: memoryview) -> Iterator[tuple[Item, memoryview]]:
    at = 0
    for item in task.items:
        yield item, data[at : at + item.size]
        at += item.size


def _seen(items: list[Item], data: str) -> Seen:
    return Seen(table=table_digest(items), data=data)


def _verdict(why: list[str]) -> Literal["passed", "refused"]:
    return "refused" if why else "passed"


def _mapped(size: int) -> memoryview:
    return memoryview(mmap.mmap(ITEMS, size, prot=mmap.PROT_READ) if size else b"")


def _whole(descriptor: int) -> bytes:
    with open(descriptor, "rb") as file:
        return file.read()


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:5]))
