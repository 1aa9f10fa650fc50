"""What the filters let through, and what they do not."""

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.transfer_kit import SCHEME, Held
from tests.unsafe_models import GOOD, ONE, UNSAFE, gguf, held, kv, safetensors, tensor, text

from bastide.transfer.filters import formats, words
from bastide.transfer.filters.model import BadItem
from bastide.transfer.filters.scan import EICAR, scan


def through(source: Held, listed=()) -> bytes:
    """What every filter but the label's does, in one process; answers what would be emitted."""
    item, _ = source.open()
    data = memoryview(source.data)
    found = formats.checked(item, data)
    meaning = found.a(data)
    if found.b(data) != meaning:
        raise BadItem("two parsers understood it differently")
    out = bytearray()
    found.rebuild(data, out.extend)
    again = memoryview(bytes(out))
    assert found.a(again) == found.b(again) == meaning
    scan(item, again)
    words.made(SCHEME, listed).check(item, again)
    return bytes(out)


@pytest.mark.parametrize("name", UNSAFE)
def test_an_unsafe_model_does_not_pass(name):
    with pytest.raises(BadItem):
        through(held(UNSAFE[name]))


def test_there_are_more_than_thirty_of_them():
    assert len({data for _, data in UNSAFE.values()}) >= 31


@pytest.mark.parametrize("name", GOOD)
def test_a_good_one_passes_and_passes_again_unchanged(name):
    once = through(held(GOOD[name]))
    assert through(Held(GOOD[name][0], once)) == once


# The gaps of our first parser (security.md, 4): each passed it.
@pytest.mark.parametrize("name", [
    "a_negative_shape", "a_shape_that_is_a_truth", "a_shape_that_is_a_fraction",
    "metadata_that_are_no_texts", "metadata_that_are_a_list", "a_key_that_nobody_knows",
])  # fmt: skip
def test_our_own_parser_alone_refuses_it(name):
    with pytest.raises(BadItem):
        formats.FORMATS[".safetensors"].a(memoryview(UNSAFE[name][1]))


@pytest.mark.parametrize("ending", [".safetensors", ".gguf"])
@given(at=st.integers(0, 300), value=st.integers(0, 255), cut=st.integers(0, 300))
def test_whatever_becomes_of_a_file_is_told_by_bad_item_alone(ending, at, value, cut):
    good = bytearray(GOOD[ending[1:]][1])
    good[at % len(good)] = value
    for data in (bytes(good), bytes(good[:cut])):
        for parse in (formats.FORMATS[ending].a, formats.FORMATS[ending].b):
            try:
                parse(memoryview(data))
            except BadItem:
                continue


def test_the_numbers_of_a_gguf_are_written_as_they_were():
    pairs = [
        b"\1\0\0\0\0\0\0\0k" + struct.pack("<I", 9) + struct.pack("<IQ3f", 6, 3, 0.1, -0.0, 1e30)
    ]
    data = gguf(pairs, [tensor("a", (2, 2)), tensor("b", (32,), 8, 32)], b"\0" * 66)
    assert through(Held("m.gguf", data)) == data


LIST = kv("l", 9, struct.pack("<IQ", 8, 2) + text("a") + text("b"))
OTHERS = {
    "a_value": gguf([kv("k", 4, b"\2\0\0\0"), LIST]),
    "a_type_of_the_same_bytes": gguf([kv("k", 5, b"\1\0\0\0"), LIST]),
    "a_text_in_a_list": gguf([kv("k", 4, b"\1\0\0\0"), LIST[:-1] + b"c"]),
    "the_order": gguf([LIST, kv("k", 4, b"\1\0\0\0")]),
    "a_tensors_name": gguf([kv("k", 4, b"\1\0\0\0"), LIST], [tensor("v")]),
    "a_shape_of_as_many": gguf([kv("k", 4, b"\1\0\0\0"), LIST], [tensor(dims=(4, 2))]),
    "a_weight": gguf([kv("k", 4, b"\1\0\0\0"), LIST], data=b"\1" + b"\0" * 31),
}


@pytest.mark.parametrize("name", OTHERS)
def test_both_readers_of_gguf_tell_every_difference(name):
    one, found = gguf([kv("k", 4, b"\1\0\0\0"), LIST]), formats.FORMATS[".gguf"]
    understood = [
        read(memoryview(data)) for data in (one, OTHERS[name]) for read in (found.a, found.b)
    ]
    assert understood[0] == understood[1]
    assert understood[2] == understood[3] != understood[0]


def test_the_second_reader_of_gguf_is_llama_cpps():
    """It takes what ours does not: a text with a zero byte, as ended there."""
    zero = memoryview(gguf([kv("k", 8, text("a\0b"))]))
    with pytest.raises(BadItem, match="zero byte"):
        formats.FORMATS[".gguf"].a(zero)
    ended = memoryview(gguf([kv("k", 8, text("a"))]))
    assert formats.FORMATS[".gguf"].b(zero) == formats.FORMATS[".gguf"].a(ended)


def test_ones_at_the_end_of_a_shape_say_nothing_and_go():
    long, short = gguf(tensors=[tensor(dims=(8, 1, 1))]), gguf(tensors=[tensor(dims=(8,))])
    assert through(Held("m.gguf", long)) == short


@pytest.mark.parametrize("weights", [b"\0" * 8, b"\0" * 7 + b"\1"])
def test_both_readers_of_safetensors_tell_other_weights(weights):
    found, zeros = formats.FORMATS[".safetensors"], memoryview(safetensors(ONE))
    other = memoryview(safetensors(ONE, weights))
    assert found.a(other) == found.b(other)
    assert (found.a(other) == found.a(zeros)) == (weights == b"\0" * 8)


def test_re_encoding_leaves_nothing_of_what_was_not_understood():
    padded = safetensors(json.dumps(ONE, indent=8).encode() + b" " * 70)
    assert len(through(Held("m.safetensors", padded))) < len(padded)


@pytest.mark.parametrize("text", [
    'a,"b\n', 'a,b"c"\n', '"a"b,c\n', '"a" ,b\n',
])  # fmt: skip
def test_a_table_that_can_be_read_in_two_ways_is_refused(text):
    with pytest.raises(BadItem):
        through(Held("t.csv", text.encode()))


ROWS = st.lists(
    st.lists(
        st.text(
            st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"])
            | st.sampled_from("\r\n\t,")
        ),
        min_size=1,
    ),
    max_size=8,
)


@given(ROWS)
def test_both_readers_of_tables_agree_on_what_is_well_written(rows):
    text = "".join(",".join('"' + c.replace('"', '""') + '"' for c in row) + "\n" for row in rows)
    table = formats.FORMATS[".csv"]
    understood = table.a(memoryview(text.encode()))
    assert understood == table.b(memoryview(text.encode()))
    once, twice = bytearray(), bytearray()
    table.rebuild(memoryview(text.encode()), once.extend)
    table.rebuild(memoryview(bytes(once)), twice.extend)
    assert once == twice
    assert table.a(memoryview(bytes(once))) == table.b(memoryview(bytes(once))) == understood


def test_both_readers_of_json_tell_another_order():
    found = formats.FORMATS[".json"]
    one, other = (memoryview(text) for text in (b'{"a":1,"b":2}', b'{"b":2,"a":1}'))
    assert found.a(one) == found.b(one) != found.a(other) == found.b(other)


@pytest.mark.parametrize("text", [
    '{"a":NaN}', '{"a":1e999}', '{"a":1}{"b":2}', "[" * 5000 + "]" * 5000, '"\\ud800"', "{'a':1}",
    "[1,]", '{"a":1,"a":1}', "\ufeff{}", "[" * 70 + "]" * 70,
], ids=range(10))  # fmt: skip
def test_json_that_is_no_plain_json_is_refused(text):
    with pytest.raises(BadItem):
        through(Held("c.json", text.encode()))


@pytest.mark.parametrize(
    "data", [b"\xff", b"a\0b", b"\x1b[2J", b"\xed\xa0\x80", b"\xc0\xaf", b"\x7f"]
)
def test_text_that_is_no_plain_text_is_refused(data):
    with pytest.raises(BadItem):
        through(Held("a.txt", data))


def test_the_test_pattern_of_anti_virus_programs_is_found():
    with pytest.raises(BadItem, match="anti-virus"):
        through(Held("a.txt", EICAR.encode()))


@pytest.mark.parametrize("text", ["cat\ndog\n", "(it is\nso\n", "]\n", "(a) first\n(b) second\n"])
def test_a_text_that_only_begins_as_old_pickles_do_passes(text):
    assert through(Held("a.txt", text.encode())) == text.encode()


SAID = "FALCON NEST"
DISGUISES = {
    "plain": SAID,
    "lower": SAID.lower(),
    "fullwidth": "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in SAID),
    "zero_width": "\u200b".join(SAID),
    "homoglyph": SAID.replace("O", "\u041e").replace("E", "\u0415"),
    "spaced": " ".join(SAID),
    "double_space": SAID.replace(" ", "  "),
    "newline": SAID.replace(" ", "\n"),
    "accents": "FA\u0301LCON NEST",
    "base64": "RkFMQ09OIE5FU1QgaXMgdGhlcmU=",
    "hex": SAID.encode().hex(),
    "base64_of_utf16": "RgBBAEwAQwBPAE4AIABOAEUAUwBUAA==",
}


@pytest.mark.parametrize("name", DISGUISES)
def test_a_dirty_word_is_found_in_disguise(name):
    with pytest.raises(BadItem, match="region's list"):
        through(Held("a.txt", f"so: {DISGUISES[name]} .\n".encode()), ["Falcon Nest"])


def test_a_dirty_word_is_found_in_names_tags_and_the_metadata_of_weights():
    for source in (
        Held("falcon nest.txt", b"x"),
        Held("a.txt", b"x", tags={"project": "Falcon  Nest"}),
        Held("m.safetensors", safetensors({**ONE, "__metadata__": {"by": SAID}})),
    ):
        with pytest.raises(BadItem, match="region's list"):
            through(source, ["Falcon Nest"])


@pytest.mark.parametrize(("label", "text"), [
    ("U", "TOP SECRET//SI//NOFORN"), ("U", "(S//NF) the text"), ("C", "see S//REL TO USA GBR here"),
    ("S", "it says TS//SI at the top"), ("U", "s//nf"),
])  # fmt: skip
def test_a_marking_above_the_label_is_found(label, text):
    with pytest.raises(BadItem, match="marking above"):
        through(Held("a.txt", text.encode(), label=label))


@pytest.mark.parametrize(("label", "text"), [
    ("S", "(S//NF) the text"), ("TS//SI", "TS//SI"), ("U", "http://a/b and c//d"), ("U", "A//B C"),
])  # fmt: skip
def test_a_marking_that_the_label_covers_passes(label, text):
    assert through(Held("a.txt", text.encode(), label=label))


@pytest.mark.parametrize("text", [
    "ssn 123-45-6789.", "card 4111 1111 1111 1111", "card 4111-1111-1111-1111",
    "AKIAIOSFODNN7EXAMPLE", "-----BEGIN RSA PRIVATE KEY-----",
])  # fmt: skip
def test_what_identifies_people_or_opens_doors_is_found(text):
    with pytest.raises(BadItem):
        through(Held("a.txt", text.encode()))


@pytest.mark.parametrize("text", ["000-12-3456", "900-12-3456", "4111 1111 1111 1112", "12-34"])
def test_numbers_that_identify_nobody_pass(text):
    assert through(Held("a.txt", text.encode()))


def test_an_item_says_nothing_of_its_content_when_it_is_refused():
    with pytest.raises(BadItem) as refused:
        through(Held("a.txt", b"the FALCON NEST is at 123-45-6789"), ["Falcon Nest"])
    assert "alcon" not in str(refused.value)


def test_weights_of_the_shelf_are_gguf():
    with pytest.raises(BadItem, match="GGUF"):
        through(Held("m.safetensors", safetensors(ONE), kind="model"))


@pytest.mark.parametrize("name", ["safetensors", "gguf"])
@pytest.mark.parametrize("said", [{}, {"licence": "MIT"}, {"source": "r/arn:a"}, {"licence": ""}])
def test_weights_say_their_licence_and_source_whatever_they_are_carried_as(name, said):
    key, data = GOOD[name]
    with pytest.raises(BadItem, match="no licence or source"):
        through(Held(key, data, provenance=said))
    assert through(Held(key, data, provenance={"licence": "MIT", "source": "r/arn:a"}))
