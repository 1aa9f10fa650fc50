"""Records as events of the Open Cybersecurity Schema Framework: API Activity, class 6003.

A call and its end are one event, told when it has ended. Transitions of jobs are no calls, and are
left out. Source: https://schema.ocsf.io/1.9.0/classes/api_activity
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from bastide.evidence.stored import opened
from bastide.kernel.receipts import END_LOST

VERSION = "1.9.0"
CLASS, CATEGORY = 6003, 6
_ACTIVITIES = (
    (2, ("CreateChatCompletion", "CreateResponse", "CreateMessage", "CreateEmbedding")),
    (1, ("Create", "Run", "Start", "Import", "Register", "Add")),
    (2, ("Get", "List", "Describe", "Head", "Lookup", "Search", "Query", "Filter", "Converse",
         "Invoke", "Count", "Simulate", "Assume", "Select", "BatchGet", "Retrieve")),
    (3, ("Put", "Update", "Tag", "Untag", "Attach", "Detach", "Set", "Stop", "Copy", "Upload",
         "Complete", "Rotate", "Restore")),
    (4, ("Delete", "Remove", "Abort", "Destroy")),
)  # fmt: skip
_OTHER = 99
_NAMES = {0: "Unknown", 1: "Create", 2: "Read", 3: "Update", 4: "Delete", 99: "Other"}
_SUCCESS, _FAILURE, _UNKNOWN = 1, 2, 0
_INFORMATIONAL, _LOW = 1, 2

Record = Mapping[str, Any]


def exported(where: str, account: str | None, since_ms: int | None) -> Iterator[dict[str, Any]]:
    """Events of a stored log, in the order in which they ended; last, those that did not."""
    going_on: dict[int, Record] = {}
    with opened(where) as log:
        for page in log.leaves():
            for index, body, *_ in page:
                if not body:  # it was retired
                    continue
                record = json.loads(body)
                if account is not None and record.get("account") != account:
                    continue
                if record.get("kind") == "call":
                    going_on[index] = record
                    continue
                call = going_on.pop(record.get("opened"), None)
                if since_ms is None or record["time"] >= since_ms:
                    yield from _told(record, call)
        for call in going_on.values():
            if since_ms is None or call["time"] >= since_ms:
                yield event(call)


def _told(record: Record, call: Record | None) -> Iterator[dict[str, Any]]:
    if call is not None:
        yield event(call, record)
    elif record.get("kind") in ("denied", "rejected", "operator"):
        yield event(record)


def event(call: Record, end: Record | None = None) -> dict[str, Any]:
    """One event. `end`: how the call ended, where that is known."""
    service, _, name = str(call.get("operation", "")).rpartition(".")
    activity = _activity(name)
    ended: Record = end or {}
    found: dict[str, Any] = {
        "activity_id": activity,
        "activity_name": _NAMES[activity],
        "category_uid": CATEGORY,
        "category_name": "Application Activity",
        "class_uid": CLASS,
        "class_name": "API Activity",
        "type_uid": CLASS * 100 + activity,
        "severity_id": _LOW if call.get("decision") == "deny" else _INFORMATIONAL,
        "time": call["time"],
        "metadata": _metadata(call),
        "actor": {"user": _user(call)},
        "api": _api(call, ended, service, name),
        "src_endpoint": _source(call.get("source_ip") or "region"),
        **_status(call, ended),
    }
    if call.get("user_agent"):
        found["http_request"] = {"user_agent": call["user_agent"]}
    resources = call.get("resources") or {}
    if resources:
        found["resources"] = [{"type": kind, "name": name} for kind, name in resources.items()]
    if ended:
        found |= {"start_time": call["time"], "end_time": ended["time"]}
        found["duration"] = ended["time"] - call["time"]
    unmapped = {key: call[key] for key in ("decision", "label", "facts") if call.get(key)}
    unmapped |= {"inference": ended["inference"]} if ended.get("inference") else {}
    return {**found, "unmapped": unmapped} if unmapped else found


def _activity(name: str) -> int:
    if not name:
        return 0
    for activity, verbs in _ACTIVITIES:
        if name.startswith(verbs):
            return activity
    return _OTHER


def _metadata(call: Record) -> dict[str, Any]:
    product = {"name": "Bastide", "vendor_name": "Bastide"}
    found: dict[str, Any] = {"version": VERSION, "uid": call["id"], "product": product}
    return {**found, "tenant_uid": call["account"]} if call.get("account") else found


def _user(call: Record) -> dict[str, Any]:
    if call.get("kind") == "operator":
        return {"name": "operator", "type": "System", "type_id": 3}
    if not call.get("principal"):
        return {"name": "unknown", "type": "Unknown", "type_id": 0}
    user = {"name": call["principal"].rpartition("/")[2], "uid": call["principal"]}
    if call.get("access_key"):
        user["credential_uid"] = call["access_key"]
    return {**user, "account": {"uid": call["account"]}}


def _api(call: Record, ended: Record, service: str, name: str) -> dict[str, Any]:
    api: dict[str, Any] = {"operation": name or "Unknown"}
    if service:
        api["service"] = {"name": service}
    if call.get("request_id"):
        api["request"] = {"uid": call["request_id"]}
    code = ended.get("code") or call.get("code")
    if ended.get("status") or code:
        api["response"] = {
            **({"code": ended["status"]} if ended.get("status") else {}),
            **({"error": code} if code else {}),
        }
    return api


def _status(call: Record, ended: Record) -> dict[str, Any]:
    code = ended.get("code") or call.get("code")
    if code == END_LOST:
        return {"status_id": _UNKNOWN, "status": "Unknown", "status_code": code}
    if code or call.get("decision") == "deny":
        return {"status_id": _FAILURE, "status": "Failure", "status_code": code or "denied"}
    if ended or call.get("kind") == "operator":
        return {"status_id": _SUCCESS, "status": "Success"}
    return {"status_id": _UNKNOWN, "status": "Unknown"}


def _source(said: str) -> dict[str, str]:
    """An address; or the region itself, or one of its doors (`wire/side_doors.py`)."""
    return {"name": said} if said == "region" or " " in said else {"ip": said}
