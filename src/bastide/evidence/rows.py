"""A row of the stored log: whether it is what its hash says, and its columns what it says."""

import json
import struct
from collections.abc import Sequence
from hashlib import sha256
from operator import add
from typing import Any

Row = tuple[Any, ...]  # index, body, hash, account, time_ms, label, closes
leaf_head = struct.Struct(">BQ").pack  # of a leaf's hash: 0, and the record's index
_CALL, _CLOSED = b'"kind":"call",', b'"kind":"closed",'


def is_whole(rows: Sequence[Row], first: int) -> bool:
    """Whether all rows of a page are what their hashes, places and columns say; False also where
    that cannot be told so quickly."""
    digest, head = sha256, leaf_head
    if not rows:
        return True
    try:
        indexes, bodies, hashes, *columns = zip(*rows, strict=True)
        if indexes != tuple(range(first, first + len(rows))):
            return False
        pairs = zip(indexes, bodies, strict=True)
        if hashes != tuple([digest(head(0, at) + body).digest() for at, body in pairs]):
            return False
        return _all_agree(bodies, *columns)
    except (TypeError, AttributeError, struct.error):
        return False


def _all_agree(bodies: Any, accounts: Any, times: Any, labels: Any, closes: Any) -> bool:
    """`columns_agree` of each record; of a call, whose form is known, without reading it."""
    if set(map(type, times)) != {int}:
        return False
    begins = {each: b'{"account":"%s","time":' % each.encode() for each in set(accounts)}
    ends = {each: _tail(each) for each in set(labels)}
    moments = (b"%d,\n" * len(times) % times).split(b"\n")
    kinds = [_CALL if opened is None else _CLOSED for opened in closes]
    heads = map(add, map(add, map(begins.__getitem__, accounts), moments), kinds)
    begun = map(bytes.startswith, bodies, heads)
    ended = map(bytes.endswith, bodies, map(ends.__getitem__, labels))
    doubtful = [
        at
        for at, (begins_so, ends_so, opened) in enumerate(zip(begun, ended, closes, strict=True))
        if not (begins_so and ends_so)
        or (opened is not None and b'"opened":%d,' % opened not in bodies[at])
    ]
    columns = (bodies, accounts, times, labels, closes)
    return all(columns_agree(*(column[at] for column in columns)) for at in doubtful)


def _tail(label: str) -> bytes:
    """How the record of a call ends that has this label. One without a label is read."""
    return b',"label":%s}' % json.dumps(label, ensure_ascii=False).encode() if label else b"\n"


def columns_agree(body: bytes, account: Any, time_ms: Any, label: Any, closes: Any) -> bool:
    """The columns that look-ups filter by repeat what the record says."""
    if not body.startswith(b'{"account":"'):
        return True
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        return False
    return (
        (type(account), type(time_ms)) == (str, int)
        and body.startswith(b'{"account":"%s","time":%d,' % (account.encode(), time_ms))
        and (label or "") == said.get("label", "")
        and closes == said.get("opened")
    )
