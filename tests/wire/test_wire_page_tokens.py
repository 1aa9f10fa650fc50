"""Tokens of pages: one's own goes on, and all else is refused in the service's own words."""

import base64

import pytest

from bastide.kernel.errors import ServiceError
from bastide.wire.model import SERVICES, Catalogue
from bastide.wire.page_tokens import _WORDS, PageTokens
from tests.sagefakes import ONE, OTHER, call
from tests.stores import FakeKeyring

LISTS = {
    "sagemaker.ListModels": ("NextToken", "NextToken", "ValidationException"),
    "bedrock.ListInferenceProfiles": ("nextToken", "nextToken", "ValidationException"),
    "bedrock-agent-runtime.GetAgentMemory": ("nextToken", "nextToken", "ValidationException"),
    "logs.FilterLogEvents": ("nextToken", "nextToken", "InvalidParameterException"),
    "logs.GetLogEvents": ("nextToken", "nextForwardToken", "InvalidParameterException"),
    "cloudwatch.ListMetrics": ("NextToken", "NextToken", "InvalidParameterValue"),
    "iam.ListUsers": ("Marker", "Marker", "ValidationError"),
    "kms.ListAliases": ("Marker", "NextMarker", "InvalidMarkerException"),
}
PLACE = "behind café"


@pytest.fixture
def tokens():
    return PageTokens(FakeKeyring())


def told(tokens, operation, **whose):
    _, name, _ = LISTS[operation]
    return tokens.sealed(call(operation, **whose), {}, {}, {"Items": [1], name: PLACE})[name]


def opened(tokens, operation, token, **whose):
    given = LISTS[operation][0]
    return tokens.opened(call(operation, **whose), {"Size": 1, given: token})[given]


@pytest.mark.parametrize("operation", LISTS)
def test_a_page_goes_on_and_its_token_tells_nothing(tokens, operation):
    token = told(tokens, operation)
    assert opened(tokens, operation, token) == PLACE
    assert PLACE.encode() not in base64.urlsafe_b64decode(token)


@pytest.mark.parametrize("operation", LISTS)
def test_what_was_not_given_for_this_is_refused(tokens, operation):
    token = told(tokens, operation)
    raw = bytearray(base64.urlsafe_b64decode(token))
    raw[-1] ^= 1
    plain = base64.urlsafe_b64encode(PLACE.encode()).decode()
    forged = [base64.urlsafe_b64encode(raw).decode(), plain, PLACE, "é", "!", "AA==", "A" * 9000]
    another = next(each for each in LISTS if each != operation)
    cases = [(each, {}) for each in forged] + [
        (told(tokens, another), {}),
        (told(PageTokens(FakeKeyring()), operation), {}),  # of another region
        (token, {"account": OTHER}),
        (told(tokens, operation, marking="S"), {}),
        (token, {"marking": "S"}),
    ]
    for case, whose in cases:
        with pytest.raises(ServiceError) as caught:
            opened(tokens, operation, case, **{"account": ONE, **whose})
        assert caught.value.code == LISTS[operation][2], case


def test_where_nothing_came_the_token_stays_the_same(tokens):
    """GetLogEvents has no last page: who sees the token again that it gave has seen all."""
    operation = "logs.GetLogEvents"
    given = {"nextToken": told(tokens, operation)}
    params = tokens.opened(call(operation), given)
    answer = {"nextForwardToken": PLACE, "nextBackwardToken": "another"}
    said = tokens.sealed(call(operation), given, params, answer)
    assert said["nextForwardToken"] == given["nextToken"]
    assert said["nextBackwardToken"] not in ("another", given["nextToken"])


def test_what_has_no_token_is_left_alone(tokens):
    for operation, answer in (("s3.ListObjectsV2", {"NextContinuationToken": "x"}),
                              ("sagemaker.ListModels", {"Models": []})):  # fmt: skip
        assert tokens.opened(call(operation), {"MaxResults": 1}) == {"MaxResults": 1}
        assert tokens.sealed(call(operation), {}, {}, answer) == answer


def test_the_words_are_those_of_the_models():
    catalogue = Catalogue()
    for service, words in _WORDS.items():
        assert service in SERVICES
        names = catalogue.service(service).names
        models = [catalogue.operation(f"{service}.{name}").model for name in names]
        inputs = {m for model in models if model.input_shape for m in model.input_shape.members}
        outputs = {m for model in models if model.output_shape for m in model.output_shape.members}
        assert words.given in inputs
        assert set(words.told) <= outputs
