"""Quotas: what a minute holds, what a request gives back, and who shares nothing with whom."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.inference_kit import OTHER, call
from tests.labels_kit import at

from bastide.inference.quotas import BUCKETS_MAX, Quotas
from bastide.kernel.clock import ManualClock
from bastide.kernel.errors import ServiceError
from bastide.models.catalogue import remote_card
from bastide.settings import Quota

CARD, OTHERS_CARD = remote_card("maker.one-v1:0"), remote_card("maker.two-v1:0")


def quotas(**more):
    return Quotas(clock=ManualClock(), **more)


def ask(quotas, by=None, card=CARD, letters=0, written_max=0):
    return quotas.admit(by or call(), card, letters=letters, written_max=written_max)


def waits(work):
    with pytest.raises(ServiceError) as caught:
        work()
    assert caught.value.code == "ThrottlingException"
    return caught.value.retry_after_s


def test_without_a_quota_everything_is_admitted_and_nothing_is_kept():
    made = quotas()
    for _ in range(100):
        ask(made, letters=10**9).settle(10**9)
    assert not made._buckets


def test_a_minute_holds_so_many_requests_and_fills_again():
    made = quotas(of_all=Quota(requests_per_minute=3))
    for _ in range(3):
        ask(made)
    assert waits(lambda: ask(made)) == 20
    made.clock.advance(19.9)
    assert waits(lambda: ask(made)) == 1
    made.clock.advance(0.2)
    ask(made)
    made.clock.advance(3600)
    for _ in range(3):
        ask(made)
    waits(lambda: ask(made))


def test_what_was_foreseen_and_not_used_is_given_back():
    made = quotas(of_all=Quota(tokens_per_minute=100))
    ticket = ask(made, letters=40, written_max=80)  # 10 and 80
    assert waits(lambda: ask(made, written_max=20)) == 6
    ticket.settle(15)
    ticket.settle(15)  # once
    ask(made, written_max=85)
    assert waits(lambda: ask(made, written_max=1)) == 1


def test_what_was_used_beyond_is_owed():
    made = quotas(of_all=Quota(tokens_per_minute=60))
    ask(made).settle(120)
    assert waits(lambda: ask(made, written_max=1)) == 61


def test_who_wants_more_than_a_minute_holds_waits_for_a_full_one():
    made = quotas(of_all=Quota(tokens_per_minute=60))
    ask(made, written_max=10**6).settle(30)
    assert waits(lambda: ask(made, written_max=10**6)) == 30
    made.clock.advance(30)
    ask(made, written_max=10**6)


def test_a_request_that_has_no_tokens_costs_none_of_the_requests():
    made = quotas(of_all=Quota(requests_per_minute=2, tokens_per_minute=10))
    ask(made, written_max=10)
    for _ in range(5):
        assert waits(lambda: ask(made, written_max=10)) == 60
    made.clock.advance(60)
    ask(made, written_max=10)


def test_what_is_read_after_a_request_began_is_owed_whatever_is_left():
    made, who = (
        quotas(of_all=Quota(requests_per_minute=100, tokens_per_minute=60)),
        call().principal,
    )
    made.begin(who, CARD)
    made.charge(who, CARD, 50)
    made.begin(who, CARD)
    made.charge(who, CARD, 50)
    assert waits(lambda: made.begin(who, CARD)) == 40
    made.begin(replace(who, **at("S")), CARD)
    made.begin(call(account=OTHER).principal, CARD)
    made.clock.advance(40.0)
    made.begin(who, CARD)


def test_without_a_quota_nothing_is_charged():
    made = quotas()
    made.charge(call().principal, CARD, 10**9)
    assert not made._buckets


def test_agencies_labels_and_models_share_nothing():
    made = quotas(of_all=Quota(requests_per_minute=1))
    high = call()
    high = replace(high, principal=replace(high.principal, **at("S")))
    for by, card in ((None, CARD), (call(account=OTHER), CARD), (high, CARD), (None, OTHERS_CARD)):
        ask(made, by, card)
        waits(lambda by=by, card=card: ask(made, by, card))


def test_a_model_may_have_a_quota_of_its_own():
    made = quotas(
        of_all=Quota(requests_per_minute=1), of_models={CARD.model_id: Quota(requests_per_minute=2)}
    )
    ask(made)
    ask(made)
    waits(lambda: ask(made))
    ask(made, card=OTHERS_CARD)
    waits(lambda: ask(made, card=OTHERS_CARD))


def test_buckets_are_bounded():
    made = quotas(of_all=Quota(requests_per_minute=1))
    for number in range(BUCKETS_MAX + 10):
        made._bucket(("1", "U", str(number), "requests"), 1)
    assert len(made._buckets) == BUCKETS_MAX


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 80), st.integers(0, 90))))
def test_no_minute_gives_more_than_it_holds_and_what_is_owed(steps):
    """Over any time, what was used is at most a full bucket, what filled it, and one overdraft."""
    limit, made, used, overdraft = 60, quotas(of_all=Quota(tokens_per_minute=60)), 0, 0
    for wait_s, wanted, took in steps:
        made.clock.advance(wait_s)
        try:
            ticket = ask(made, written_max=wanted)
        except ServiceError:
            continue
        ticket.settle(took)
        used, overdraft = used + took, max(overdraft, took)
    passed = sum(wait_s for wait_s, _, _ in steps)
    assert used <= limit + passed * limit / 60 + overdraft
