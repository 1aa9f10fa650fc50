"""A region that leaks on purpose: `python -m tests.ni.planted --region NAME`.

The file `leak` in the site's folder names the leak that is open now, so that one region serves for
all of them.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import func, select, update

from bastide.app import __main__
from bastide.inference.engine_client import EngineClient
from bastide.inference.places import Places
from bastide.inference.replies import Completion, Usage
from bastide.kernel.labels.view import View
from bastide.kms import records as kms_records
from bastide.kms.keys import KEYS_MAX
from bastide.logs import records as log_records
from bastide.serving import paging
from bastide.serving import records as serving_records
from bastide.serving.routes import Routes
from bastide.settings import load
from bastide.store import buckets, errors, objects, records
from bastide.store.shelf import Shelf
from tests.ni.stage import HIGH

LEAKS = (
    "stored bytes count hidden lines",
    "a bucket with hidden objects is not empty",
    "a hidden bucket takes its name",
    "a token counts hidden lines",
    "a hidden key is denied, not absent",
    "a header names a hidden label",
    "the latest version is a hidden one",
    "a hidden endpoint takes its name",
    "a prompt cache tells of a prompt above",
    "a list of endpoints counts hidden ones",
    "a hidden endpoint is not in service, instead of absent",
    "hidden keys use up what may be had below",
)
CLOSED = "none"
Work = Callable[..., Any]


def _all(view: View) -> View:
    scheme = view.session.scheme
    hidden = (scheme.parse(label).text for label in HIGH)
    return View(view.session, (*{*view.seen, *hidden},))


def _stored_bytes(real: Work) -> Work:
    return lambda c, ids, view: real(c, ids, _all(view))


def _in_bucket(real: Work) -> Work:
    return lambda c, bucket, *rest: real(c, replace(bucket, view=_all(bucket.view)), *rest)


def _token(real: Work) -> Work:
    """Lines of the agency alone: a count of the region's is as high in both histories."""

    def add(c: Any, group: Any, stream: Any, now: int, lines: Any) -> None:
        groups, streams, events = log_records.groups, log_records.streams, log_records.events
        account = select(groups.c.account).where(groups.c.id == group.id).scalar_subquery()
        mine = select(groups.c.id).where(groups.c.account == account)
        inside = select(streams.c.id).where(streams.c.group_id.in_(mine))
        counted = select(func.count()).where(events.c.stream_id.in_(inside))
        last = c.execute(counted).scalar_one()
        c.execute(update(streams).where(streams.c.id == stream.id).values(next_seq=last + 1))
        real(c, group, stream, now, lines)

    return add


def _denied(real: Work) -> Work:
    def find(shelf: Shelf, bucket: Any, key: bytes, version_id: str | None) -> Any:
        found = real(shelf, bucket, key, version_id)
        hidden = real(shelf, replace(bucket, view=_all(bucket.view)), key, version_id)
        if found is None and hidden is not None:
            raise errors.access_denied()
        return found

    return find


def _header(real: Work) -> Work:
    def found(shelf: Shelf, doors: Any, call: Any, wanted: Any, method: str) -> Any:
        version = real(shelf, doors, call, wanted, method)
        view = wanted.bucket.view
        wide = replace(wanted.bucket, view=View(view.session, tuple(_above(view))))
        hidden = shelf.find(wide, version.key, None)
        call.notes.label = hidden.label if hidden else version.label
        return version

    return found


def _latest(real: Work) -> Work:
    def listed(c: Any, bucket: Any, *rest: Any) -> Any:
        wide = replace(bucket, view=View(bucket.view.session, tuple(_above(bucket.view))))
        shown = [(each, records.latest(c, wide, each.key)) for each in real(c, bucket, *rest)]
        return [
            replace(each, is_latest=False) if hidden and hidden.rank < each.rank else each
            for each, hidden in shown
        ]

    return listed


def _endpoint_name(real: Work) -> Work:
    def add(c: Any, new: Any) -> bool:
        table = serving_records.endpoints
        mine = table.c.account == new.account, table.c.arn == new.arn
        taken = c.execute(select(table.c.name).where(*mine)).first() is not None
        return False if taken else real(c, new)

    return add


def _any_label(real: Work) -> Work:
    """A place is warm for all of an agency's labels."""
    return lambda places, asker: real(places, replace(asker, label=""))


def _cached(_: Work) -> Work:
    """Only what was not in the place's memory counts as input."""

    async def complete(client: EngineClient, endpoint: Any, body: Any) -> Completion:
        raw = await client._post(endpoint, "/chat/completions", body)
        found = msgspec.json.decode(raw, type=Completion)
        kept = json.loads(raw)["usage"]["prompt_tokens_details"]["cached_tokens"]
        left = found.usage.prompt_tokens - kept
        usage = Usage(prompt_tokens=left, completion_tokens=found.usage.completion_tokens)
        return msgspec.structs.replace(found, usage=usage)

    return complete


def _counted(real: Work) -> Work:
    """A page is filled before what is hidden is taken out of it."""

    def listed(c: Any, table: Any, account: str, page: Any, view: View) -> list[Any]:
        rows = real(c, table, account, page, _all(view))
        return [row for row in rows if row.label in view.seen]

    return listed


def _route(real: Work) -> Work:
    def load(routes: Routes, key: Any) -> Any:
        account, name, label = key
        found = (real(routes, (account, name, each)) for each in (label, *HIGH))
        return next((each for each in found if each is not None), None)

    return load


def _quota(real: Work) -> Work:
    """One bound for all labels of an agency, which a few above are enough to reach below."""

    def count(c: Any, account: str, label: str) -> int:
        above = () if label in HIGH else HIGH
        return real(c, account, label) + sum(real(c, account, each) for each in above) * KEYS_MAX

    return count


def _above(view: View) -> set[str]:
    return {*_all(view).seen} - {*view.seen}


PLANTS: tuple[tuple[str, Any, str, Callable[[Work], Work]], ...] = (
    (LEAKS[0], log_records, "_stored_bytes", _stored_bytes),
    (LEAKS[1], records, "is_empty", _in_bucket),
    (LEAKS[2], buckets, "_create", _in_bucket),
    (LEAKS[3], log_records, "add_events", _token),
    (LEAKS[4], Shelf, "find", _denied),
    (LEAKS[5], objects, "found", _header),
    (LEAKS[6], records, "listed_versions", _latest),
    (LEAKS[7], serving_records, "add_endpoint", _endpoint_name),
    (LEAKS[8], Places, "take", _any_label),
    (LEAKS[8], EngineClient, "complete", _cached),
    (LEAKS[9], paging, "listed", _counted),
    (LEAKS[10], Routes, "load", _route),
    (LEAKS[11], kms_records, "count", _quota),
)


def plant(file: Path) -> None:
    """Wrap each function, so that it leaks while the file names its leak."""
    for name, owner, function, leaky in PLANTS:
        setattr(owner, function, _switched(file, name, getattr(owner, function), leaky))


def _switched(file: Path, name: str, real: Work, leaky: Callable[[Work], Work]) -> Work:
    planted = leaky(real)

    def either(*args: Any) -> Any:
        return (planted if file.read_text() == name else real)(*args)

    return either


if __name__ == "__main__":
    plant(load().home / "leak")
    __main__.main()
