"""Guardrails by boto3: made, versioned, applied; loosened by two persons only."""

import json

import pytest
from botocore.exceptions import ClientError

MESSAGES = {"blockedInputMessaging": "No question.", "blockedOutputsMessaging": "No answer."}
WORDS = {"wordsConfig": [{"text": "Bluebird"}], "managedWordListsConfig": [{"type": "PROFANITY"}]}
TICKET = {"name": "ticket", "pattern": r"TKT-\d{4}", "action": "ANONYMIZE"}
POLICIES = {
    "wordPolicyConfig": WORDS,
    "sensitiveInformationPolicyConfig": {"regexesConfig": [TICKET]},
}


@pytest.fixture(scope="module")
def bedrock(region):
    return region.client("bedrock")


@pytest.fixture(scope="module")
def runtime(region):
    return region.client("bedrock-runtime", read_timeout=120)


@pytest.fixture(scope="module")
def made(bedrock):
    """A guardrail with a version."""
    found = bedrock.create_guardrail(
        name="service", description="Of the tests.", **MESSAGES, **POLICIES,
        tags=[{"key": "team", "value": "a"}],
    )  # fmt: skip
    version = bedrock.create_guardrail_version(
        guardrailIdentifier=found["guardrailId"], description="The first."
    )
    assert version["version"] == "1"
    return found


def apply(runtime, made, *texts, version="DRAFT", source="INPUT", **more):
    return runtime.apply_guardrail(
        guardrailIdentifier=made["guardrailId"], guardrailVersion=version, source=source,
        content=[{"text": {"text": text}} for text in texts], **more,
    )  # fmt: skip


def code_of(caught):
    return caught.value.response["Error"]["Code"]


def test_what_was_made_is_told(bedrock, made):
    for name in (made["guardrailId"], made["guardrailArn"]):
        found = bedrock.get_guardrail(guardrailIdentifier=name)
        assert found["status"] == "READY"
        assert found["version"] == "DRAFT"
        assert found["description"] == "Of the tests."
        assert found["wordPolicy"]["words"] == [{"text": "Bluebird"}]
        assert found["sensitiveInformationPolicy"]["regexes"] == [TICKET]
        assert found["blockedInputMessaging"] == "No question."
    first = bedrock.get_guardrail(guardrailIdentifier=made["guardrailId"], guardrailVersion="1")
    assert (first["version"], first["description"]) == ("1", "The first.")
    rows = bedrock.list_guardrails()["guardrails"]
    assert [row["version"] for row in rows if row["id"] == made["guardrailId"]] == ["DRAFT"]
    rows = bedrock.list_guardrails(guardrailIdentifier=made["guardrailId"])["guardrails"]
    assert [row["version"] for row in rows] == ["DRAFT", "1"]
    arn = made["guardrailArn"]
    bedrock.tag_resource(resourceARN=arn, tags=[{"key": "stage", "value": "b"}])
    bedrock.untag_resource(resourceARN=arn, tagKeys=["team"])
    tags = bedrock.list_tags_for_resource(resourceARN=arn)["tags"]
    assert tags == [{"key": "stage", "value": "b"}]


@pytest.mark.parametrize("version", ["DRAFT", "1"])
def test_it_is_applied(runtime, made, version):
    blocked = apply(runtime, made, "About BLUEB\u0131RD, sh1t.", version=version)
    assert blocked["action"] == "GUARDRAIL_INTERVENED"
    assert blocked["outputs"] == [{"text": "No question."}]
    (told,) = blocked["assessments"]
    assert told["wordPolicy"]["customWords"] == [
        {"match": "BLUEB\u0131RD", "action": "BLOCKED", "detected": True}
    ]
    assert told["wordPolicy"]["managedWordLists"][0]["type"] == "PROFANITY"
    assert told["appliedGuardrailDetails"]["guardrailVersion"] == version
    assert blocked["usage"]["wordPolicyUnits"] == 1
    hidden = apply(runtime, made, "See TKT-1234.", "Fine.", version=version, source="OUTPUT")
    assert hidden["action"] == "GUARDRAIL_INTERVENED"
    assert hidden["outputs"] == [{"text": "See {ticket}."}, {"text": "Fine."}]
    fine = apply(runtime, made, "Nothing of note.", version=version)
    assert (fine["action"], fine["outputs"]) == ("NONE", [])
    assert fine["guardrailCoverage"]["textCharacters"] == {"guarded": 16, "total": 16}


def test_the_record_says_which_and_what_but_not_of_what(region, runtime, made):
    apply(runtime, made, "Bluebird flies at noon")
    shown = region.cli("audit", "show", "--operation", "ApplyGuardrail", "--last", "1", "--json")
    assert f"{made['guardrailId']}:DRAFT" in shown.stdout
    assert "Guardrail blocked." in shown.stdout
    assert "flies" not in shown.stdout


def test_what_is_not_there(bedrock, runtime, made):
    for call in (
        lambda: bedrock.get_guardrail(guardrailIdentifier="nosuch"),
        lambda: bedrock.get_guardrail(
            guardrailIdentifier=made["guardrailId"], guardrailVersion="9"
        ),
        lambda: bedrock.list_guardrails(guardrailIdentifier="nosuch"),
        lambda: apply(runtime, {"guardrailId": "nosuch"}, "x"),
        lambda: apply(runtime, made, "x", version="9"),
        lambda: bedrock.delete_guardrail(guardrailIdentifier="nosuch"),
    ):
        with pytest.raises(ClientError) as caught:
            call()
        assert code_of(caught) == "ResourceNotFoundException"


def test_another_agency_finds_nothing(region, made):
    other = region.client("bedrock", "other")
    assert other.list_guardrails()["guardrails"] == []
    for name in (made["guardrailId"], made["guardrailArn"]):
        with pytest.raises(ClientError) as caught:
            other.get_guardrail(guardrailIdentifier=name)
        assert code_of(caught) in ("ResourceNotFoundException", "AccessDeniedException")


@pytest.mark.parametrize(
    ("more", "code", "why"),
    [
        ({}, "ValidationException", "at least one policy"),
        ({"kmsKeyId": "alias/a", **POLICIES}, "UnsupportedOperation", "kmsKeyId"),
        (
            {
                "crossRegionConfig": {"guardrailProfileIdentifier": "us.guardrail.v1:0"},
                **POLICIES,
            },
            "UnsupportedOperation",
            "crossRegionConfig",
        ),
        (
            {
                "sensitiveInformationPolicyConfig": {
                    "regexesConfig": [{**TICKET, "pattern": "(?=x)"}]
                }
            },
            "ValidationException",
            "invalid perl operator",
        ),
        ({"name": "service", **POLICIES}, "ConflictException", "has the name service"),
    ],
)
def test_what_is_refused(bedrock, made, more, code, why):
    with pytest.raises(ClientError, match=why) as caught:
        bedrock.create_guardrail(**{"name": "refused", **MESSAGES, **more})
    assert code_of(caught) == code


def test_a_retry_with_one_token_makes_one(bedrock):
    request = {"name": "once", **MESSAGES, **POLICIES, "clientRequestToken": "a-token"}
    one, same = bedrock.create_guardrail(**request), bedrock.create_guardrail(**request)
    assert one["guardrailId"] == same["guardrailId"]
    with pytest.raises(ClientError) as caught:
        bedrock.create_guardrail(**{**request, "description": "another"})
    assert code_of(caught) == "ConflictException"
    bedrock.delete_guardrail(guardrailIdentifier=one["guardrailId"])  # nobody published it
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
        bedrock.get_guardrail(guardrailIdentifier=one["guardrailId"])


def test_stricter_alone_looser_by_two(bedrock, runtime, made, desk):
    name = {"guardrailIdentifier": made["guardrailId"], "name": "service", **MESSAGES}
    more = {**WORDS, "wordsConfig": [{"text": "Bluebird"}, {"text": "Redbird"}]}
    bedrock.update_guardrail(**name, **{**POLICIES, "wordPolicyConfig": more})
    assert apply(runtime, made, "Redbird")["action"] == "GUARDRAIL_INTERVENED"
    assert apply(runtime, made, "Redbird", version="1")["action"] == "NONE"
    with pytest.raises(ClientError, match="Request ") as waits:
        bedrock.update_guardrail(**name, **POLICIES)
    assert code_of(waits) == "AccessDeniedException"
    assert apply(runtime, made, "Redbird")["action"] == "GUARDRAIL_INTERVENED"
    request = str(waits.value).split("Request ")[1].split(":")[0]
    shown = desk.region.control.get(f"/approvals/{request}")
    assert "word Redbird" in json.dumps(shown)
    desk.sign_as_reviewers(request)
    bedrock.update_guardrail(**name, **POLICIES)
    assert apply(runtime, made, "Redbird")["action"] == "NONE"
    with pytest.raises(ClientError, match="Request ") as waits:
        bedrock.delete_guardrail(guardrailIdentifier=made["guardrailId"], guardrailVersion="1")
    assert code_of(waits) == "AccessDeniedException"
