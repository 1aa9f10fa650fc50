"""What of a JSON schema an engine's grammar is asked to hold, and what is refused by its place."""

import json

import pytest

from bastide.inference.patterns import BadPattern, found_in, grammatical
from bastide.inference.schemas import DEPTH_MAX, schema_of
from bastide.kernel.errors import ServiceError

INT = {"type": "integer"}
NONE = {"type": "object", "properties": {}, "required": [], "additionalProperties": True}


def held(said):
    return schema_of(said, "here").held


def obj(required=(), **properties):
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ({}, {}),
        ({"type": "object"}, NONE),
        ({"type": "object", "properties": {}}, obj()),  # of a function that is given nothing
        ({"type": "object", "properties": {"a": INT}}, obj(a=INT)),
        ({"properties": {"a": INT}, "required": ["a", "a"]}, obj(["a"], a=INT)),
        ({"properties": {"a": True}, "title": "x", "x-own": 1, "default": {}}, obj(a={})),
        (
            {"properties": {"a": INT}, "required": ["b"], "additionalProperties": True},
            {**obj(["b"], a=INT, b={}), "additionalProperties": True},
        ),
        (
            {"type": "object", "additionalProperties": INT},
            {**obj(), "additionalProperties": INT},
        ),
        ({"type": ["string", "null"]}, {"anyOf": [{"type": "string"}, {"type": "null"}]}),
        (
            {"anyOf": [INT, {"type": "null"}], "default": None},
            {"anyOf": [INT, {"type": "null"}]},
        ),
        ({"oneOf": [INT]}, INT),
        ({"enum": ["a", 1, "a", True], "type": "string"}, {"enum": ["a"]}),
        ({"enum": [1, True, 1.5]}, {"enum": [1, True, 1.5]}),
        ({"const": {"x": 1}}, {"enum": [{"x": 1}]}),
        ({"type": "array"}, {"type": "array", "items": {}}),
        (
            {"items": INT, "minItems": 1, "maxItems": 5000, "uniqueItems": True},
            {"type": "array", "items": INT, "minItems": 1, "maxItems": 1000},
        ),
        (
            {"type": "array", "items": [INT, {"type": "string"}]},
            {
                "type": "array",
                "prefixItems": [INT, {"type": "string"}],
                "minItems": 2,
                "maxItems": 2,
            },
        ),
        ({**INT, "minimum": 0.5, "exclusiveMaximum": 3}, {**INT, "minimum": 1, "maximum": 2}),
        ({"type": "number", "minimum": 1}, {"type": "number"}),
        (
            {"type": "string", "minLength": 1, "format": "email"},
            {"type": "string", "minLength": 1},
        ),
        ({"type": "string", "format": "date"}, {"type": "string", "format": "date"}),
        (
            {"type": "string", "pattern": "[0-9]+"},
            {"type": "string", "pattern": "^([0-9]+)$"},
        ),
        (
            {"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"$ref": "#/$defs/c"}, "c": INT}},
            INT,
        ),
        (
            {"allOf": [{"properties": {"a": INT}}, {"properties": {"b": INT}, "required": ["b"]}]},
            obj(["b"], a=INT, b=INT),
        ),
        (
            {
                "properties": {"a": INT, "b": INT},
                "anyOf": [{"required": ["a"]}, {"required": ["b"]}],
            },
            {"anyOf": [obj(["a"], a=INT, b=INT), obj(["b"], a=INT, b=INT)]},
        ),
    ],
)
def test_what_is_held(said, found):
    assert held(said) == found


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ({"$ref": "#"}, "here cannot be held .*the reference # leads to itself"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "leads to itself"),
        (
            {
                "$ref": "#/$defs/a",
                "$defs": {"a": {"properties": {"next": {"$ref": "#/$defs/a"}}}},
            },
            "here.properties.next cannot .*leads to itself",
        ),
        ({"$ref": "https://example.com/x"}, "does not lead into the same document"),
        ({"$ref": "#/$defs/none"}, "leads nowhere"),
        ({"$ref": 5}, "does not lead"),
        ({"type": "dict"}, "its type is none of object"),
        ({"type": []}, "its type is none of"),
        ({"type": 5}, "type is no list"),
        ({"properties": {"a": {"not": {}}}}, "here.properties.a cannot .*it uses not"),
        ({"patternProperties": {"(a+)+$": {}}}, "patternProperties"),
        ({"if": {}, "then": {}}, "it uses if"),
        ({"properties": {"a": False}}, "nothing fits it"),
        ({"properties": {"a": 5}}, "it is no object"),
        ({"properties": []}, "properties is no object"),
        ({"enum": []}, "nothing fits it"),
        ({"enum": ["a"], "type": "integer"}, "nothing fits it"),
        ({"anyOf": []}, "no branch"),
        ({"anyOf": {}}, "anyOf is no list"),
        ({"required": ["b"], "properties": {"a": INT}, "additionalProperties": False}, "requires"),
        ({"type": "string", "minLength": 5, "maxLength": 1}, "minLength is above maxLength"),
        ({"type": "string", "minLength": 10**9}, "minLength is above 1000"),
        ({"type": "array", "minItems": "x"}, "minItems is no number"),
        ({"type": "number", "multipleOf": 0}, "multipleOf is not positive"),
        ({"type": "string", "pattern": "(?=a)b"}, "linear time"),
        ({"type": "string", "pattern": "a" * 10**4}, "more than 500 characters"),
        ({"type": "string", "pattern": "a" * 10**6}, "it has .* bytes"),
        ({"allOf": [{"type": "string"}, {"type": "integer"}]}, "says type twice"),
        ({"properties": {"a": {"$id": "http://x"}}}, r"\$id below its root"),
        ({"enum": [str(n) for n in range(2000)]}, "more than 1000 values"),
    ],
)
def test_what_no_grammar_holds(said, why):
    with pytest.raises(ServiceError, match=why) as caught:
        held(said)
    assert caught.value.code == "ValidationException"


def nested(depth):
    found = INT
    for _ in range(depth):
        found = {"type": "array", "items": found}
    return found


def test_depth_and_size_are_bounded():
    assert held(nested(DEPTH_MAX))
    for depth in (DEPTH_MAX + 1, 500):
        with pytest.raises(ServiceError, match="levels deep"):
            held(nested(depth))
    deep = {}
    for _ in range(100_000):
        deep = {"items": deep}
    with pytest.raises(ServiceError, match="nested too deeply"):
        held(deep)
    doubling = {"d0": INT}
    for n in range(1, 20):
        one = {"$ref": f"#/$defs/d{n - 1}"}
        doubling[f"d{n}"] = {"properties": {"a": one, "b": one}}
    with pytest.raises(ServiceError, match="more than 2000 parts"):
        held({"$ref": "#/$defs/d19", "$defs": doubling})


@pytest.mark.parametrize(
    ("said", "good", "bad"),
    [
        ({"type": "array", "uniqueItems": True}, [1, 2], [1, 1]),
        ({"type": "number", "multipleOf": 0.5}, 1.5, 1.2),
        ({"type": "string", "pattern": "^[0-9]+$"}, "12", "1a"),
        ({"type": "string", "pattern": "(a+)+$"}, "a", "a" * 40 + "!"),
        ({"$ref": "#/$defs/n", "$defs": {"n": INT}}, 1, "x"),
        ({"type": "object", "minProperties": 1}, {"a": 1}, {}),
    ],
)
def test_the_value_is_held_against_what_was_said(said, good, bad):
    schema = schema_of(said, "here")
    assert schema.accepts(good)
    assert not schema.accepts(bad)
    assert json.dumps(schema.said) == json.dumps(said)


def test_values_that_references_write_out_are_counted():
    values = {"enum": list(range(1000))}
    assert held(obj(x={"$ref": "#/$defs/e"}, y=values) | {"$defs": {"e": {"enum": [1, 2]}}})
    many = obj(x={"anyOf": [{"$ref": "#/$defs/e"}] * 3}) | {"$defs": {"e": values}}
    with pytest.raises(ServiceError, match="written out it has more than 2000 parts"):
        held(many)


@pytest.mark.parametrize("word", ["$ref", "$dynamicRef"])
def test_no_reference_of_a_caller_is_fetched(word, monkeypatch):
    asked = []
    monkeypatch.setattr("urllib.request.urlopen", asked.append)
    beside = {"const": {"a": 1}, "properties": {"a": {word: "http://192.0.2.1/secret"}}}
    schema = schema_of({"type": "object", "properties": {"x": beside}}, "here")
    assert not schema.accepts({"x": {"a": 1}})
    assert asked == []


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        (r"^\d{3}-\d{4}$", "^([0-9]{3}-[0-9]{4})$"),
        (r"\w+@\w+\.com", "^([A-Za-z0-9_]+@[A-Za-z0-9_]+[.]com)$"),
        ("a|b", "^(a|b)$"),
        (r"^[\d-]+$", "^([0-9-]+)$"),
        ("^(?:ab)+$", "^((ab)+)$"),
        (r"\D", "^([^0-9])$"),
    ],
)
def test_patterns_of_a_grammar(pattern, found):
    assert grammatical(pattern) == found
    assert found_in(pattern, "x") == found_in(pattern, "x")


@pytest.mark.parametrize("pattern", ["^a|b$", "(", r"\bx", r"\p{L}", "a^b", r"(a)\1", 5])
def test_patterns_that_no_grammar_holds(pattern):
    with pytest.raises(BadPattern):
        grammatical(pattern)
