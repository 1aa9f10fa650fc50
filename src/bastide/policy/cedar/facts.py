"""A question in Cedar's terms: entities, and a request. Labels go in as a number and sets of words,
so that Cedar compares them in its own way and not by the kernel's bits."""

import json
from collections.abc import Collection
from typing import Any

from bastide.kernel.labels.label import Label
from bastide.policy.questions import Approval, Mode, Question, Subject, Target

Json = dict[str, Any]
_KINDS = {Mode.RELEASE: "Transfer", Mode.RETIRE_AUDIT: "AuditLog"}


def kind_of(mode: Mode) -> str:
    """The type of entity that a mode is about."""
    return _KINDS.get(mode, "Resource")


def request(question: Question) -> Json:
    """What Cedar is asked."""
    return {
        "principal": _uid("Principal", question.subject.id),
        "action": _uid("Action", question.mode.value),
        "resource": _uid(kind_of(question.mode), question.target.arn),
        "context": json.dumps(_context(question)),
    }


def people_in(question: Question) -> tuple[Subject, ...]:
    """Who asks, and who has approved it: everyone once."""
    people = {question.subject.id: question.subject}
    for approval in (question.approval, question.second):
        if approval is not None:
            people.setdefault(approval.by.id, approval.by)
    return tuple(people.values())


def people(given: Collection[Subject]) -> str:
    """The entities of some people, as JSON."""
    return json.dumps([_person(who) for who in given])


def thing(question: Question) -> str:
    """The entity that a question is about, as JSON."""
    return json.dumps([_thing(question)])


def labels_in(question: Question) -> frozenset[Label]:
    """Every label that a question names."""
    people = [question.subject]
    people += [each.by for each in (question.approval, question.second) if each]
    found = [label for who in people for label in (who.clearance, who.session)]
    return frozenset((*found, question.target.label, question.ceiling))


def labels(given: Collection[Label]) -> str:
    """The entities of some labels, as JSON. Raises ValueError where they are of two schemes: their
    numbers and words cannot be compared."""
    if len({label.scheme.name for label in given}) != 1:
        raise ValueError("Labels of two schemes cannot be compared.")
    return json.dumps([_label(label) for label in given])


def _label(given: Label) -> Json:
    categories, withheld = given.scheme.spelled(given)
    return {
        "uid": _uid("Label", given.text),
        "attrs": {"level": given.level, "categories": categories, "withheld": withheld},
        "parents": [],
    }


def _person(who: Subject) -> Json:
    return {
        "uid": _uid("Principal", who.id),
        "attrs": {
            "agency": _entity("Agency", who.account),
            "arn": who.arn,
            "name": who.name,
            "kind": who.kind,
            "clearance": _entity("Label", who.clearance.text),
            "session": _entity("Label", who.session.text),
            "suspended": who.suspended,
        },
        "parents": [_uid("Role", role) for role in sorted(who.roles)],
    }


def _thing(question: Question) -> Json:
    target, kind = question.target, kind_of(question.mode)
    attributes: Json = {
        "agency": _entity("Agency", target.account),
        "arn": target.arn,
        "label": _entity("Label", target.label.text),
    }
    if kind == "Transfer":
        attributes |= _transfer(target)
    elif kind == "Resource":
        shared = [_entity("Agency", account) for account in sorted(target.shared_with)]
        attributes |= {"kind": target.kind, "sharedWith": shared, "delivered": target.delivered}
    return {"uid": _uid(kind, target.arn), "attrs": attributes, "parents": []}


def _transfer(target: Target) -> Json:
    author = _entity("Principal", target.author)
    return {"digest": target.digest, "author": author, "down": target.down}


def _context(question: Question) -> Json:
    found: Json = {
        "operation": question.operation,
        "ceiling": _entity("Label", question.ceiling.text),
        "now": question.now_s,
    }
    if question.guardrail:
        found["guardrail"] = question.guardrail
    if question.digest is not None:
        found["digest"] = question.digest
    if question.requester:
        found["requester"] = _entity("Principal", question.requester)
    if question.approval is not None:
        found["approval"] = _approval(question.approval)
    if question.second is not None:
        found["second"] = _approval(question.second)
    return found


def _approval(given: Approval) -> Json:
    by = _entity("Principal", given.by.id)
    return {"by": by, "digest": given.digest, "expires": given.expires_s}


def _uid(kind: str, name: str) -> Json:
    return {"type": f"Bastide::{kind}", "id": name}


def _entity(kind: str, name: str) -> Json:
    return {"__entity": _uid(kind, name)}
