"""The models' constraints: what is refused, in AWS's words, and under the code of the service."""

import re
import re._constants as kinds
import re._parser as regex_parser
import time
from itertools import islice

import pytest

from bastide.wire import patterns
from bastide.wire.model import SERVICES
from tests.wire.proto.asking import CATALOGUE, VALIDATORS, told

TAG = {"Key": "k", "Value": "v"}
MODEL = {"ModelName": "m"}
ARN = "arn:aws-us-gov:sagemaker:us-gov-west-1:123456789012:model/m"


def refusal(name: str, params) -> tuple[str, str]:
    operation = CATALOGUE.operation(name)
    error = told(VALIDATORS.validate, operation, params)
    assert error.status == 400
    return error.code, error.message


def accepted(name: str, params) -> None:
    VALIDATORS.validate(CATALOGUE.operation(name), params)


NULL = "failed to satisfy constraint: Member must not be null"


@pytest.mark.parametrize(
    ("params", "told"),
    [
        ({}, [f"1 validation error detected: Value null at 'modelName' {NULL}"]),
        (
            {**MODEL, "Tags": [TAG, {"Key": "k"}]},
            [f"1 validation error detected: Value null at 'tags.2.member.value' {NULL}"],
        ),
        (
            {"ModelName": "-", "Tags": [{"Key": "", "Value": "v"}]},
            [
                "2 validation errors detected: Value '-' at 'modelName' failed to satisfy "
                "constraint: Member must satisfy regular expression pattern: [a-zA-Z0-9]",
                "; Value '' at 'tags.1.member.key' failed to satisfy constraint: Member must have "
                "length greater than or equal to 1",
            ],
        ),
        (
            {"ModelName": "m" * 64},
            [
                f"1 validation error detected: Value '{'m' * 64}' at 'modelName' failed to "
                "satisfy constraint: Member must have length less than or equal to 63"
            ],
        ),
        (
            {**MODEL, "PrimaryContainer": {"Mode": "Some"}},
            [
                "1 validation error detected: Value 'Some' at 'primaryContainer.mode' failed to "
                "satisfy constraint: Member must satisfy enum value set: [SingleModel, MultiModel]"
            ],
        ),
        (
            {**MODEL, "PrimaryContainer": {"Environment": {"a.b": "x", "ok": "y" * 1025}}},
            [
                "Value 'a.b' at 'primaryContainer.environment' failed",
                "at 'primaryContainer.environment.ok.member' failed",
            ],
        ),
    ],
)
def test_sagemaker_is_told_as_aws_tells_it(params, told):
    code, message = refusal("sagemaker.CreateModel", params)
    assert code == "ValidationException"
    at = -1
    for part in told:
        at = message.find(part, at + 1)
        assert at >= 0, message


@pytest.mark.parametrize(
    ("name", "params", "code"),
    [
        ("bedrock-runtime.Converse", {}, "ValidationException"),
        ("kms.DescribeKey", {}, "ValidationException"),
        ("sagemaker-runtime.InvokeEndpoint", {}, "ValidationError"),
        ("iam.GetRole", {"RoleName": "a b"}, "ValidationError"),
        ("sts.AssumeRole", {"RoleArn": "x"}, "ValidationError"),
        ("logs.CreateLogGroup", {"logGroupName": "a b"}, "InvalidParameterException"),
        ("cloudwatch.PutMetricData", {}, "MissingParameter"),
        ("cloudwatch.PutMetricData", {"Namespace": ":"}, "InvalidParameterValue"),
        ("s3.UploadPart", {"Bucket": "b", "Key": "k", "UploadId": "u"}, "InvalidArgument"),
        ("s3.DeleteObjects", {"Bucket": "b"}, "MissingRequestBodyError"),
        ("s3.DeleteObjects", {"Bucket": "b", "Delete": {}}, "MalformedXML"),
        ("s3.DeleteObjects", {"Bucket": "b", "Delete": {"Objects": [{}]}}, "MalformedXML"),
    ],
)
def test_each_service_has_its_code(name, params, code):
    assert refusal(name, params)[0] == code


@pytest.mark.parametrize("members", [{}, {"text": "a", "image": {"format": "png", "source": {}}}])
def test_a_union_has_exactly_one_member(members):
    message = {"role": "user", "content": [members]}
    _, told = refusal("bedrock-runtime.Converse", {"modelId": "m", "messages": [message]})
    assert (
        "at 'messages.1.member.content.1.member' failed to satisfy constraint: Member must" in told
    )
    assert "exactly one member" in told


def test_ranges():
    params = {"modelId": "m", "inferenceConfig": {"temperature": 1.5, "maxTokens": 0}}
    _, told = refusal("bedrock-runtime.Converse", params)
    assert "'inferenceConfig.temperature'" in told
    assert "value less than or equal to 1" in told
    assert "value greater than or equal to 1" in told


def test_violations_are_bounded():
    params = {**MODEL, "Tags": [{"Key": ""}] * 10_000}
    _, told = refusal("sagemaker.CreateModel", params)
    assert told.startswith("20 validation errors detected: ")
    assert len(told) < 20_000
    _, told = refusal("sagemaker.CreateModel", {"ModelName": "!" * 100_000})
    assert len(told) < 2000


def test_s3_gives_wrong_values_codes_of_its_own():
    accepted("s3.PutObject", {"Bucket": "b", "Key": "k", "StorageClass": "NONE"})
    accepted("s3.PutObject", {"Bucket": "b", "Key": "k"})  # the Body comes by itself


@pytest.mark.parametrize(
    "model_id",
    [
        "smollm2-135m-instruct",
        "anthropic.claude-3-5-sonnet-20240620-v1:0",
        "us-gov.anthropic.claude-sonnet-4-5-20250929-v1:0",
        "global.anthropic.claude-sonnet-4-6",
        "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/amazon.titan-text-v1",
        "arn:aws-us-gov:bedrock:us-gov-west-1:123456789012:inference-profile/us-gov.a.b-v1:0",
    ],
)
def test_model_ids_of_clients_are_taken(model_id):
    accepted("bedrock-runtime.Converse", {"modelId": model_id})
    accepted("bedrock-runtime.InvokeModel", {"modelId": model_id, "body": b""})


@pytest.mark.parametrize("value", ["a b", "ü", "数据", "a:b/c=d+e-f@g.h_i", "", "🦊"])
def test_tags_take_letters_of_any_alphabet(value):
    accepted("sagemaker.AddTags", {"ResourceArn": ARN, "Tags": [{"Key": "k", "Value": value}]})
    accepted("iam.TagRole", {"RoleName": "r", "Tags": [{"Key": "k", "Value": value}]})


@pytest.mark.parametrize("value", ["a\tb", "a<b", "a\0"])
def test_tags_take_no_other_ascii(value):
    refusal("sagemaker.AddTags", {"ResourceArn": ARN, "Tags": [{"Key": "k", "Value": value}]})


ALL_PATTERNS = {
    shape.metadata["pattern"]: int(shape.metadata.get("max", patterns.TEXT_MAX))
    for service in map(CATALOGUE.service, SERVICES)
    for shape in map(service.model.shape_for, service.model.shape_names)
    if "pattern" in shape.metadata
}


def test_every_pattern_is_read():
    assert len(ALL_PATTERNS) > 700
    assert [text for text in ALL_PATTERNS if patterns.matcher(text) is None] == []


@pytest.mark.parametrize(
    ("pattern", "good", "bad"),
    [
        (r"[\p{L}\p{Z}\p{N}_.:/=+\-@]*", ["a b", "é"], ["<", "\t"]),
        (r"[^\p{C}]*", ["a b"], ["\x07", "\x85"]),
        (r"^\P{C}*$", ["a b"], ["\x07"]),
        (r"\A\S[\p{Print}]*\z", ["ab c"], [" a", "a\n"]),
        (r"[\w-_]*", ["a-_"], ["a b"]),
        (r"\w+\d", ["a1"], ["é1", "a\u0661"]),
        (r"(-*[a-zA-Z0-9\+\-\.])*", ["a--b.+"], ["a_"]),
        (r"https://([.\-_a-zA-Z0-9]+/?){3,1016}", ["https://a.b/c/", "https://a/b/c"],
         ["https://ab", "https://a//b", "https:///abc"]),
        (r"[A-Za-z0-9-_=]+.[A-Za-z0-9-_=]+.[A-Za-z0-9-_=]+", ["a-_=.b.c"], ["..", "a.b.c.d.e"]),
    ],
)  # fmt: skip
def test_patterns_mean_what_they_mean_in_java(pattern, good, bad):
    matches = patterns.matcher(pattern)
    assert matches is not None
    assert [text for text in good if not matches(text)] == []
    assert [text for text in bad if matches(text)] == []


def chars_of(items) -> list[str]:
    """Some characters of a class."""
    found: list[str] = []
    is_negated = False
    for kind, value in items:
        if kind is kinds.NEGATE:
            is_negated = True
        elif kind is kinds.LITERAL:
            found.append(chr(value))
        elif kind is kinds.RANGE:
            found += map(chr, value)
        else:
            found += "a0_ -"
    if is_negated:
        return [char for char in "a0-/. :_" if char not in found] or ["\u00e9"]
    return [char for char in found if char.isprintable()][:6] or found[:1]


def sample(tree, pick: int) -> str:
    """A text that the pattern `tree` may match; another one for another `pick`."""
    out = ""
    for kind, value in tree:
        if kind is kinds.LITERAL:
            out += chr(value)
        elif kind in (kinds.NOT_LITERAL, kinds.ANY):
            out += "a"
        elif kind is kinds.IN:
            chars = chars_of(value)
            out += chars[pick % len(chars)]
        elif kind in (kinds.MAX_REPEAT, kinds.MIN_REPEAT, kinds.POSSESSIVE_REPEAT):
            out += sample(value[2], pick) * max(value[0], pick % 2)
        elif kind is kinds.SUBPATTERN:
            out += sample(value[3], pick)
        elif kind is kinds.BRANCH:
            out += sample(value[1][pick % len(value[1])], pick)
    return out


def attacks(tree, before: str = ""):
    """(what leads to a repeat, what the repeat takes) for each repeat of a pattern."""
    for index, (kind, value) in enumerate(tree):
        lead = before + sample(tree[:index], 0)
        if kind in (kinds.MAX_REPEAT, kinds.MIN_REPEAT):
            if value[1] >= 8:
                yield from ((lead, unit) for pick in range(6) if (unit := sample(value[2], pick)))
            yield from attacks(value[2], lead)
        elif kind is kinds.SUBPATTERN:
            yield from attacks(value[3], lead)
        elif kind is kinds.BRANCH:
            for branch in value[1]:
                yield from attacks(branch, lead)


def takes_long(matches, text):
    started = time.process_time()
    matches(text)
    return time.process_time() - started > 0.25


def test_no_pattern_can_be_held_up():
    """Each repeat of each pattern, fed what it takes and then what it does not."""
    slow = []
    for text, size_max in ALL_PATTERNS.items():
        matches = patterns.matcher(text)
        tree = list(regex_parser.parse(patterns.translated(text), re.ASCII))
        size = min(size_max, patterns.TEXT_MAX)
        for lead, unit in islice(dict.fromkeys(attacks(tree)), 60):
            for end in ("\0", "!"):
                fed = (lead + unit * (size // len(unit)))[: size - 1] + end
                if takes_long(matches, fed) and takes_long(matches, fed):
                    slow.append(text)  # twice: it was no garbage collection
    assert slow == []
