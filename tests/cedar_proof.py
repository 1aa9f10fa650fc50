"""Cedar's JSON form of policies, read into Z3: entities are an uninterpreted sort, attributes are
functions of them, sets of words are Z3's sets. What it does not know it refuses to read."""

import re
from dataclasses import dataclass

import z3

from bastide.policy.cedar.slices import shipped
from bastide.policy.questions import Mode

ENTITY, WORD, TYPE = (z3.DeclareSort(name) for name in ("Entity", "Word", "Type"))
INSIDE = z3.Function("in", ENTITY, ENTITY, z3.BoolSort())
IS = z3.Function("is", ENTITY, TYPE, z3.BoolSort())
RECORD = None  # read through, to its own attributes
SORTS = {
    **dict.fromkeys(
        ("agency", "session", "clearance", "label", "ceiling", "author", "by", "requester"), ENTITY
    ),
    **dict.fromkeys(("approval", "second"), RECORD),
    **dict.fromkeys(("level", "now", "expires"), z3.IntSort()),
    **dict.fromkeys(("categories", "withheld"), z3.SetSort(WORD)),
    **dict.fromkeys(("digest", "arn", "name", "kind", "operation"), WORD),
    **dict.fromkeys(("suspended", "down", "delivered"), z3.BoolSort()),
    "sharedWith": z3.SetSort(ENTITY),
}
_ACTIONS = re.compile(r"action ([\w, ]+?)\s+in \[([\w, ]+)\]")


def groups(schema):
    """From each group of actions to its members, as the schema's text has them."""
    found: dict[str, set[str]] = {}
    for names, inside in _ACTIONS.findall(schema):
        for group in inside.split(", "):
            found.setdefault(group, set()).update(names.split(", "))
    return found


GROUPS = groups(shipped("bastide.cedarschema"))
TYPE_OF = {"release": "Transfer", "retireAudit": "AuditLog"}


@dataclass(frozen=True)
class Value:
    """A term, or a record that stands for none. `path` names what is read of the context."""

    term: object
    path: str = ""

    def __getitem__(self, attribute):
        sort = SORTS[attribute]
        if self.path:
            path = f"{self.path}.{attribute}"
            return Value(
                None if sort is RECORD else z3.Const(path, sort), path if sort is RECORD else ""
            )
        return Value(z3.Function(f"{attribute}", ENTITY, sort)(self.term))


def entity(kind, name):
    return z3.Const(f"{kind}::{name}", ENTITY)


def type_(name):
    return z3.Const(f"type {name}", TYPE)


class Prover:
    """`policies`: forbids, in Cedar's JSON form."""

    principal = Value(z3.Const("principal", ENTITY))
    action = Value(z3.Const("action", ENTITY))
    resource = Value(z3.Const("resource", ENTITY))
    context = Value(None, "context")
    actions = frozenset(mode.value for mode in Mode)

    def __init__(self, policies):
        self.solver = z3.Solver()
        self.solver.set("timeout", 60_000)
        forbidden = [self._forbid(policy) for policy in policies]
        self.solver.add(*self._world(), z3.Not(z3.Or(forbidden)))

    def does(self, *names):
        return z3.Or([self.action.term == _action(name) for name in names])

    def in_group(self, name):
        return GROUPS[name]

    def has_role(self, who, name):
        return INSIDE(who.term, entity("Bastide::Role", name))

    def refuted(self, theorem):
        """A world in which nothing forbids and the theorem is false; None: it is proved."""
        self.solver.push()
        self.solver.add(z3.Not(theorem))
        found = self.solver.check()
        assert found != z3.unknown, self.solver.reason_unknown()
        model = self.solver.model() if found == z3.sat else None
        self.solver.pop()
        return model

    def _world(self):
        """What the schema says: which actions there are, their groups, and what each is about."""
        names = sorted(self.actions | GROUPS.keys())
        yield z3.Distinct(*map(_action, names))
        yield z3.Distinct(*(type_(name) for name in ("Resource", "Transfer", "AuditLog")))
        yield self.does(*self.actions)
        for name in self.actions:
            for group in names:
                inside = name == group or name in GROUPS.get(group, ())
                yield INSIDE(_action(name), _action(group)) == inside
            kind = TYPE_OF.get(name, "Resource")
            for each in ("Resource", "Transfer", "AuditLog"):
                here = IS(self.resource.term, type_(each)) == (each == kind)
                yield z3.Implies(self.action.term == _action(name), here)

    def _forbid(self, policy):
        assert policy["effect"] == "forbid"
        parts = [self._scope(policy[name], name) for name in ("principal", "action", "resource")]
        for each in policy["conditions"]:
            body = self._term(each["body"])
            parts.append(body if each["kind"] == "when" else z3.Not(body))
        return z3.And(parts)

    def _scope(self, scope, name):
        term = getattr(self, name).term
        if scope["op"] == "All":
            return z3.BoolVal(True)
        if scope["op"] == "is" and "in" not in scope:
            return IS(term, type_(scope["entity_type"].removeprefix("Bastide::")))
        named = [_named(each) for each in scope.get("entities") or [scope["entity"]]]
        if scope["op"] == "==":
            return term == named[0]
        assert scope["op"] == "in", scope
        return z3.Or([INSIDE(term, each) for each in named])

    def _term(self, node):
        return self._value(node).term

    def _value(self, node):
        ((word, inner),) = node.items()
        if word == "Var":
            return getattr(self, inner)
        if word == ".":
            return self._value(inner["left"])[inner["attr"]]
        return Value(_WORDS[word](self, inner))

    def _has(self, inner):
        record = self._value(inner["left"])
        assert record.path, "only the context has what may be missing"
        return z3.Bool(f"{record.path} has {inner['attr']}")

    def _literal(self, value):
        if isinstance(value, dict):
            return _named(value["__entity"])
        if isinstance(value, bool):
            return z3.BoolVal(value)
        return z3.IntVal(value) if isinstance(value, int) else z3.Const(f"word {value}", WORD)

    def _inside(self, inner):
        left, right = self._term(inner["left"]), inner["right"]
        if "Set" in right:
            return z3.Or([INSIDE(left, self._term(each)) for each in right["Set"]])
        return INSIDE(left, self._term(right))


def _named(given):
    return entity(given["type"], given["id"])


def _action(name):
    return entity("Bastide::Action", name)


def _of_two(work):
    return lambda self, inner: work(self._term(inner["left"]), self._term(inner["right"]))


_WORDS = {
    "Value": Prover._literal,
    "has": Prover._has,
    "in": Prover._inside,
    "!": lambda self, inner: z3.Not(self._term(inner["arg"])),
    "&&": _of_two(z3.And),
    "||": _of_two(z3.Or),
    "==": _of_two(lambda a, b: a == b),
    "!=": _of_two(lambda a, b: a != b),
    ">=": _of_two(lambda a, b: a >= b),
    ">": _of_two(lambda a, b: a > b),
    "contains": _of_two(lambda a, b: z3.IsMember(b, a)),
    "containsAll": _of_two(lambda a, b: z3.IsSubset(b, a)),
}
