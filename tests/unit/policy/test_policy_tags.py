"""Tags asked for with what is made, tags on what is there, and bearer keys."""

import json

import pytest
from tests.policy_kit import ME, USER, Desk, document, principal, statement

SAGEMAKER = f"arn:aws-us-gov:sagemaker:us-gov-west-1:{ME}"
TAGS = [{"Key": "Team", "Value": "blue"}]
MADE_WITH_TAGS = [
    ("sagemaker.CreateTrainingJob", {"TrainingJobName": "j", "Tags": TAGS}, "sagemaker:AddTags"),
    ("sagemaker.CreateModel", {"ModelName": "m", "Tags": TAGS}, "sagemaker:AddTags"),
    (
        "sagemaker.CreateEndpoint",
        {"EndpointName": "e", "EndpointConfigName": "c", "Tags": TAGS},
        "sagemaker:AddTags",
    ),
    ("logs.CreateLogGroup", {"logGroupName": "g", "tags": {"Team": "blue"}}, "logs:TagResource"),
    ("iam.CreateUser", {"UserName": "u", "Tags": TAGS}, "iam:TagUser"),
    ("iam.CreateRole", {"RoleName": "r", "Tags": TAGS}, "iam:TagRole"),
    ("iam.CreatePolicy", {"PolicyName": "p", "Tags": TAGS}, "iam:TagPolicy"),
    ("s3.PutObject", {"Bucket": "b", "Key": "k", "Tagging": "Team=blue"}, "s3:PutObjectTagging"),
]


@pytest.mark.parametrize(("operation", "params", "action"), MADE_WITH_TAGS)
def test_making_a_thing_with_tags_is_tagging_it(operation, params, action):
    desk = Desk(statement(), statement(action, effect="Deny"))
    assert action in desk.refusal(operation, params).message
    bare = {key: value for key, value in params.items() if key not in ("Tags", "tags", "Tagging")}
    assert desk.allows(operation, bare)


@pytest.mark.parametrize(("operation", "params", "action"), MADE_WITH_TAGS[:-1])
def test_the_tags_that_are_asked_for_are_condition_keys(operation, params, action):
    for key, operator, good, bad in (
        ("aws:RequestTag/team", "StringEquals", "blue", "red"),
        ("aws:TagKeys", "ForAllValues:StringEquals", ["Team"], ["Other"]),
    ):
        for wanted, expected in ((good, True), (bad, False)):
            desk = Desk(statement(Condition={operator: {key: wanted}}))
            assert desk.allows(operation, params) is expected


@pytest.mark.parametrize("member", ["jobTags", "importedModelTags"])
def test_the_tags_of_an_import_and_of_its_model_are_condition_keys(member):
    params = {"jobName": "j", member: [{"key": "Team", "value": "blue"}]}
    for key, operator, wanted in (
        ("aws:RequestTag/team", "StringEquals", "blue"),
        ("aws:TagKeys", "ForAnyValue:StringEquals", ["Team"]),
    ):
        denial = statement(effect="Deny", Condition={operator: {key: wanted}})
        assert not Desk(statement(), denial).allows("bedrock.CreateModelImportJob", params)


@pytest.mark.parametrize(
    ("operation", "params"),
    [
        (
            "bedrock.CreateModelImportJob",
            {
                "jobTags": [{"key": "Team", "value": "red"}],
                "importedModelTags": [{"key": "Team", "value": "blue"}],
            },
        ),
        (
            "bedrock.TagResource",
            {"tags": [{"key": "Team", "value": "blue"}, {"key": "team", "value": "red"}]},
        ),
        ("lambda.TagResource", {"Tags": {"Team": "blue", "team": "red"}}),
        ("s3.PutObjectTagging", {"Bucket": "b", "Key": "k", "Tagging": "Team=blue&team=red"}),
    ],
)
def test_two_tags_that_a_policy_reads_as_one_are_refused(operation, params):
    """A condition sees one value of a key, in whatever case: the other would go past it."""
    assert "differ" in Desk(statement()).refusal(operation, params).message


@pytest.mark.parametrize("tagging", ["Team=blue", {"TagSet": TAGS}])
def test_an_object_s_tags_are_condition_keys(tagging):
    params = {"Bucket": "b", "Key": "k", "Tagging": tagging}
    for condition, expected in (
        ({"StringEquals": {"s3:RequestObjectTag/Team": "blue"}}, True),
        ({"StringEquals": {"s3:RequestObjectTag/Team": "red"}}, False),
        ({"ForAllValues:StringLike": {"s3:RequestObjectTagKeys": ["T*"]}}, True),
        ({"ForAnyValue:StringLike": {"s3:RequestObjectTagKeys": ["X*"]}}, False),
    ):
        assert (
            Desk(statement(Condition=condition)).allows("s3.PutObjectTagging", params) is expected
        )


@pytest.mark.parametrize(
    ("operation", "params", "resource", "key"),
    [
        (
            "sagemaker.DeleteEndpoint",
            {"EndpointName": "E"},
            f"{SAGEMAKER}:endpoint/e",
            "sagemaker:ResourceTag/team",
        ),
        ("iam.GetUser", {"UserName": "ann"}, USER, "iam:ResourceTag/Team"),
        (
            "s3.GetObject",
            {"Bucket": "b", "Key": "k"},
            "arn:aws-us-gov:s3:::b/k",
            "s3:ExistingObjectTag/Team",
        ),
        ("s3.ListObjectsV2", {"Bucket": "b"}, "arn:aws-us-gov:s3:::b", "aws:ResourceTag/TEAM"),
    ],
)  # fmt: skip
def test_tags_on_a_resource_are_condition_keys(operation, params, resource, key):
    mine = Desk(
        statement(Condition={"StringEquals": {key: "blue"}}), tagged={resource: {"Team": "blue"}}
    )
    assert mine.allows(operation, params)
    mine.held.tagged[resource] = {"Team": "red"}
    assert not mine.allows(operation, params)
    mine.held.tagged.clear()
    assert not mine.allows(operation, params)


@pytest.mark.parametrize("operation", ["s3.GetObject", "s3.CopyObject", "s3.UploadPartCopy"])
def test_the_tags_of_a_version_are_asked_of_that_version(operation):
    denied = {"StringEquals": {"s3:ExistingObjectTag/secret": "yes"}}
    desk = Desk(statement(), statement("s3:*", effect="Deny", Condition=denied))
    arn = "arn:aws-us-gov:s3:::b/k"
    copied = operation != "s3.GetObject"
    asked = {"Bucket": "b", "Key": "k"} | (
        {"CopySource": "b/k?versionId=old%2B"} if copied else {"VersionId": "old+"}
    )
    desk.held.tagged[f"{arn}?old+"] = {"secret": "yes"}
    assert not desk.allows(operation, asked)
    desk.held.tagged[f"{arn}?old+"] = {}
    assert desk.allows(operation, asked)
    desk.held.tagged[arn] = {"secret": "yes"}  # of the latest, which a copy is written over
    assert desk.allows(operation, asked) is not copied


def test_a_variable_may_name_a_tag_of_the_resource():
    same = {"StringEquals": {"aws:PrincipalTag/team": "${aws:ResourceTag/team}"}}
    arn = f"{SAGEMAKER}:endpoint/e"
    desk = Desk(statement(Condition=same), tagged={arn: {"team": "blue"}})
    asked = ("sagemaker.DeleteEndpoint", {"EndpointName": "e"})
    assert desk.allows(*asked, who=principal(tags={"Team": "blue"}))
    assert not desk.allows(*asked, who=principal(tags={"Team": "red"}))


@pytest.mark.parametrize(
    ("plain", "escaped"), [("ResourceTag", "\\u0052esourceTag"), ("Tag/", "Tag\\/")]
)  # PHP and others escape every slash
def test_a_key_that_is_written_with_escapes_is_read(plain, escaped):
    hidden = json.dumps(
        statement("sagemaker:*", effect="Deny", Condition={"Null": {"aws:ResourceTag/t": "false"}})
    ).replace(plain, escaped)
    desk = Desk(statement(), tagged={f"{SAGEMAKER}:endpoint/e": {"t": "1"}})
    denial = f'{{"Version": "2012-10-17", "Statement": [{hidden}]}}'
    desk.held.policies[USER].append(denial)
    assert not desk.allows("sagemaker.DeleteEndpoint", {"EndpointName": "e"})


def test_a_bearer_key_needs_leave_of_its_own():
    bearer = principal(access_key_id="ACCAKEY")
    asked = ("bedrock-runtime.Converse", {"modelId": "a.b"})
    desk = Desk(statement("bedrock:InvokeModel"))
    assert desk.allows(*asked)
    assert "bedrock:CallWithBearerToken" in desk.refusal(*asked, who=bearer).message
    long_term = {"StringEquals": {"bedrock:BearerTokenType": "LONG_TERM"}}
    desk = Desk(
        statement("bedrock:InvokeModel"),
        statement("bedrock:CallWithBearerToken", Condition=long_term),
    )
    assert desk.allows(*asked, who=bearer)


@pytest.mark.parametrize("action", ["CallWithBearerToken", "CreateInference", "*"])
@pytest.mark.parametrize(
    "operation", ["CreateChatCompletion", "CreateResponse", "CreateMessage", "CreateEmbedding"]
)
def test_aws_own_words_forbid_the_compatible_doors(action, operation):
    bearer, asked = principal(access_key_id="ACCAKEY"), {"model": "a.b"}
    denial = statement(f"bedrock-mantle:{action}", effect="Deny")
    desk = Desk(statement(), denial)
    assert not desk.allows(f"bedrock-mantle.{operation}", asked, who=bearer)
    assert desk.allows("bedrock-runtime.Converse", {"modelId": "a.b"}, who=bearer)
    assert desk.allows(f"bedrock-mantle.{operation}", asked) is (action == "CallWithBearerToken")
    allowed = Desk(statement("bedrock-mantle:*"))  # it gives nothing by itself
    assert not allowed.allows(f"bedrock-mantle.{operation}", asked)


def test_how_long_a_bearer_key_lives_can_be_bounded():
    never = {"Null": {"iam:ServiceSpecificCredentialAgeDays": "true"}}
    long = {"NumericGreaterThan": {"iam:ServiceSpecificCredentialAgeDays": "90"}}
    other = {"StringNotEquals": {"iam:ServiceSpecificCredentialServiceName": "b.amazonaws.com"}}
    denials = [statement(effect="Deny", Condition=each) for each in (long, other)]
    never_ends = statement("iam:CreateServiceSpecificCredential", effect="Deny", Condition=never)
    desk = Desk(statement(), *denials, never_ends)

    def allows(**asked):
        named = {"UserName": "ann", "ServiceName": "b.amazonaws.com"}
        return desk.allows("iam.CreateServiceSpecificCredential", named | asked)

    assert allows(CredentialAgeDays=90)
    assert not allows(CredentialAgeDays=91)
    assert not allows()
    assert not allows(CredentialAgeDays=90, ServiceName="codecommit.amazonaws.com")


@pytest.mark.parametrize("layer", ["bucket", "boundary", "session"])
def test_tags_on_a_resource_are_read_whichever_policy_asks(layer):
    arn = "arn:aws-us-gov:s3:::b/k"
    secret = {"StringEquals": {"s3:ExistingObjectTag/secret": "yes"}}
    denial = statement("s3:GetObject", effect="Deny", Condition=secret)
    text = document(statement(), denial)
    asked = ("s3.GetObject", {"Bucket": "b", "Key": "k"})
    desk, who = Desk(statement(), tagged={arn: {"secret": "yes"}}), principal()
    assert desk.allows(*asked, who=who)
    if layer == "bucket":
        desk.held.buckets["b"] = document(denial | {"Principal": "*"})
    elif layer == "boundary":
        desk.held.boundaries[USER] = text
    else:
        who = principal(session_policies=(text,))
    assert not desk.allows(*asked, who=who)
    desk.held.tagged[arn] = {"secret": "no"}
    assert desk.allows(*asked, who=who)
