"""However a thing is spelled, policies see one name for it, and the handler the same one."""

import pytest
from tests.policy_kit import ME, OTHER, Desk, a_call, principal, statement

from bastide.policy.names import canonical

LOGS = f"arn:aws-us-gov:logs:us-gov-west-1:{ME}:log-group"
BEDROCK = "arn:aws-us-gov:bedrock:us-gov-west-1"
SAGEMAKER = f"arn:aws-us-gov:sagemaker:us-gov-west-1:{ME}"


@pytest.mark.parametrize("resource", [f"{LOGS}:secret:*", f"{LOGS}:secret:log-stream:*"])
@pytest.mark.parametrize(
    "named",
    [
        {"logGroupName": "secret"},
        {"logGroupIdentifier": "secret"},
        {"logGroupIdentifier": f"{LOGS}:secret"},
        {"logGroupIdentifier": f"{LOGS}:secret:*"},
    ],
)
def test_a_denied_log_group_is_denied_in_every_spelling(resource, named):
    desk = Desk(statement(), statement("logs:*", resource, "Deny"))
    for operation in ("GetLogEvents", "FilterLogEvents", "DescribeLogStreams"):
        params = named | {"logStreamName": "s"}
        assert "explicit deny" in desk.refusal(f"logs.{operation}", params).message
    open_to_all = {key: value.replace("secret", "other") for key, value in named.items()}
    assert desk.allows("logs.FilterLogEvents", open_to_all)


@pytest.mark.parametrize("spelled", ["secret", "secret:*"])
def test_the_tags_of_a_log_group_are_asked_for_by_its_own_arn(spelled):
    desk = Desk(statement(), statement("logs:TagResource", f"{LOGS}:secret", "Deny"))
    params = {"resourceArn": f"{LOGS}:{spelled}", "tags": {"a": "b"}}
    assert not desk.allows("logs.TagResource", params)
    assert canonical(a_call("logs.TagResource"), params)["resourceArn"] == f"{LOGS}:secret"


def test_several_log_groups_must_all_be_allowed():
    desk = Desk(statement(), statement("logs:*", f"{LOGS}:secret:*", "Deny"))
    several = {"logGroupIdentifiers": ["open", f"{LOGS}:secret"], "queryString": "x"}
    assert not desk.allows("logs.StartQuery", several)
    assert desk.allows("logs.StartQuery", {"logGroupNames": ["open", "also"]})


@pytest.mark.parametrize(
    "identifier",
    [
        f"arn:aws-us-gov:logs:us-gov-west-1:{OTHER}:log-group:g",
        f"arn:aws-us-gov:logs:us-gov-east-1:{ME}:log-group:g",
        f"arn:aws:logs:us-gov-west-1:{ME}:log-group:g",
        f"arn:aws-us-gov:s3:us-gov-west-1:{ME}:log-group:g",
        f"{LOGS}",
    ],
)
def test_an_arn_of_elsewhere_is_never_made_a_name(identifier):
    params = {"logGroupIdentifier": identifier}
    assert canonical(a_call("logs.GetLogEvents"), params) == params


@pytest.mark.parametrize(
    "source",
    [
        "b/secret",
        "/b/secret",
        "b/%73ecret",
        "b%2Fsecret",
        "b/secret?x=1",
        "b/secret?x=1&versionId=v",
        "b/secret?versionId=v&x=1",
        "%62/secret?versionId=",
    ],
)
def test_a_denied_source_of_a_copy_is_denied_in_every_spelling(source):
    denied = statement("s3:GetObject*", "arn:aws-us-gov:s3:::b/secret", "Deny")
    desk = Desk(statement(), denied)
    params = {"Bucket": "mine", "Key": "k", "CopySource": source}
    for operation in ("s3.CopyObject", "s3.UploadPartCopy"):
        assert "s3:GetObject" in desk.refusal(operation, params).message


def test_a_copied_version_needs_the_version_s_action_alone():
    version = statement("s3:GetObjectVersion", "arn:aws-us-gov:s3:::b/k")
    desk = Desk(version, statement("s3:PutObject"))
    params = {"Bucket": "mine", "Key": "k", "CopySource": "b/k?versionId=v"}
    assert desk.allows("s3.CopyObject", params)
    assert not desk.allows("s3.CopyObject", params | {"CopySource": "b/k"})


@pytest.mark.parametrize("name", ["Secret", "secret", "SECRET"])
def test_sagemaker_s_names_have_no_case(name):
    desk = Desk(statement(), statement("sagemaker:*", f"{SAGEMAKER}:endpoint/secret", "Deny"))
    for operation in ("sagemaker.DescribeEndpoint", "sagemaker-runtime.InvokeEndpoint"):
        assert not desk.allows(operation, {"EndpointName": name})
    for arn in (f"{SAGEMAKER}:endpoint/{name}", f"{SAGEMAKER}:Endpoint/{name}"):
        assert not desk.allows("sagemaker.AddTags", {"ResourceArn": arn, "Tags": []})


PROFILE = f"{BEDROCK}:{ME}:inference-profile/us-gov.a.b"
BEHIND = (f"{BEDROCK}::foundation-model/a.b", f"{BEDROCK}::foundation-model/site.true")
MODELS = {"us-gov.a.b": (PROFILE, BEHIND), "a.b": ("", BEHIND)}


@pytest.mark.parametrize("operation", ["Converse", "ConverseStream", "InvokeModel", "CountTokens"])
@pytest.mark.parametrize("denied", [PROFILE, *BEHIND])
def test_a_profile_is_its_models_too(operation, denied):
    desk = Desk(statement(), statement("bedrock:*", denied, "Deny"), profiles=MODELS)
    assert not desk.allows(f"bedrock-runtime.{operation}", {"modelId": "us-gov.a.b"})
    assert desk.allows(f"bedrock-runtime.{operation}", {"modelId": "a.b"}) == (denied == PROFILE)
    for missing in (PROFILE, *BEHIND):
        others = [arn for arn in (PROFILE, *BEHIND) if arn != missing]
        desk = Desk(statement("bedrock:*", others), profiles=MODELS)
        assert not desk.allows(f"bedrock-runtime.{operation}", {"modelId": "us-gov.a.b"})


MANTLE = ["CreateChatCompletion", "CreateResponse", "CreateMessage"]


@pytest.mark.parametrize("operation", MANTLE)
@pytest.mark.parametrize("denied", [PROFILE, *BEHIND])
def test_a_model_that_is_denied_is_so_in_others_words_too(operation, denied):
    desk = Desk(statement(), statement("bedrock:*", denied, "Deny"), profiles=MODELS)
    for more in ({}, {"stream": True}):
        named = {"model": "us-gov.a.b", **more}
        assert not desk.allows(f"bedrock-mantle.{operation}", named)


@pytest.mark.parametrize("operation", MANTLE)
def test_a_stream_is_another_action_than_an_answer(operation):
    """As Converse and ConverseStream are, though it is a member that tells them apart here."""
    name = f"bedrock-mantle.{operation}"
    whole = Desk(statement("bedrock:InvokeModel"), profiles=MODELS)
    streams = Desk(statement("bedrock:InvokeModelWithResponseStream"), profiles=MODELS)
    for not_set in ({}, {"stream": False}):
        assert whole.allows(name, {"model": "a.b", **not_set})
        assert not streams.allows(name, {"model": "a.b", **not_set})
    assert streams.allows(name, {"model": "a.b", "stream": True})
    assert not whole.allows(name, {"model": "a.b", "stream": True})


def test_a_model_may_be_open_through_a_profile_alone_in_others_words_too():
    through = {"StringLike": {"bedrock:InferenceProfileArn": PROFILE}}
    desk = Desk(
        statement("bedrock:InvokeModel", PROFILE),
        statement("bedrock:InvokeModel", list(BEHIND), Condition=through),
        profiles=MODELS,
    )
    assert desk.allows("bedrock-mantle.CreateResponse", {"model": "us-gov.a.b"})
    assert not desk.allows("bedrock-mantle.CreateResponse", {"model": "a.b"})


def test_a_model_may_be_open_through_a_profile_alone():
    """AWS's own example: the models only with `bedrock:InferenceProfileArn`."""
    through = {"StringLike": {"bedrock:InferenceProfileArn": PROFILE}}
    desk = Desk(
        statement("bedrock:InvokeModel", PROFILE),
        statement("bedrock:InvokeModel", list(BEHIND), Condition=through),
        profiles=MODELS,
    )
    assert desk.allows("bedrock-runtime.Converse", {"modelId": "us-gov.a.b"})
    assert not desk.allows("bedrock-runtime.Converse", {"modelId": "a.b"})


@pytest.mark.parametrize("denied", BEHIND)
def test_throughput_of_a_model_is_asked_for_by_that_model(denied):
    """Else what is denied could be reserved, and called by the ARN of what was reserved."""
    asked = ("bedrock.CreateProvisionedModelThroughput", {"modelId": "us-gov.a.b"})
    desk = Desk(statement(), statement("bedrock:*", denied, "Deny"), profiles=MODELS)
    assert not desk.allows(*asked)
    assert Desk(statement(), profiles=MODELS).allows(*asked)


def test_a_profile_is_described_by_its_own_arn():
    desk = Desk(statement("bedrock:GetInferenceProfile", PROFILE), profiles=MODELS)
    named = {"inferenceProfileIdentifier": "us-gov.a.b"}
    assert desk.allows("bedrock.GetInferenceProfile", named)


def test_deleting_many_is_asked_for_key_by_key():
    desk = Desk(statement("s3:DeleteObject", "arn:aws-us-gov:s3:::b/open/*"))
    many = {"Bucket": "b", "Delete": {"Objects": [{"Key": "open/1"}, {"Key": "shut/1"}]}}
    assert desk.allows("s3.DeleteObjects", many)
    standing = desk.authorizer.standing(a_call("s3.DeleteObjects"), many)
    answers = [
        standing.permits("s3:DeleteObject", f"arn:aws-us-gov:s3:::b/{key}")
        for key in ("open/1", "shut/1")
    ]
    assert answers == [True, False]


GUARDRAIL = f"{BEDROCK}:{ME}:guardrail/g1"
ASKED = {"guardrailIdentifier": "g1", "guardrailVersion": "2"}
MODEL = f"{BEDROCK}::foundation-model/maker.one-v1:0"


def from_documents(**generation):
    asked = {
        "knowledgeBaseId": "KB",
        "modelArn": MODEL,
        "generationConfiguration": generation,
    }
    about = {"type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": asked}
    return {"input": {"text": "x"}, "retrieveAndGenerateConfiguration": about}


HELD = {
    "bedrock-runtime.Converse": ({"modelId": MODEL, "guardrailConfig": ASKED}, {"modelId": MODEL}),
    "bedrock-runtime.InvokeModel": ({"modelId": MODEL, **ASKED}, {"modelId": MODEL}),
    "bedrock-agent-runtime.RetrieveAndGenerate": (
        from_documents(guardrailConfiguration={"guardrailId": "g1", "guardrailVersion": "2"}),
        from_documents(),
    ),
}


@pytest.mark.parametrize("operation", HELD)
@pytest.mark.parametrize(
    ("wanted", "holds"), [(f"{GUARDRAIL}:2", True), (f"{GUARDRAIL}:1", False), (GUARDRAIL, False)]
)
def test_a_policy_may_ask_for_a_guardrail_wherever_a_model_answers(operation, wanted, holds):
    unless = {"StringNotEquals": {"bedrock:GuardrailIdentifier": wanted}}
    desk = Desk(statement(), statement("bedrock:InvokeModel", "*", "Deny", Condition=unless))
    guarded, bare = HELD[operation]
    assert desk.allows(operation, guarded) is holds
    assert not desk.allows(operation, bare)


@pytest.mark.parametrize("operation", HELD)
@pytest.mark.parametrize(
    ("wanted", "holds"), [(f"{GUARDRAIL}:2", True), (f"{GUARDRAIL}:1", False), (GUARDRAIL, False)]
)
def test_so_may_an_agencys_own_cedar(operation, wanted, holds):
    desk = Desk(
        statement(),
        cedar='forbid (principal, action, resource) when { context.operation like "bedrock:Invoke*"'
        f' }} unless {{ context has guardrail && context.guardrail == "{wanted}" }};',
    )
    guarded, bare = HELD[operation]
    for _ in range(2):  # what is kept of one is not the other's answer
        assert desk.allows(operation, guarded) is holds
        assert not desk.allows(operation, bare)
    key = {"bedrock:GuardrailIdentifier": wanted}
    who = principal()
    assert desk.authorizer.permits(who, "bedrock:InvokeModel", MODEL, key)
    assert not desk.authorizer.permits(who, "bedrock:InvokeModel", MODEL, {})


@pytest.mark.parametrize("operation", HELD)
def test_who_names_a_guardrail_must_be_allowed_to_apply_it(operation):
    desk = Desk(statement(), statement("bedrock:ApplyGuardrail", GUARDRAIL, "Deny"))
    guarded, bare = HELD[operation]
    assert "bedrock:ApplyGuardrail" in desk.refusal(operation, guarded).message
    assert desk.allows(operation, bare)


LAMBDA = f"arn:aws-us-gov:lambda:us-gov-west-1:{ME}:function"


@pytest.mark.parametrize(
    "named",
    [
        "secret", "secret:$LATEST", f"{ME}:function:secret", f"{LAMBDA}:secret",
        f"{LAMBDA}:secret:$LATEST", "function:secret", f"us-gov-west-1:{ME}:function:secret",
    ],
)  # fmt: skip
def test_a_denied_function_is_denied_in_every_spelling(named):
    desk = Desk(statement(), statement("lambda:*", f"{LAMBDA}:secret", "Deny"))
    for operation in ("Invoke", "GetFunction", "UpdateFunctionCode", "AddPermission"):
        asked = {"FunctionName": named}
        assert "explicit deny" in desk.refusal(f"lambda.{operation}", asked).message
        assert canonical(a_call(f"lambda.{operation}"), asked) == {"FunctionName": "secret"}
    assert desk.allows("lambda.Invoke", {"FunctionName": named.replace("secret", "other")})


@pytest.mark.parametrize(
    "named",
    [
        f"{OTHER}:function:f", f"{LAMBDA}:f".replace(ME, OTHER),
        f"{LAMBDA}:f".replace("-west-", "-east-"), f"us-gov-east-1:{ME}:function:f",
    ],
)  # fmt: skip
def test_a_function_of_elsewhere_keeps_its_name(named):
    found = canonical(a_call("lambda.Invoke"), {"FunctionName": named})["FunctionName"]
    assert found.startswith("arn:")
    assert found.endswith(":function:f")
