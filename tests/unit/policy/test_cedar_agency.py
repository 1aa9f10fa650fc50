"""Agencies' own policies: what may be stored, that they only narrow, and that a decision that is
kept is the one that would be made anew."""

import random
import threading
from dataclasses import replace

import pytest
from tests.cedar_kit import ALONE, DHS, FBI, Worlds, ask, engine, person, second_engine, thing
from tests.labels_kit import US
from tests.policy_kit import ME, principal

from bastide.kernel.errors import ServiceError
from bastide.policy.cedar.checking import BRACKETS_MAX, TEXT_MAX, check
from bastide.policy.cedar.engine import CedarEngine, kept_by
from bastide.policy.cedar.slices import Slices, packaged
from bastide.policy.questions import Mode

SHIPPED = packaged()
ROLE = f'Bastide::Role::"{FBI}/analyst"'
CONTRACTOR = f'Bastide::Role::"{FBI}/contractor"'
READ = 'Bastide::Action::"read"'


def forbid(condition, principal="principal", action="action", resource="resource"):
    return f"forbid ({principal}, {action}, {resource}) when {{ {condition} }};"


# Policies that agencies might write, and the same in Python.
POOL = {
    forbid('context.operation like "s3:Delete*"'): lambda q: q.operation == "s3:DeleteObject",
    forbid('resource.arn like "*/secret"'): lambda q: q.target.arn.endswith("/secret"),
    forbid("true", principal=f"principal in {CONTRACTOR}"): lambda q: (
        f"{FBI}/contractor" in q.subject.roles
    ),
    forbid('resource.label.categories.contains("SI")', action=f"action == {READ}"): lambda q: (
        q.mode is Mode.READ and "SI" in q.target.label.text
    ),
    forbid("principal.session.level > 2"): lambda q: q.subject.session.level > 2,
    forbid("context has guardrail && context.guardrail like \"*:1\""): lambda q: (
        q.guardrail.endswith(":1")
    ),
    forbid("context.now > 1000", action=f"action == {READ}"): lambda q: (
        q.mode is Mode.READ and q.now_s > 1_000
    ),
    forbid('resource == Bastide::Resource::"arn:aws:s3:::b/k"', action=f"action == {READ}"): (
        lambda q: q.mode is Mode.READ and q.target.arn == "arn:aws:s3:::b/k"
    ),
    f"permit (principal in {ROLE}, action, resource);": lambda q: False,
}  # fmt: skip


def agencies(chance):
    """An engine with some of the pool for two agencies, and what they hold."""
    held = {
        account: [(f"p{n}", text) for n, text in enumerate(POOL) if chance.random() < 0.25]
        for account in (FBI, DHS)
    }
    return engine(held, SHIPPED), held


@pytest.mark.parametrize("text", POOL)
def test_the_pool_may_be_stored(text):
    check("p", text, FBI, SHIPPED.schema)


def test_policies_narrow_as_they_say_and_widen_nothing():
    """With its agencies' policies an engine allows exactly what the rules and these allow; and a
    decision that is kept is the same, asked twice and in any order."""
    chance = random.Random(3)
    allowed = narrowed = 0
    for _ in range(8):
        asked, held = agencies(chance)
        worlds = Worlds(chance)
        for _ in range(100):
            question = worlds.question()
            texts = held[question.subject.account] + held[question.target.account]
            forbidden = any(POOL[text](question) for _, text in texts)
            wanted = worlds.oracle.allows(question) and not forbidden
            assert asked.decide_anew(question).allowed == wanted, (question, texts)
            assert asked.decide(question).allowed == wanted, (question, texts)
            assert asked.decide(question).allowed == wanted, (question, texts)
            allowed += wanted
            narrowed += forbidden and worlds.oracle.allows(question)
    assert allowed > 50
    assert narrowed > 15


def test_one_key_has_one_answer():
    """Two questions of one key, whatever they differ in, are decided alike: the key holds every
    fact that a policy can read."""
    chance = random.Random(4)
    same = 0
    for _ in range(8):
        asked, _ = agencies(chance)
        worlds = Worlds(chance)
        answers = {}
        for _ in range(40):
            question = worlds.question()
            for other in varied(question):
                key = kept_by(other, tuple(asked.slices_of(other)))
                if key is not None:
                    answer = asked.decide_anew(other).allowed
                    same += key in answers
                    assert answers.setdefault(key, answer) == answer, other
    assert same > 100


def varied(question):
    """The question with another ARN, another operation, another guardrail, at another time."""
    target = question.target
    for guardrail in ("arn:aws:bedrock:::guardrail/g:1", "arn:aws:bedrock:::guardrail/g:2"):
        yield replace(question, guardrail=guardrail)
    for arn in ("arn:aws:s3:::b/k", "arn:aws:s3:::b/secret"):
        for operation in ("s3:GetObject", "s3:DeleteObject"):
            for now_s in (999, 1_001):
                what = replace(target, arn=arn)
                yield replace(question, target=what, operation=operation, now_s=now_s)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        (forbid("principal.suspended"), ("arn", "operation", "time")),
        (forbid('context.operation == "s3:GetObject"'), ("arn", "time")),
        (forbid('resource.kind == "x"', action=f"action == {READ}"), ("arn", "operation", "time")),
        (forbid('resource.arn == "x"'), ("operation", "time")),
        (forbid("context.now > 5"), ()),
        (forbid("true", resource='resource == Bastide::Resource::"x"'), ("operation", "time")),
        (forbid('[resource].contains(resource)'), ("operation", "time")),
    ],
)  # fmt: skip
def test_what_a_policy_reads_is_what_a_decision_is_kept_by(text, kept):
    check("p", text, FBI, SHIPPED.schema)
    asked = engine({FBI: [("p", text)]}, SHIPPED)
    question = ask(Mode.READ)
    others = {
        "arn": replace(question, target=replace(question.target, arn="arn:aws:s3:::b/z")),
        "operation": replace(question, operation="s3:Other"),
        "time": replace(question, now_s=7),
    }
    key = kept_by(question, tuple(asked.slices_of(question)))
    same = {
        name
        for name, other in others.items()
        if key is not None and kept_by(other, tuple(asked.slices_of(other))) == key
    }
    assert same == set(kept)


def test_what_two_people_do_is_never_kept():
    asked = engine()
    for mode in Mode:
        question = ask(mode)
        kept = kept_by(question, tuple(asked.slices_of(question))) is not None
        assert kept == (mode in ALONE)


def test_a_change_holds_for_the_next_question():
    held = {}
    asked = CedarEngine(Slices(SHIPPED, lambda account: held.get(account, ())))
    question = ask(Mode.READ)
    assert asked.decide(question).allowed
    held[FBI] = [("no", "forbid (principal, action, resource);")]
    assert asked.decide(question).allowed, "nothing was told yet"
    asked.forget(FBI)
    assert asked.decide(question).policies == ("agency/no#1",)
    held.clear()
    asked.forget(FBI)
    assert asked.decide(question).allowed


def test_a_slice_that_was_read_while_it_changed_is_not_kept():
    held, slices = [()], None

    def read(account):
        if slices is not None and not held[0]:
            held[0] = [("no", "forbid (principal, action, resource);")]
            slices.forget(account)
            return ()
        return held[0]

    slices = Slices(SHIPPED, read)
    before, after = slices.of(FBI), slices.of(FBI)
    assert len(after.names) == len(before.names) + 1


def test_slices_are_bounded_and_come_back():
    slices = Slices(SHIPPED, lambda a: [("p", "forbid (principal, action, resource);")], 3)
    made = [slices.of(str(number)) for number in range(5)]
    assert len(slices._held) == 3
    assert slices.of("4") is made[4]
    assert slices.of("0") is not made[0]


def test_an_owner_narrows_who_reads_what_it_shares():
    shared = thing(account=DHS, shared_with=frozenset({FBI}))
    question = ask(Mode.READ, what=shared)
    assert engine().decide(question).allowed
    held = {DHS: [("ours", "forbid (principal, action, resource);")]}
    assert engine(held).decide(question).policies == ("agency/ours#1",)


def test_an_annotation_names_nothing():
    text = '@id("mac.no-read-up") forbid (principal, action, resource);'
    assert engine({FBI: [("a", text)]}).decide(ask(Mode.READ)).policies == ("agency/a#1",)


def test_policies_are_named_in_their_order():
    texts = [("a", "\n".join(forbid(f'principal.name == "n{n}"') for n in range(12)))]
    texts += [("b", forbid('principal.name == "n99"'))]
    asked = engine({FBI: texts})
    for number, name in ((0, "a#1"), (9, "a#10"), (11, "a#12"), (99, "b#1")):
        verdict = asked.decide(ask(Mode.READ, person(f"n{number}")))
        assert verdict.policies == (f"agency/{name}",)


def test_a_policy_that_fails_is_a_no():
    """Cedar skips a forbid that it cannot work out, and answers Allow with an error."""
    text = forbid("9223372036854775807 + principal.session.level > 0")
    check("p", text, FBI, SHIPPED.schema)
    verdict = engine({FBI: [("p", text)]}).decide(ask(Mode.READ))
    assert not verdict.allowed
    assert "overflow" in verdict.errors[0]


def test_facts_of_a_wrong_type_are_a_no():
    verdict = engine().decide(ask(Mode.READ, person(suspended="no")))
    assert not verdict.allowed
    assert verdict.errors


def test_labels_of_two_schemes_are_a_no():
    verdict = engine().decide(ask(Mode.READ, ceiling=US.clearance("TS")))
    assert not verdict.allowed
    assert verdict.errors == ("Labels of two schemes cannot be compared.",)


def test_many_threads_get_one_answer_each():
    asked, failures = engine(), []
    worlds = Worlds(random.Random(9))
    questions = [worlds.question() for _ in range(60)]
    wanted = [worlds.oracle.allows(each) for each in questions]

    def run():
        if [asked.decide(each).allowed for each in questions] != wanted:
            failures.append(1)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "1 to 20 policies"),
        ("forbid (principal, action, resource);" * 21, "1 to 20 policies"),
        ("// " + "x" * TEXT_MAX, "bytes"),
        ("forbid (principal", "not Cedar"),
        ("forbid (principal == ?principal, action, resource);", "template"),
        (forbid("resource.labl.level > 1"), "labl"),
        (forbid('context.approval.digest == "x"'), "approval"),
        (forbid("principal.session.level"), "type"),
        (forbid('action == Bastide::Action::"reed"'), "reed"),
        ("permit (principal, action, resource);", "without saying whom"),
        ("permit (principal is Bastide::Principal, action, resource);", "without saying whom"),
        ('permit (principal in Bastide::Role::"auditor", action, resource);', "saying whom"),
        (f'permit (principal in Bastide::Role::"{DHS}/a", action, resource);', "saying whom"),
        (f'permit (principal in Bastide::Role::"{FBI}", action, resource);', "saying whom"),
        (forbid("(" * 9_000 + "true" + ")" * 9_000)[:TEXT_MAX], "brackets"),
        (forbid("[" * 9_000)[:TEXT_MAX], "brackets"),
        (forbid('")" == "x" && ' * 40 + "(" * (BRACKETS_MAX + 1)), "brackets"),
        (forbid(" && ".join(["true"] * 1_500)), "nested"),
        (forbid("if true then " * 200 + "true" + " else true" * 200), "nested"),
    ],
)
def test_what_may_not_be_stored(text, says):
    with pytest.raises(ServiceError) as caught:
        check("name", text, FBI, SHIPPED.schema)
    assert says in caught.value.message


@pytest.mark.parametrize("name", ["", "a/b", "-a", "a" * 65, "é", "a\n"])
def test_what_is_no_name(name):
    with pytest.raises(ServiceError):
        check(name, forbid("true"), FBI, SHIPPED.schema)


def test_an_agency_may_permit_its_own_roles():
    check("p", f"permit (principal in {ROLE}, action, resource);", FBI, SHIPPED.schema)
    text = f"permit (principal is Bastide::Principal in {ROLE}, action, resource);"
    check("p", text, FBI, SHIPPED.schema)


@pytest.mark.parametrize(
    ("action", "resource", "account", "kind"),
    [
        ("s3:GetObject", "arn:aws-us-gov:s3:::b/k/a", ME, "s3/object"),
        ("s3:ListBucket", "arn:aws-us-gov:s3:::b", ME, "s3/bucket"),
        ("s3:ListAllMyBuckets", "*", ME, "s3/*"),
        ("sagemaker:DescribeModel", f"arn:aws:sagemaker:r:{DHS}:model/m", DHS, "sagemaker/model"),
        ("logs:GetLogEvents", f"arn:aws:logs:r:{ME}:log-group:g:*", ME, "logs/log-group"),
        ("bedrock:InvokeModel", "arn:aws:bedrock:r::model/m", ME, "bedrock/model"),
        ("iam:PassRole", f"arn:aws:iam::{DHS}:role/a:s3:::b/k", DHS, "iam/role"),
    ],
)  # fmt: skip
def test_what_an_arn_is_asked_about_as(action, resource, account, kind):
    target = second_engine().about(principal()).question(action, resource, None).target
    assert (target.account, target.kind) == (account, kind)


@pytest.mark.parametrize(
    ("action", "mode"),
    [
        ("s3:GetObject", Mode.READ),
        ("s3:ListBucket", Mode.LIST),
        ("s3:PutObject", Mode.CREATE),
        ("s3:PutBucketPolicy", Mode.MANAGE),
        ("iam:CreateUser", Mode.MANAGE),
        ("sagemaker:DeleteModel", Mode.OVERWRITE),
    ],
)
def test_how_an_action_touches_what_it_names(action, mode):
    assert second_engine().about(principal()).question(action, "*", None).mode is mode
