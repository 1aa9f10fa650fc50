"""Blocks of a conversation as text, their checks in AWS's words, documents and JSON pointers."""

import asyncio

import pytest
from tests.inference_kit import call, turn

from bastide.inference.documents import Documents, NoReader
from bastide.inference.pointers import check_pointers, pointed_at
from bastide.inference.prompts import prompt_of
from bastide.kernel.errors import ServiceError

OP = "bedrock-runtime.Converse"
TOOL = {"toolSpec": {"name": "add", "inputSchema": {"json": {"type": "object"}}}}
CONFIG = {"toolConfig": {"tools": [TOOL]}}
POINT = {"cachePoint": {"type": "default"}}


def use(*ids):
    blocks = [{"toolUse": {"toolUseId": one, "name": "add", "input": {"a": 1}}} for one in ids]
    return {"role": "assistant", "content": blocks}


def result(*ids, **more):
    content = more.pop("content", [{"json": {"sum": 2}}])
    blocks = [{"toolResult": {"toolUseId": one, "content": content, **more}} for one in ids]
    return {"role": "user", "content": blocks}


def prompt(*turns, **more):
    return prompt_of(OP, {"messages": list(turns), **more}, 8192)


def test_calls_and_results_as_the_model_reads_them():
    told = [{"json": {"sum": 2}}, {"text": "two"}]
    found = prompt(turn(), use("x"), result("x", content=told), **CONFIG).messages
    assert (
        found[2]["content"] == '<tool_call>\n{"name": "add", "arguments": {"a": 1}}\n</tool_call>'
    )
    assert found[3]["content"] == '<tool_response>\n{"sum": 2}\ntwo\n</tool_response>'
    failed = prompt(turn(), use("x"), result("x", status="error"), **CONFIG).messages
    assert failed[3]["content"] == '<tool_response>\nerror:\n{"sum": 2}\n</tool_response>'


@pytest.mark.parametrize(
    ("turns", "config", "why"),
    [
        ([turn(), use("x"), result("x")], {}, "The toolConfig field must be defined when using"),
        ([result("x")], CONFIG, "toolResult blocks at messages.0.content exceeds the number"),
        (
            [turn(), use("x"), result("x", "y")],
            CONFIG,
            "toolResult blocks at messages.2.content exceeds the number of toolUse blocks of prev",
        ),
        (
            [turn(), use("x", "y"), result("x")],
            CONFIG,
            "Expected toolResult blocks at messages.2.content for the following Ids: y",
        ),
        ([turn(), use("x"), result("z")], CONFIG, "for the following Ids: x"),
        ([turn(), use("x"), turn()], CONFIG, "for the following Ids: x"),
        ([turn(), use("x", "x"), result("x")], CONFIG, "contain duplicate Ids: x"),
        ([turn(), use("x"), result("x", "x")], CONFIG, "contain duplicate Ids: x"),
        ([{**use("x"), "role": "user"}], CONFIG, "Only an assistant message can"),
        (
            [turn(), use("x"), result("x", content=[], status="error")],
            CONFIG,
            "messages.2.content.0.toolResult cannot be empty when status value is error",
        ),
        ([turn("x", "system")], {}, "must start with a user message"),
        ([{"role": "user", "content": [POINT]}], {}, "is empty"),
    ],
)
def test_conversations_that_are_none(turns, config, why):
    with pytest.raises(ServiceError, match=why) as caught:
        prompt(*turns, **config)
    assert caught.value.code == "ValidationException"


def test_what_else_is_text():
    guarded = {"role": "user", "content": [{"guardContent": {"text": {"text": "secret"}}}]}
    assert prompt(guarded).messages == [{"role": "user", "content": "secret"}]
    found = prompt(turn("a"), turn("be brief", "system"), turn("b", "assistant"), turn("c"))
    assert [one["role"] for one in found.messages] == ["user", "system", "assistant", "user"]


def test_what_is_remembered_up_to_the_last_cache_point():
    blocks = [{"text": "long"}, POINT, {"text": "short"}]
    first = {"role": "user", "content": blocks}
    system = [{"text": "rules"}, POINT]
    assert cached(turn()) == []
    rules = [{"role": "system", "content": "rules"}]
    assert cached(turn(), system=system) == [rules]
    long = [*rules, {"role": "user", "content": "long"}]
    assert cached(first, system=system) == [rules, long]
    again = {"role": "user", "content": [POINT, *blocks[2:]]}
    earlier, later = cached(first, turn("a", "assistant"), again)
    assert earlier == long[1:]
    assert [one["content"] for one in later] == ["long\nshort", "a"]
    assert cached({"role": "user", "content": [{"text": "a"}, POINT] * 9})[0] == [
        {"role": "user", "content": "\n".join("a" * 6)}
    ]
    in_tools = prompt(turn(), toolConfig={"tools": [TOOL, POINT]})
    assert in_tools.points[0].messages == in_tools.messages[:1]


def cached(*turns, **config):
    return [point.messages for point in prompt(*turns, **config).points]


def document(name="report", kind="txt", data=b"It rains.", **more):
    source = more.pop("source", {"bytes": data})
    return {"document": {"name": name, "format": kind, "source": source, **more}}


def opened(*blocks, role="user", reader=None):
    req = {"messages": [{"role": role, "content": list(blocks)}]}
    return asyncio.run(Documents(reader or NoReader()).opened(call(OP), req))["messages"][0][
        "content"
    ]


@pytest.mark.parametrize(
    ("block", "text"),
    [
        (document(), "It rains."),
        (document(kind="md", data=b"\xef\xbb\xbf# Rain"), "# Rain"),
        (document(kind="csv", data=b"a,b\n1,2\n"), "a,b\n1,2\n"),
        (document(source={"text": "plain"}), "plain"),
        (document(source={"content": [{"text": "a"}, {"text": "b"}]}), "a\nb"),
        (document(context="Of May."), "Of May.\nIt rains."),
    ],
)
def test_documents_as_text(block, text):
    ask, shown = opened({"text": "Read."}, block)
    assert ask == {"text": "Read."}
    assert shown == {"text": f'<document name="report">\n{text}\n</document>'}


def test_a_document_is_read_without_citations_or_not_at_all():
    with_citations = document(citations={"enabled": False})
    (_, shown) = opened({"text": "Read."}, with_citations)
    assert "It rains." in shown["text"]
    with_citations["document"]["citations"]["enabled"] = True
    with pytest.raises(ServiceError, match=r"citations\.enabled=true") as caught:
        opened({"text": "Read."}, with_citations)
    assert caught.value.code == "UnsupportedOperation"


def test_a_document_in_a_result():
    told = {"toolResult": {"toolUseId": "x", "content": [document(), {"text": "t"}]}}
    (found,) = opened(told)
    assert found["toolResult"]["content"][0]["text"].startswith("<document")
    assert found["toolResult"]["content"][1] == {"text": "t"}


def test_other_formats_go_to_who_has_walls():
    class Reader:
        async def text(self, call, kind, data):
            return f"{kind} of {len(data)} bytes"

    found = opened({"text": "Read."}, document(kind="pdf"), reader=Reader())
    assert "pdf of 9 bytes" in found[1]["text"]
    with pytest.raises(ServiceError, match="format=docx") as caught:
        opened({"text": "Read."}, document(kind="docx"))
    assert caught.value.code == "UnsupportedOperation"


ASK = {"text": "Read."}


@pytest.mark.parametrize(
    ("blocks", "role", "why"),
    [
        ([document()], "user", "must also have a text block"),
        ([ASK, document()], "assistant", "only be in a user message"),
        ([ASK, document(name="a.b")], "user", "file name can only contain"),
        ([ASK, document(name="a  b")], "user", "file name can only contain"),
        ([ASK, document(), document()], "user", "more than one document of the name report"),
        ([ASK, *(document(name=f"d{n}") for n in range(6))], "user", "5 are the most"),
        ([ASK, document(data=b"\xff\xfe")], "user", "not text in UTF-8"),
        ([ASK, document(data=b"x" * 4_500_001)], "user", "more than 4500000 bytes"),
    ],
)
def test_documents_that_are_refused(blocks, role, why):
    with pytest.raises(ServiceError, match=why) as caught:
        opened(*blocks, role=role)
    assert caught.value.code == "ValidationException"


def test_json_pointers():
    fields = {"stop_sequence": None, "a/b": {"~": {"x": 1}}}
    assert pointed_at(fields, ["/stop_sequence", "/none", "/a~1b/~0/x", "/stop_sequence/x"]) == {
        "stop_sequence": None,
        "a/b": {"~": {"x": 1}},
    }
    check_pointers(["/a", "/", "/a~1b/~0"])
    for wrong in ("a", "/a~2", "/a~"):
        with pytest.raises(ServiceError, match="is not a valid JSON Pointer"):
            check_pointers([wrong])
