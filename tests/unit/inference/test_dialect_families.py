"""Whose body a call has, and JSON that is refused whosever it is."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.inference.dialects import families
from bastide.inference.dialects.dialect import About
from bastide.inference.dialects.json_body import DEPTH_MAX, parsed
from bastide.kernel.errors import ServiceError

TURN = {"role": "user", "content": [{"text": "hi"}]}
BODIES = {
    "nova": {"messages": [TURN], "schemaVersion": "messages-v1"},
    "anthropic_messages": {
        "anthropic_version": "bedrock-2023-05-31", "max_tokens": 3,
        "messages": [{"role": "user", "content": "hi"}],
    },
    "llama": {"prompt": "hi"},
    "mistral_text": {"prompt": "hi"},
    "titan_text": {"inputText": "hi"},
    "chat_bodies": {"messages": [{"role": "user", "content": "hi"}]},
}  # fmt: skip
NAMED = {
    "amazon.nova-lite-v1:0": "nova",
    "amazon.nova-2-lite-v1:0": "nova",
    "amazon.titan-text-express-v1": "titan_text",
    "amazon.titan-tg1-large": "titan_text",
    "anthropic.claude-3-5-sonnet-20240620-v1:0": "anthropic_messages",
    "anthropic.claude-sonnet-4-6": "anthropic_messages",
    "meta.llama3-8b-instruct-v1:0": "llama",
    "mistral.mistral-7b-instruct-v0:2": "mistral_text",
    "mistral.mistral-large-2407-v1:0": "chat_bodies",
    "openai.gpt-oss-20b-1:0": "chat_bodies",
    "qwen.qwen3-32b-v1:0": "chat_bodies",
}


def about(named):
    return About(operation="bedrock-runtime.InvokeModel", named=named, request_id="r", at_s=0)


def family_of(named, body):
    return type(families.read(body, about(named))).__module__.rpartition(".")[2]


@pytest.mark.parametrize("named", NAMED)
def test_the_id_that_was_named_decides(named):
    family = NAMED[named]
    assert family_of(named, BODIES[family]) == family


@pytest.mark.parametrize("named", NAMED)
@pytest.mark.parametrize("other", BODIES)
def test_another_familys_body_is_refused(named, other):
    alike = ({"mistral_text", "llama"}, {"mistral_text", "chat_bodies"}, {"llama", "chat_bodies"})
    is_prompt = named.startswith(("mistral.", "meta.")) and {NAMED[named], other} in alike
    if NAMED[named] == other or is_prompt:
        return  # Mistral's have two bodies, and that of text has Llama's prompt
    with pytest.raises(ServiceError) as caught:
        families.read(BODIES[other], about(named))
    assert caught.value.code == "ValidationException"


@pytest.mark.parametrize(
    "family", ["nova", "anthropic_messages", "llama", "titan_text", "chat_bodies"]
)
def test_a_model_of_our_own_takes_what_the_body_looks_like(family):
    assert family_of("bastide.tiny-v1:0", BODIES[family]) == family


@pytest.mark.parametrize("document", [[], "text", 3, None])
def test_a_body_is_an_object(document):
    with pytest.raises(ServiceError, match="Malformed input request: #: expected type: JSONObject"):
        families.read(document, about("amazon.nova-lite-v1:0"))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"\xff\xfe", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1e999}', b'{"a":1,"a":2}',
        b'{"a":{"b":1,"b":2}}', b'{"a":"\\ud800"}', b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":9223372036854775808}', b'{"a":1}x', b"\x00", b'{"a":' * 50_000,
        b"[" * (DEPTH_MAX + 1) + b"]" * (DEPTH_MAX + 1), "{\u2028}".encode(), b'{"a":01}',
    ],
)  # fmt: skip
def test_what_is_not_strict_json_is_malformed(body):
    with pytest.raises(ServiceError) as caught:
        parsed(body)
    assert caught.value.code == "ValidationException"
    assert caught.value.message == (
        "Malformed input request, please reformat your input and try again."
    )


@pytest.mark.parametrize("name", ["\n", "a` - at `$.b`", "x" * 1_000_000, "`", ""])
def test_the_name_of_a_member_is_said_and_no_more(name):
    with pytest.raises(ServiceError, match="extraneous key") as caught:
        families.read({**BODIES["nova"], name: 1}, about("amazon.nova-lite-v1:0"))
    assert len(caught.value.message) < 300


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63) + 1, 2**63 - 1) | st.text()
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)  # fmt: skip


@given(VALUES)
def test_all_other_json_is_read_as_it_is(value):
    assert parsed(json.dumps(value).encode()) == value


@given(st.sampled_from(sorted(NAMED)), VALUES)
def test_no_document_is_anything_but_read_or_refused(named, value):
    """Whatever is in it: no call of a caller's is our bug."""
    for body in (value, {"messages": value, "prompt": value, "inputText": value},
                 {**BODIES[NAMED[named]], "messages": [value], "system": value},
                 {**BODIES["anthropic_messages"], "messages": [{"role": "user", "content": value}],
                  "tools": value}):  # fmt: skip
        with contextlib.suppress(ServiceError):
            families.read(body, about(named))
