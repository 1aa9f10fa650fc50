"""Inference profiles: those that are there for each id, and those that an agency makes."""

from dataclasses import replace

import pytest
from tests.inference_kit import ACCOUNT, GOV, OTHER, call, entry, gguf, models_at
from tests.labels_kit import US, at, marks

from bastide.kernel.clock import SystemClock
from bastide.kernel.errors import ServiceError
from bastide.kernel.ids import SystemIds
from bastide.models.application_profiles import ApplicationProfiles
from bastide.models.inference_profiles import InferenceProfiles
from bastide.models.model import LocalFile
from bastide.models.tags import Tags

CLAUDE = "anthropic.claude-3-5-sonnet-20240620-v1:0"
ARN = "arn:aws-us-gov:bedrock:us-gov-west-1:"
TINY = "test.tiny-v1:0"
COST = [{"key": "cost-centre", "value": "7"}]


@pytest.fixture
def api(database, tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf())
    own = ApplicationProfiles(
        region=GOV, database=database, clock=SystemClock(), ids=SystemIds(), marks=marks(database)
    )
    models = models_at(
        tmp_path,
        {"tiny": entry(gguf(), LocalFile(path=str(file)))},
        site_aliases={CLAUDE: "tiny"},
        remote_ids=("site.llama-70b-v1:0",),
        own=own,
    )
    list(models.pull("tiny"))
    return InferenceProfiles(models=models, own=own)


def working_at(marking, operation="bedrock.CreateInferenceProfile", account=ACCOUNT):
    made = call(operation, account)
    return replace(made, principal=replace(made.principal, **at(marking)))


def make(api, name="team", source=TINY, by=None, **more):
    req = {"inferenceProfileName": name, "modelSource": {"copyFrom": source}, **more}
    return api.create_inference_profile(by or call(), req)["inferenceProfileArn"]


def refused(work):
    with pytest.raises(ServiceError) as caught:
        work()
    return caught.value.code


def test_profiles_page_by_page(api):
    found, req = [], {"maxResults": 2}
    while True:
        answer = api.list_inference_profiles(call(), req)
        found += [row["inferenceProfileId"] for row in answer["inferenceProfileSummaries"]]
        if "nextToken" not in answer:
            break
        req = {"maxResults": 2, "nextToken": answer["nextToken"]}
    assert found == [
        f"us-gov.{CLAUDE}", "us-gov.site.llama-70b-v1:0", "us-gov.test.tiny-v1:0",
    ]  # fmt: skip
    assert api.list_inference_profiles(call(), {"typeEquals": "APPLICATION"}) == {
        "inferenceProfileSummaries": []
    }


def test_get_profile(api):
    arn = f"{ARN}{ACCOUNT}:inference-profile/us-gov.{CLAUDE}"
    for name in (f"us-gov.{CLAUDE}", f"global.{CLAUDE}", arn):
        found = api.get_inference_profile(call(), {"inferenceProfileIdentifier": name})
        assert found["models"] == [{"modelArn": f"{ARN}:foundation-model/{CLAUDE}"}]
        assert found["status"] == "ACTIVE"
    for name in (f"{ARN}{OTHER}:inference-profile/us-gov.{CLAUDE}", CLAUDE, "us-gov.no.such"):
        with pytest.raises(ServiceError) as caught:
            api.get_inference_profile(call(), {"inferenceProfileIdentifier": name})
        assert caught.value.code == "ResourceNotFoundException"


def test_one_of_its_own_stands_for_the_model_that_it_was_made_of(api):
    arn = make(api, tags=COST, description="ours")
    found = api.get_inference_profile(call(), {"inferenceProfileIdentifier": arn})
    assert found["inferenceProfileArn"] == arn
    assert found["models"] == [{"modelArn": f"{ARN}:foundation-model/{TINY}"}]
    assert (found["type"], found["description"]) == ("APPLICATION", "ours")
    for name in (arn, found["inferenceProfileId"]):
        assert api.models.called(call(), name).model_id == TINY
        assert api.models.arns(GOV, call().principal, name) == (
            arn, (f"{ARN}:foundation-model/{TINY}",),
        )  # fmt: skip
    assert api.own.tags(call().principal, arn) == {"cost-centre": "7"}
    answer = api.list_inference_profiles(call(), {"typeEquals": "APPLICATION"})
    assert [one["inferenceProfileArn"] for one in answer["inferenceProfileSummaries"]] == [arn]
    plain = api.list_inference_profiles(call(), {})["inferenceProfileSummaries"]
    assert {one["type"] for one in plain} == {"SYSTEM_DEFINED"}


def test_one_made_of_a_system_defined_profile_of_an_alias_names_what_is_inside(api):
    arn = make(api, source=f"{ARN}{ACCOUNT}:inference-profile/us-gov.{CLAUDE}")
    found = api.get_inference_profile(call(), {"inferenceProfileIdentifier": arn})
    assert found["models"] == [{"modelArn": f"{ARN}:foundation-model/{CLAUDE}"}]
    _, models = api.models.arns(GOV, call().principal, arn)
    assert set(models) == {f"{ARN}:foundation-model/{one}" for one in (CLAUDE, TINY)}


def test_what_cannot_be_made(api):
    arn = make(api)
    assert refused(lambda: make(api)) == "ConflictException"
    assert refused(lambda: make(api, "other", "no.such-v1:0")) == "ValidationException"
    assert refused(lambda: make(api, "other", arn)) == "ValidationException"
    twice = [{"key": "a", "value": "1"}, {"key": "a", "value": "2"}]
    assert refused(lambda: make(api, "other", tags=twice)) == "ValidationException"


def test_a_request_that_is_repeated_makes_one(api):
    arn = make(api, clientRequestToken="t")
    assert make(api, clientRequestToken="t") == arn
    assert refused(lambda: make(api, "other", clientRequestToken="t")) == "ConflictException"


def test_pages_of_its_own(api):
    made = {make(api, f"team {n}") for n in range(5)}
    found, req = [], {"typeEquals": "APPLICATION", "maxResults": 2}
    while True:
        answer = api.list_inference_profiles(call(), req)
        found += [one["inferenceProfileArn"] for one in answer["inferenceProfileSummaries"]]
        if "nextToken" not in answer:
            break
        req |= {"nextToken": answer["nextToken"]}
    assert len(found) == 5
    assert set(found) == made


def test_another_agency_finds_nothing_and_changes_nothing(api):
    arn, theirs = make(api), call(account=OTHER)
    named = {"inferenceProfileIdentifier": arn}
    assert refused(lambda: api.get_inference_profile(theirs, named)) == "ResourceNotFoundException"
    assert (
        refused(lambda: api.delete_inference_profile(theirs, named)) == "ResourceNotFoundException"
    )
    assert refused(lambda: api.models.called(theirs, arn)) == "ValidationException"
    assert api.models.arns(GOV, theirs.principal, arn) == ("", (arn,))
    assert api.list_inference_profiles(theirs, {"typeEquals": "APPLICATION"}) == {
        "inferenceProfileSummaries": []
    }


def test_what_is_made_above_is_not_there_below_and_takes_no_name(api):
    high, low = working_at("S"), working_at("U")
    above = make(api, by=high)
    below = make(api, by=low)  # of the same name
    assert below != above
    named = {"inferenceProfileIdentifier": above}
    assert refused(lambda: api.get_inference_profile(low, named)) == "ResourceNotFoundException"
    assert refused(lambda: api.models.called(low, above)) == "ValidationException"
    assert api.models.called(high, below).model_id == TINY
    assert api.own.label(high.principal, above) == US.parse("S")
    assert api.own.label(low.principal, above) is None
    gone = {"inferenceProfileIdentifier": below}
    assert refused(lambda: api.delete_inference_profile(high, gone)) == "AccessDeniedException"
    api.delete_inference_profile(low, gone)
    assert refused(lambda: api.get_inference_profile(low, gone)) == "ResourceNotFoundException"


def test_tags_are_kept_with_it(api):
    arn, tags = make(api, tags=COST), Tags(keepers={"application-inference-profile": api.own})
    tags.tag_resource(call(), {"resourceARN": arn, "tags": [{"key": "team", "value": "a"}]})
    tags.untag_resource(call(), {"resourceARN": arn, "tagKeys": ["cost-centre"]})
    found = tags.list_tags_for_resource(call(), {"resourceARN": arn})
    assert found == {"tags": [{"key": "team", "value": "a"}]}
    label = {"resourceARN": arn, "tagKeys": ["bastide:label"]}
    assert refused(lambda: tags.untag_resource(call(), label)) == "ValidationException"
    others = call(account=OTHER)
    assert (
        refused(lambda: tags.list_tags_for_resource(others, {"resourceARN": arn}))
        == "ResourceNotFoundException"
    )


def test_the_id_that_is_named_at_last(api):
    """It says in whose words InvokeModel is spoken to."""
    own = make(api, source=CLAUDE)
    profile = f"{ARN}{ACCOUNT}:inference-profile/us-gov.{CLAUDE}"
    for named in (CLAUDE, f"us-gov.{CLAUDE}", profile, f"{ARN}:foundation-model/{CLAUDE}", own):
        assert api.models.inside(call(), named) == CLAUDE
    assert api.models.inside(call(), TINY) == TINY
