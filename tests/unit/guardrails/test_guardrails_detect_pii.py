"""Each kind of personal data: said as it is said, and what only looks like it."""

import json
import random
from itertools import pairwise

import pytest
from botocore.session import get_session

from bastide.guardrails.detect import checks, weights
from bastide.guardrails.detect.finding import KINDS, Finding, settled
from bastide.guardrails.detect.pii import find_pii

THERE = [
    ("NAME", "My name is [Ravi Kapoor] and I need help."),
    ("NAME", "Please call [Elena Petrova] back before noon."),
    ("NAME", "the invoice was signed by [Tomas Lindqvist], not by me"),
    ("ADDRESS", "We live at [412 Maple Street], as you know."),
    ("ADDRESS", "I will travel to [Denmark] next week."),
    ("ADDRESS", "zip code: [94107]"),
    ("ADDRESS", "Our office is in Leeds, [LS1 4AP], above the bank."),
    ("AGE", "The patient, [47] years old, was admitted."),
    ("AGE", "My son just turned [12]!"),
    ("EMAIL", "write to [first.last+x@sub.example.co.uk], please"),
    ("PHONE", "call me at [+44 20 7946 0958] tomorrow"),
    ("PHONE", "Tel: [(415) 555-0132]"),
    ("URL", "see [https://intra.example.org/a?b=c] for more"),
    ("USERNAME", "the username is [jdoe_77]"),
    ("PASSWORD", "password: [hunter2!x]"),
    ("PASSWORD", "my password is [Tr0ub4dor&3]"),
    ("PIN", "The PIN is [4821]."),
    ("CREDIT_DEBIT_CARD_NUMBER", "charge [4111 1111 1111 1111] now"),
    ("CREDIT_DEBIT_CARD_CVV", "cvv [123]"),
    ("CREDIT_DEBIT_CARD_EXPIRY", "valid thru, expires [09/27]"),
    ("INTERNATIONAL_BANK_ACCOUNT_NUMBER", "pay to [DE89370400440532013000]"),
    ("SWIFT_CODE", "SWIFT: [DEUTDEFF500]"),
    ("IP_ADDRESS", "the host [10.20.30.40] is down"),
    ("MAC_ADDRESS", "card [00:1A:2b:3c:4d:5e] on the switch"),
    ("AWS_ACCESS_KEY", "key [AKIAIOSFODNN7EXAMPLE]"),
    ("AWS_SECRET_KEY", "aws_secret_access_key = [wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY]"),
    ("VEHICLE_IDENTIFICATION_NUMBER", "the car [1HGCM82633A004352] was sold"),
    ("LICENSE_PLATE", "license plate [7ABC123]"),
    ("DRIVER_ID", "my driver's license is [D1234567]"),
    ("US_PASSPORT_NUMBER", "passport [C03005988]"),
    ("US_BANK_ACCOUNT_NUMBER", "account number [123456789012]"),
    ("US_BANK_ROUTING_NUMBER", "routing number [021000021]"),
    ("US_SOCIAL_SECURITY_NUMBER", "ssn [536-22-8726]"),
    ("US_INDIVIDUAL_TAX_IDENTIFICATION_NUMBER", "itin [912-70-1234]"),
    ("CA_SOCIAL_INSURANCE_NUMBER", "social insurance number [046 454 286]"),
    ("CA_HEALTH_NUMBER", "health card [1234-567-890-AB]"),
    ("UK_NATIONAL_HEALTH_SERVICE_NUMBER", "NHS [943 476 5919]"),
    ("UK_NATIONAL_INSURANCE_NUMBER", "NI number [AB 12 34 56 C]"),
    ("UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER", "UTR [19558 39661]"),
]
NOT_THERE = [
    ("NAME", "The Board met on Monday and approved the annual report."),
    ("NAME", "Run python setup.py and read the Error message."),
    ("ADDRESS", "The street was wet and the city was quiet."),
    ("AGE", "It costs 47 dollars and takes 12 minutes."),
    ("EMAIL", "meet me @ noon, at the.usual place"),
    ("PHONE", "the build of 2024-05-17 took 12:30:45 and 1234567 steps"),
    ("URL", "e.g. this, or that.And so on"),
    ("PASSWORD", "I forgot my password and cannot log in."),
    ("PIN", "the spin is 4821 per second"),
    ("CREDIT_DEBIT_CARD_NUMBER", "order 4111 1111 1111 1112 was shipped"),
    ("CREDIT_DEBIT_CARD_CVV", "room 123"),
    ("INTERNATIONAL_BANK_ACCOUNT_NUMBER", "pay to DE89370400440532013001"),
    ("SWIFT_CODE", "a SWIFTLY DEUTDEFF answer"),
    ("IP_ADDRESS", "version 1.2.3 and 300.1.2.3"),
    ("AWS_ACCESS_KEY", "AKIA is only four letters"),
    ("VEHICLE_IDENTIFICATION_NUMBER", "the car 1HGCM82633A004353 was sold"),
    ("DRIVER_ID", "the driver arrived at 1234567 with a licence"),
    ("US_PASSPORT_NUMBER", "the parcel 123456789 has arrived"),
    ("US_SOCIAL_SECURITY_NUMBER", "ssn 000-12-3456 or 666-12-3456 or 12-345-678"),
    ("CA_SOCIAL_INSURANCE_NUMBER", "social insurance number 046 454 287"),
    ("UK_NATIONAL_HEALTH_SERVICE_NUMBER", "NHS 943 476 5918"),
    ("UK_UNIQUE_TAXPAYER_REFERENCE_NUMBER", "UTR 29558 39661"),
]


@pytest.mark.parametrize(("kind", "marked"), THERE, ids=[f"{k}: {t[:30]}" for k, t in THERE])
def test_what_is_there_is_found_whole(kind, marked):
    before, _, rest = marked.partition("[")
    inside, _, after = rest.partition("]")
    text = before + inside + after
    found = find_pii(text, {kind})
    assert (len(before), len(before) + len(inside)) in [(f.start, f.end) for f in found], found


@pytest.mark.parametrize(("kind", "text"), NOT_THERE, ids=[f"{k}: {t[:30]}" for k, t in NOT_THERE])
def test_what_only_looks_like_it_is_not_found(kind, text):
    assert find_pii(text, {kind}) == []


def test_every_kind_of_aws_has_a_case():
    assert {kind for kind, _ in THERE} == KINDS


def test_kinds_are_those_of_aws():
    model = get_session().get_service_model("bedrock")
    assert sorted(KINDS) == sorted(model.shape_for("GuardrailPiiEntityType").enum)


def test_only_what_is_asked_for_is_told_but_all_is_weighed():
    text = "card 4111 1111 1111 1111, mail a@example.org"
    assert [found.kind for found in find_pii(text, {"EMAIL"})] == ["EMAIL"]
    assert find_pii(text, {"PHONE"}) == [], "a card's number is no telephone's"


def test_who_was_named_once_is_meant_again():
    found = find_pii("I met Ingrid Solheim. Later Solheim left.", {"NAME"})
    assert [(f.start, f.end) for f in found] == [(6, 20), (28, 35)]


def test_findings_do_not_overlap_and_stand_in_the_order_of_the_text():
    found = find_pii("\n".join(text.replace("[", "").replace("]", "") for _, text in THERE))
    assert all(a.end <= b.start for a, b in pairwise(found))
    assert len(found) >= len(THERE)


def test_of_two_that_overlap_the_surer_stays():
    sure, unsure = Finding(3, 8, "PHONE", 0.9), Finding(0, 5, "PIN", 0.5)
    assert settled([unsure, sure, Finding(5, 9, "AGE", 0.9)]) == [sure]


def test_of_what_is_in_words_the_rest_stays_beside_what_is_surer():
    """An address that runs into a telephone number is still one."""
    phone, address = Finding(10, 15, "PHONE", 0.9), Finding(2, 30, "ADDRESS", 0.5)
    age, before, after = (
        Finding(20, 22, "AGE", 0.8),
        Finding(2, 10, "ADDRESS", 0.5),
        Finding(22, 30, "ADDRESS", 0.5),
    )
    between = Finding(15, 20, "ADDRESS", 0.5)
    assert settled([address, phone, age]) == [before, phone, between, age, after]
    assert settled([Finding(8, 17, "NAME", 0.5), phone]) == [phone], "two letters are no name"
    assert settled([Finding(11, 14, "NAME", 0.5), phone]) == [phone]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("Our founders are Ingrid, Marek and Solveig.", ["Ingrid", "Marek", "Solveig"]),
        ("We flew to Norway and Portugal.", []),
        ("He works for Ingrid Solheim Ltd in town.", []),
        ("Patients with mutated BRAF were treated, said McKenna.", ["McKenna"]),
    ],
)
def test_names_in_lists_countries_and_companies(text, names):
    assert [text[f.start : f.end] for f in find_pii(text, {"NAME"})] == names


@pytest.mark.parametrize(
    ("check", "right", "wrong"),
    [
        (checks.luhn, "4111111111111111", "4111111111111112"),
        (checks.vin, "1HGCM82633A004352", "1HGCM82633A004362"),
        (checks.utr, "1955839661", "2955839661"),
        (checks.card, "378282246310005", "178282246310005"),
    ],
)
def test_check_digits(check, right, wrong):
    assert check(right)
    assert not check(wrong)


def test_settling_is_as_if_each_was_held_against_all():
    draw = random.Random(1)
    many = [
        Finding(start, start + draw.randint(1, 9), "PHONE", draw.choice([0.5, 0.7, 0.9]))
        for start in draw.choices(range(60), k=40)
    ]
    kept: list[Finding] = []
    for found in sorted(many, key=lambda f: (-f.confidence, f.start - f.end, f.start, f.kind)):
        if all(found.start >= other.end or found.end <= other.start for other in kept):
            kept.append(found)
    assert settled(many) == sorted(kept)


def test_of_what_is_in_words_every_letter_is_in_one_finding():
    """Letter by letter: whatever was found is hidden, but for parts of less than three letters."""
    draw = random.Random(2)
    for _ in range(50):
        many = [
            Finding(start, start + draw.randint(3, 12), draw.choice(["NAME", "ADDRESS"]), sure)
            for start in draw.choices(range(60), k=12)
            for sure in [draw.choice([0.5, 0.7, 0.9])]
        ]
        found = settled(many)
        assert all(a.end <= b.start for a, b in pairwise(found))
        hidden = {at for one in found for at in range(one.start, one.end)}
        bare = {at for one in many for at in range(one.start, one.end)} - hidden
        assert not any({at, at + 1, at + 2} <= bare for at in bare)


def test_weights_that_are_not_those_of_the_manifest_are_refused():
    with pytest.raises(weights.WeightsRefused):
        weights.admitted(b"\x93NUMPY", "0" * 64)


def test_no_word_of_the_texts_is_kept_in_the_weights():
    """Arrays of numbers, and a manifest of digests and scales."""
    told = weights.manifest()
    assert {weights.array(name).dtype.kind for name in told["arrays"]} <= {"u", "i", "f"}
    assert len(json.dumps(told)) < 4000
