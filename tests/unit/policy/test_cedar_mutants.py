"""Each rule of the mandatory policies, broken in each way that we can think of: none may live."""

import random
import re
from functools import cache

from cedarpy import Entities, PolicySet, Schema, is_authorized, validate_policies
from tests.cedar_cases import CASES, FLOWING, flows
from tests.cedar_kit import Worlds, ask, person, thing

from bastide.policy.cedar import facts
from bastide.policy.cedar.engine import allowed
from bastide.policy.cedar.slices import shipped

MANDATORY, SCHEMA = shipped("mandatory.cedar"), shipped("bastide.cedarschema")
EVERYTHING = '@id("everything") permit (principal, action, resource);'  # the most a permit gives
SWAPS = (
    (">=", ">"),
    (">=", "<="),
    (" > ", " >= "),
    ("containsAll", "containsAny"),
    ("==", "!="),
    ("!=", "=="),
    ("&&", "||"),
    ("||", "&&"),
    ("unless", "when"),
    ("principal.session", "principal.clearance"),
    ("principal.clearance", "principal.session"),
    ("by.clearance", "by.session"),
    ("context.second", "context.approval"),
    ("context.approval", "context.second"),
    ("!context", "context"),
    ("resource.label", "context.ceiling"),
    ("context.ceiling", "resource.label"),
    ("observes", "alters"),
    ("alters", "observes"),
    ("content", "observes"),
    ("twoPerson", "alters"),
    ("releaser", "reviewer"),
    ("reviewer", "releaser"),
    ("key-custodian", "security-officer"),
    ("security-officer", "key-custodian"),
    ("operator", "auditor"),
    ("auditor", "operator"),
    ("read", "manage"),
    ("list", "create"),
)
CONDITION = re.compile(r"[^&{}]+&&\s*(?=[^\s])")


def mutants():
    """Every policy without itself, with one word swapped, or with one condition left out."""
    found, parts = {}, re.split(r"(?=@id\()", MANDATORY)
    for number in range(1, len(parts)):
        name = re.match(r'@id\("([^"]+)"', parts[number]).group(1)
        head, body = parts[number].split("\n", 1)
        for what, changed in [("dropped", ""), *_changed(body)]:
            kept = f"{head}\n{changed}" if changed else ""
            text = "".join([*parts[:number], kept, *parts[number + 1 :]])
            found[f"{name}: {what}"] = text
    return found


def _changed(body):
    for old, new in SWAPS:
        for found in re.finditer(re.escape(old), body):
            yield (
                f"{old} -> {new} at {found.start()}",
                body[: found.start()] + new + body[found.end() :],
            )
    for found in CONDITION.finditer(body):
        yield (
            f"without {found.group().strip()[:60]}",
            body[: found.start()] + " " + body[found.end() :],
        )


def questions():
    """The cases and the flows with their answers, then random questions with the oracle's."""
    found = [(each.values[0], not each.values[1]) for each in CASES]
    for _, session, marking, modes in flows():
        who = person(session=session, clearance="TS//SI/TK//P7//ORCON")
        found += [(ask(mode, who, thing(marking)), mode in modes) for mode in FLOWING]
    worlds = Worlds(random.Random(7))
    random_ = [worlds.question() for _ in range(300)]
    return [*found, *((each, worlds.oracle.allows(each)) for each in random_)]


@cache
def asked():
    """The same, read once for all mutants."""
    parser = Schema.from_str(SCHEMA)
    return [
        (
            facts.request(question),
            Entities.from_json_str(facts.labels(facts.labels_in(question)), parser)
            .with_added_json_str(facts.people(facts.people_in(question)), parser)
            .with_added_json_str(facts.thing(question), parser),
            wanted,
        )
        for question, wanted in questions()
    ]  # fmt: skip


def is_valid(text):
    return bool(validate_policies(text + EVERYTHING, SCHEMA))


def lives(text):
    """Whether every question is answered as it should be."""
    parser, policies = Schema.from_str(SCHEMA), PolicySet.from_str(text + EVERYTHING)
    return all(
        allowed(is_authorized(request, policies, entities, parser)) == wanted
        for request, entities, wanted in asked()
    )


def test_the_policies_themselves_live():
    assert is_valid(MANDATORY)
    assert lives(MANDATORY)


def test_no_mutant_lives():
    texts = {each: text for each, text in mutants().items() if is_valid(text)}
    assert len(texts) > 150
    assert [each for each, text in texts.items() if lives(text)] == []
