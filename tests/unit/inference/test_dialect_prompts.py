"""Llama, Mistral's text and Titan: the turns in a prompt, and the answers in their own words."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.inference.dialects import llama, mistral_text, templates, titan_text
from bastide.inference.dialects.dialect import About
from bastide.kernel.errors import ServiceError

ABOUT = About(operation="bedrock-runtime.InvokeModel", named="x", request_id="r", at_s=0)
USAGE = {"inputTokens": 5, "outputTokens": 3, "totalTokens": 8}
TURNS = ("what?", "that.", "and?")
LLAMA3 = (
    "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nbrief<|eot_id|>"
    "<|start_header_id|>user<|end_header_id|>\n\nwhat?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\nthat.<|eot_id|>\n"
    "<|start_header_id|>user<|end_header_id|>\n\nand?<|eot_id|>"
    "<|start_header_id|>assistant<|end_header_id|>\n\n"
)
LLAMA2 = "<s>[INST] <<SYS>>\nbrief\n<</SYS>>\n\nwhat? [/INST] that. </s><s>[INST] and? [/INST]"
MISTRAL = "<s>[INST] what? [/INST] that.</s>[INST] and? [/INST]"
TITAN = "User: what?\nBot: that.\nUser: and?\nBot:"


def messages(*texts):
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": [{"text": text}]} for n, text in enumerate(texts)]


@pytest.mark.parametrize(
    ("reader", "prompt", "system"),
    [
        (templates.of_llama, LLAMA3, True),
        (templates.of_llama,
         LLAMA3.replace("start_header_id", "header_start").replace("end_header_id", "header_end")
         .replace("eot_id", "eot"), True),
        (templates.of_llama, LLAMA2, True),
        (templates.of_instructions, MISTRAL, False),
        (templates.of_titan, TITAN, False),
    ],
)  # fmt: skip
def test_the_turns_of_a_template(reader, prompt, system):
    found = reader(prompt)
    assert found["messages"] == messages(*TURNS)
    assert found.get("system") == ([{"text": "brief"}] if system else None)


@pytest.mark.parametrize(
    "reader", [templates.of_llama, templates.of_instructions, templates.of_titan]
)
@pytest.mark.parametrize(
    "prompt", [" a plain question\n", "User: unanswered", "see [/INST]", "<s>"]
)
def test_a_text_without_a_template_is_one_turn(reader, prompt):
    assert reader(prompt) == {"messages": messages(prompt)}


@pytest.mark.parametrize(
    "prompt",
    [
        "before <|start_header_id|>user<|end_header_id|>x",
        "<|start_header_id|>robot<|end_header_id|>x",
        "<|start_header_id|>user",
        "<|start_header_id|>user<|end_header_id|>x<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>put in its mouth",
        "<|start_header_id|>assistant<|end_header_id|>",
        "<s>[INST] never closed",
        "<s>[INST] a [/INST] put in its mouth",
    ],
)
def test_a_template_that_is_broken_is_refused(prompt):
    with pytest.raises(ServiceError, match="not in the model's template"):
        templates.of_llama(prompt)


TEXT = st.text(st.characters(exclude_characters="<[", codec="utf-8"), min_size=1).map(str.strip)


@given(st.lists(TEXT.filter(bool), min_size=1, max_size=5).filter(lambda texts: len(texts) % 2))
def test_what_is_written_in_the_template_is_read_out_of_it(texts):
    roles = ("user", "assistant")
    prompt = "<|begin_of_text|>" + "".join(
        f"<|start_header_id|>{roles[n % 2]}<|end_header_id|>\n\n{text}<|eot_id|>"
        for n, text in enumerate((*texts, ""))
    )
    found = templates.of_llama(prompt.removesuffix("<|eot_id|>"))
    assert found == {"messages": messages(*texts)}
    pairs = [*texts, ""]
    prompt = "".join(
        f"<s>[INST] {asked} [/INST] {answer}</s>"
        for asked, answer in zip(pairs[::2], pairs[1::2], strict=True)
    )
    assert templates.of_instructions(prompt) == {"messages": messages(*texts)}


def test_a_prompt_of_the_largest_size_takes_no_longer_than_it_is_long():
    for mark in ("[INST]", "<|start_header_id|>", "\nUser:"):
        prompt = mark * (4_000_000 // len(mark))
        for reader in (templates.of_llama, templates.of_titan):
            with contextlib.suppress(ServiceError):
                reader(prompt)


def test_what_each_asks_of_converse():
    defaults = {"maxTokens": 512, "temperature": 0.5, "topP": 0.9}
    asked = llama.read({"prompt": "hi"}, ABOUT).request
    assert asked == {"messages": messages("hi"), "inferenceConfig": defaults}
    body = {"prompt": "hi", "max_tokens": 4, "stop": ["X"], "temperature": 0.2, "top_p": 1,
            "top_k": 7}  # fmt: skip
    assert mistral_text.read(body, ABOUT).request == {
        "messages": messages("hi"),
        "inferenceConfig": {
            "maxTokens": 4, "temperature": 0.2, "topP": 1, "stopSequences": ["X"],
        },
        "additionalModelRequestFields": {"top_k": 7},
    }  # fmt: skip
    config = {"maxTokenCount": 4, "stopSequences": ["User:"], "temperature": 0}
    assert titan_text.read({"inputText": "hi", "textGenerationConfig": config}, ABOUT).request == {
        "messages": messages("hi"),
        "inferenceConfig": {
            "maxTokens": 4, "temperature": 0, "topP": 0.9, "stopSequences": ["User:"],
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("reader", "body", "said"),
    [
        (llama.read, {}, "#: required key [prompt] not found"),
        (llama.read, {"prompt": ""}, "#/prompt: expected length >= 1, found: 0"),
        (llama.read, {"prompt": 1}, "#/prompt: expected type: String, found: Integer"),
        (llama.read, {"prompt": "x", "max_tokens": 3},
         "#: extraneous key [max_tokens] is not permitted"),
        (llama.read, {"prompt": "x", "temperature": 2},
         "#/temperature: 2 is not less or equal to 1"),
        (llama.read, {"prompt": "x", "max_gen_len": 0},
         "#/max_gen_len: 0 is not greater or equal to 1"),
        (mistral_text.read, {"prompt": "x", "stop": [""]}, "#/stop/0: expected length >= 1"),
        (mistral_text.read, {"prompt": "x", "stop": ["y"] * 11}, "#/stop: expected length <= 10"),
        (titan_text.read, {"textGenerationConfig": {}}, "#: required key [inputText] not found"),
        (titan_text.read, {"inputText": "x", "textGenerationConfig": {"topP": None}},
         "#/textGenerationConfig/topP: expected type: Number, found: Null"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_awss_words(reader, body, said):
    with pytest.raises(ServiceError) as caught:
        reader(body, ABOUT)
    assert caught.value.code == "ValidationException"
    assert caught.value.message.startswith(f"Malformed input request: {said}")
    assert caught.value.message.endswith(", please reformat your input and try again.")


def test_a_model_of_text_takes_no_images():
    with pytest.raises(ServiceError, match="doesn't support the images field"):
        llama.read({"prompt": "x", "images": ["aGk="]}, ABOUT)


def said(stop="end_turn"):
    content = [{"text": "one "}, {"text": "two"}]
    message = {"role": "assistant", "content": content}
    return {"output": {"message": message}, "stopReason": stop, "usage": USAGE}


EVENTS = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"text": "one "}}},
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"messageStop": {"stopReason": "max_tokens"}},
    {"metadata": {"usage": USAGE, "metrics": {"latencyMs": 1}}},
]


def chunks(exchange):
    return [chunk for event in EVENTS for chunk in exchange.chunks(event)]


def test_llamas_answers():
    exchange = llama.read({"prompt": "hi"}, ABOUT)
    counts = {"prompt_token_count": 5, "generation_token_count": 3}
    assert exchange.answer(said()) == {"generation": "one two", **counts, "stop_reason": "stop"}
    nothing = dict.fromkeys((*counts, "stop_reason"))
    assert chunks(exchange) == [
        {"generation": "one ", **nothing},
        {"generation": "", **counts, "stop_reason": "length"},
    ]


def test_mistrals_answers():
    exchange = mistral_text.read({"prompt": "hi"}, ABOUT)
    assert exchange.answer(said("model_context_window_exceeded")) == {
        "outputs": [{"text": "one two", "stop_reason": "length"}]
    }
    assert chunks(exchange) == [
        {"outputs": [{"text": "one ", "stop_reason": None}]},
        {"outputs": [{"text": "", "stop_reason": "length"}]},
    ]


def test_titans_answers():
    exchange = titan_text.read({"inputText": "hi"}, ABOUT)
    result = {"tokenCount": 3, "outputText": "one two", "completionReason": "STOP_CRITERIA_MET"}
    assert exchange.answer(said("stop_sequence")) == {"inputTextTokenCount": 5, "results": [result]}
    first, last = chunks(exchange)
    assert first["outputText"] == "one "
    assert first["completionReason"] is None
    assert last == {
        "outputText": "", "index": 0, "totalOutputTextTokenCount": 3,
        "completionReason": "LENGTH", "inputTextTokenCount": 5,
    }  # fmt: skip
