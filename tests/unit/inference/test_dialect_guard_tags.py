"""A guardrail in the headers, and the tags in a body that say what of it is guarded."""

import pytest

from bastide.inference.dialects.guard_tags import MEMBER, guarded
from bastide.kernel.errors import ServiceError

REQ = {"guardrailIdentifier": "g1", "guardrailVersion": "DRAFT"}
OPEN = "<amazon-bedrock-guardrails-guardContent_xyz>"
CLOSE = "</amazon-bedrock-guardrails-guardContent_xyz>"
XYZ = {"tagSuffix": "xyz"}


def asked(text):
    return {"messages": [{"role": "user", "content": [{"text": text}]}]}


def content(request):
    return request["messages"][0]["content"]


def test_without_a_guardrail_nothing_is_said_of_one():
    assert guarded({"trace": "ENABLED"}, None, asked("hi")) == asked("hi")


def test_the_headers_are_converses_guardrail():
    found = guarded({**REQ, "trace": "ENABLED_FULL"}, None, asked(f"{OPEN}a{CLOSE}"))
    assert found["guardrailConfig"] == {
        "guardrailIdentifier": "g1", "guardrailVersion": "DRAFT", "trace": "enabled_full",
    }  # fmt: skip
    assert content(found) == [{"text": f"{OPEN}a{CLOSE}"}]  # no suffix, no tags


def test_only_what_stands_in_the_tags_is_guarded():
    text = f"see {OPEN}this{CLOSE} and {OPEN}that{CLOSE}"
    request = {**asked(text), "system": [{"text": f"{OPEN}s{CLOSE}"}, {"cachePoint": {}}]}
    found = guarded(REQ, {**XYZ, "streamProcessingMode": "ASYNCHRONOUS"}, request)
    assert content(found) == [
        {"text": "see "}, {"guardContent": {"text": {"text": "this"}}}, {"text": " and "},
        {"guardContent": {"text": {"text": "that"}}},
    ]  # fmt: skip
    assert found["system"] == [{"guardContent": {"text": {"text": "s"}}}, {"cachePoint": {}}]
    assert found["guardrailConfig"]["streamProcessingMode"] == "async"
    assert content(request) == [{"text": text}]


def test_another_suffix_is_no_tag():
    text = f"{OPEN}a{CLOSE}"
    assert content(guarded(REQ, {"tagSuffix": "abc"}, asked(text))) == [{"text": text}]


@pytest.mark.parametrize(
    ("req", "config", "text"),
    [
        ({}, XYZ, "hi"),
        (REQ, {"tagSuffix": "a b"}, "hi"),
        (REQ, {"tagSuffix": 3}, "hi"),
        (REQ, {"other": 1}, "hi"),
        (REQ, {"streamProcessingMode": "LATER"}, "hi"),
        (REQ, "xyz", "hi"),
        (REQ, XYZ, OPEN + "never closed"),
        ({"guardrailIdentifier": "g"}, None, "hi"),
    ],
)
def test_what_is_half_said_is_refused(req, config, text):
    with pytest.raises(ServiceError) as caught:
        guarded(req, config, asked(text))
    assert caught.value.code == "ValidationException"
    assert MEMBER in caught.value.message or "guardrail" in caught.value.message
