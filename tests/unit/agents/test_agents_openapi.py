"""Whatever an OpenAPI document holds in place of what it should: functions, or a reason why not."""

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
