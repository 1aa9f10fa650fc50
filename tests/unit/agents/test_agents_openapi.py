"""Whatever an OpenAPI document holds in place of what it should: functions, or a reason why not."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.agents import plain_yaml
from bastide.agents.openapi import BadSchema, operations

LEAVES = st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(["", "x", "object"]))
KEYS = st.sampled_from([
    "parameters", "content", "application/json", "schema", "properties", "required", "name", "in",
    "description", "type", "items", "$ref", "operationId",
])  # fmt: skip
ANYTHING = st.recursive(
    LEAVES, lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4)
)


def read(parameters, body):
    content = {"content": {"application/json": {"schema": body}}}
    get = {"description": "Gets it.", "parameters": parameters, "requestBody": content}
    document = {"openapi": "3.0.0", "paths": {"/x": {"get": get}}}
    return list(operations(json.dumps(document)))


@given(ANYTHING, ANYTHING)
def test_anything_is_functions_or_a_reason(parameters, body):
    with suppress(BadSchema):
        read(parameters, body)


@pytest.mark.parametrize(
    ("parameters", "body"),
    [(["x"], {}), ("x", {}), ([], []), ([], {"properties": ["x"]}), ([], {"required": True})],
)
def test_what_is_of_another_kind_is_a_reason(parameters, body):
    with pytest.raises(BadSchema, match="GET /x: a part of it is no"):
        read(parameters, body)


YAML = """
openapi: 3.0.0
info: {title: Orders, version: 1.0}
paths:
  /orders/{id}:
    get:
      description: |
        Tells of an order: its status.
      operationId: getOrder
      parameters:
        - {name: id, in: path, required: true, schema: {type: string, enum: ["1", 2, no]}}
      responses:
        200: {description: "Yes"}
"""


def test_a_document_in_yaml_says_what_it_says_in_json():
    (one,) = operations(YAML)
    assert (one.name, one.verb, one.places) == ("getOrder", "GET", {"id": "path"})
    assert one.description == "Tells of an order: its status.\n"
    assert one.schema["properties"]["id"]["enum"] == ["1", 2, "no"]
    assert plain_yaml.read(YAML)["paths"]["/orders/{id}"]["get"]["responses"] == {
        "200": {"description": "Yes"}
    }


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="ascii"), max_size=8)
    | st.floats(allow_nan=False, allow_infinity=False),
    lambda below: st.lists(below, max_size=3) | st.dictionaries(KEYS, below, max_size=4),
)  # fmt: skip


@given(VALUES)
def test_json_is_yaml(value):
    assert plain_yaml.read(json.dumps(value)) == value


@given(st.text("-?:,[]{}#&*!|>'\"%@` \n\tab01~=<.", max_size=60))
def test_any_text_is_yaml_or_a_reason(text):
    with suppress(plain_yaml.BadYaml):
        json.dumps(plain_yaml.read(text))


BOMB = "a: &a [x, x]\n" + "".join(
    f"{one}: &{one} [*{last}, *{last}]\n" for last, one in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BOMB, "anchors"), ("a: *b", "aliases"), ("!!python/object/apply:os.system [ls]", "tags"),
        ("a: !x 1", "tags"), ("a: 1\na: 2", "twice"), ("? [a]\n: 1", "no scalar"),
        ("a\n---\nb", "more than one"), ("- " * 1000, "too deep"), ("[" * 100_000, "not YAML"),
        ("[1," * 200_000, "too deep"), ("- 1\n" * 200_001, "too large"), ("a: \ud800", "not YAML"),
        ("a: '", "not YAML"),
    ],
)  # fmt: skip
def test_what_yaml_can_say_beyond_json_is_refused(text, why):
    with pytest.raises(plain_yaml.BadYaml, match=why):
        plain_yaml.read(text)
    with pytest.raises(BadSchema):
        list(operations(text))
