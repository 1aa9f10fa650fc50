"""KMS by AWS's own clients: keys are made, named, used, rotated, granted and ended for real."""

import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import load_der_public_key

CONTEXT = {"purpose": "test", "Dept": "ten"}


def refused(code, method, **request):
    with pytest.raises(ClientError) as caught:
        method(**request)
    assert caught.value.response["Error"]["Code"] == code, caught.value
    return caught.value


@pytest.fixture(scope="module")
def kms(region):
    return region.client("kms", "alpha")


@pytest.fixture
def key(kms):
    """A new symmetric key's id."""
    return kms.create_key(Description="for a test")["KeyMetadata"]["KeyId"]


def user(region, agency, name, *statements):
    """A client of KMS and an ARN: a new user with one policy, or with none."""
    iam = region.client("iam", agency)
    arn = iam.create_user(UserName=name)["User"]["Arn"]
    if statements:
        document = json.dumps({"Version": "2012-10-17", "Statement": list(statements)})
        iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=document)
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return client_of(region, agency, made), arn


def client_of(region, agency, made, service="kms"):
    return boto3.client(
        service,
        endpoint_url=region.status["endpoint"],
        verify=region.agency(agency).get("AWS_CA_BUNDLE"),
        region_name=region.name,
        aws_access_key_id=made["AccessKeyId"],
        aws_secret_access_key=made["SecretAccessKey"],
        config=Config(retries={"max_attempts": 1}),
    )


def test_a_key_is_described_listed_and_named(kms, key, region):
    described = kms.describe_key(KeyId=key)["KeyMetadata"]
    assert described["KeyState"] == "Enabled"
    assert described["AWSAccountId"] == region.account("alpha")["account_id"]
    assert described["EncryptionAlgorithms"] == ["SYMMETRIC_DEFAULT"]
    pages = kms.get_paginator("list_keys").paginate(PaginationConfig={"PageSize": 1})
    assert key in [each["KeyId"] for page in pages for each in page["Keys"]]
    kms.update_key_description(KeyId=described["Arn"], Description="another")
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["Description"] == "another"
    alias = f"alias/{key}"
    kms.create_alias(AliasName=alias, TargetKeyId=key)
    assert kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"] == key
    refused("AlreadyExistsException", kms.create_alias, AliasName=alias, TargetKeyId=key)
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    kms.update_alias(AliasName=alias, TargetKeyId=other)
    assert kms.describe_key(KeyId=alias)["KeyMetadata"]["KeyId"] == other
    assert [each["AliasName"] for each in kms.list_aliases(KeyId=other)["Aliases"]] == [alias]
    assert kms.list_aliases(KeyId=key)["Aliases"] == []
    kms.delete_alias(AliasName=alias)
    refused("NotFoundException", kms.describe_key, KeyId=alias)
    refused("NotFoundException", kms.delete_alias, AliasName=alias)
    refused("InvalidAliasNameException", kms.create_alias, AliasName="alias/aws/x", TargetKeyId=key)


def test_what_is_encrypted_opens_with_its_context_alone(kms, key):
    sealed = kms.encrypt(KeyId=key, Plaintext=b"secret", EncryptionContext=CONTEXT)
    blob = sealed["CiphertextBlob"]
    assert b"secret" not in blob
    opened = kms.decrypt(CiphertextBlob=blob, EncryptionContext=CONTEXT)
    assert (opened["Plaintext"], opened["KeyId"]) == (b"secret", sealed["KeyId"])
    for context in ({}, {"purpose": "test"}, {**CONTEXT, "Dept": "Ten"}):
        refused(
            "InvalidCiphertextException", kms.decrypt,
            CiphertextBlob=blob, EncryptionContext=context,
        )  # fmt: skip
    for at in range(0, len(blob), 7):
        changed = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
        with pytest.raises(ClientError):
            kms.decrypt(CiphertextBlob=changed, EncryptionContext=CONTEXT)
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    refused(
        "IncorrectKeyException", kms.decrypt,
        CiphertextBlob=blob, EncryptionContext=CONTEXT, KeyId=other,
    )  # fmt: skip
    moved = kms.re_encrypt(
        CiphertextBlob=blob, SourceEncryptionContext=CONTEXT, DestinationKeyId=other
    )
    assert kms.decrypt(CiphertextBlob=moved["CiphertextBlob"])["KeyId"].endswith(other)
    refused("DryRunOperationException", kms.encrypt, KeyId=key, Plaintext=b"x", DryRun=True)


def test_data_keys(kms, key):
    made = kms.generate_data_key(KeyId=key, KeySpec="AES_256", EncryptionContext=CONTEXT)
    assert len(made["Plaintext"]) == 32
    opened = kms.decrypt(CiphertextBlob=made["CiphertextBlob"], EncryptionContext=CONTEXT)
    assert opened["Plaintext"] == made["Plaintext"]
    hidden = kms.generate_data_key_without_plaintext(KeyId=key, NumberOfBytes=64)
    assert "Plaintext" not in hidden
    assert len(kms.decrypt(CiphertextBlob=hidden["CiphertextBlob"])["Plaintext"]) == 64
    refused("ValidationException", kms.generate_data_key, KeyId=key)
    first, second = (kms.generate_random(NumberOfBytes=32)["Plaintext"] for _ in range(2))
    assert first != second
    assert len(first) == 32


def test_a_key_of_rsa_encrypts_by_its_public_half(kms):
    key = kms.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["KeyId"]
    public = load_der_public_key(kms.get_public_key(KeyId=key)["PublicKey"])
    oaep = padding.OAEP(padding.MGF1(hashes.SHA256()), hashes.SHA256(), None)
    asked = {"KeyId": key, "EncryptionAlgorithm": "RSAES_OAEP_SHA_256"}
    opened = kms.decrypt(CiphertextBlob=public.encrypt(b"x", oaep), **asked)
    assert opened["Plaintext"] == b"x"
    sealed = kms.encrypt(Plaintext=b"y", **asked)["CiphertextBlob"]
    assert kms.decrypt(CiphertextBlob=sealed, **asked)["Plaintext"] == b"y"
    refused("InvalidCiphertextException", kms.decrypt, CiphertextBlob=b"z" * 256, **asked)


def test_signatures_verify_outside_too(kms):
    key = kms.create_key(KeySpec="ECC_NIST_P384", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    asked = {"KeyId": key, "Message": b"minutes", "SigningAlgorithm": "ECDSA_SHA_384"}
    signature = kms.sign(**asked)["Signature"]
    assert kms.verify(**asked, Signature=signature)["SignatureValid"]
    public = kms.get_public_key(KeyId=key)
    assert public["SigningAlgorithms"] == ["ECDSA_SHA_384"]
    loaded = load_der_public_key(public["PublicKey"])
    loaded.verify(signature, b"minutes", ec.ECDSA(hashes.SHA384()))
    wrong = {**asked, "Message": b"hours", "Signature": signature}
    refused("KMSInvalidSignatureException", kms.verify, **wrong)
    refused("InvalidKeyUsageException", kms.encrypt, KeyId=key, Plaintext=b"x")
    wrong = {**asked, "SigningAlgorithm": "ECDSA_SHA_256"}
    refused("InvalidKeyUsageException", kms.sign, **wrong)


@pytest.mark.parametrize("algorithm", ["RSASSA_PSS_SHA_256", "RSASSA_PKCS1_V1_5_SHA_512"])
def test_signatures_of_rsa_and_of_digests(kms, algorithm):
    key = kms.create_key(KeySpec="RSA_2048", KeyUsage="SIGN_VERIFY")["KeyMetadata"]["KeyId"]
    size = int(algorithm[-3:]) // 8
    asked = {"KeyId": key, "SigningAlgorithm": algorithm}
    for message, kind in ((b"minutes", "RAW"), (b"d" * size, "DIGEST")):
        told = {**asked, "Message": message, "MessageType": kind}
        assert kms.verify(**told, Signature=kms.sign(**told)["Signature"])["SignatureValid"]
    refused("ValidationException", kms.sign, **asked, Message=b"short", MessageType="DIGEST")


def test_codes_of_messages(kms):
    key = kms.create_key(KeySpec="HMAC_256", KeyUsage="GENERATE_VERIFY_MAC")["KeyMetadata"]["KeyId"]
    asked = {"KeyId": key, "Message": b"m", "MacAlgorithm": "HMAC_SHA_256"}
    mac = kms.generate_mac(**asked)["Mac"]
    assert kms.verify_mac(**asked, Mac=mac)["MacValid"]
    refused("KMSInvalidMacException", kms.verify_mac, **{**asked, "Message": b"n"}, Mac=mac)
    refused("UnsupportedOperationException", kms.get_public_key, KeyId=key)


def test_a_key_that_is_disabled_or_will_go_does_nothing(kms, key, desk):
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    kms.disable_key(KeyId=key)
    refused("DisabledException", kms.encrypt, KeyId=key, Plaintext=b"x")
    refused("DisabledException", kms.decrypt, CiphertextBlob=blob)
    kms.enable_key(KeyId=key)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"
    refused("ValidationException", kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=6)
    refused("KMSInvalidStateException", kms.cancel_key_deletion, KeyId=key)
    asked = desk.agreed(kms.schedule_key_deletion, KeyId=key, PendingWindowInDays=7)
    assert asked["KeyState"] == "PendingDeletion"
    refused("KMSInvalidStateException", kms.decrypt, CiphertextBlob=blob)
    refused("KMSInvalidStateException", kms.enable_key, KeyId=key)
    kms.cancel_key_deletion(KeyId=key)
    assert kms.describe_key(KeyId=key)["KeyMetadata"]["KeyState"] == "Disabled"
    kms.enable_key(KeyId=key)
    assert kms.decrypt(CiphertextBlob=blob)["Plaintext"] == b"x"


def test_what_older_versions_sealed_still_opens(kms, key):
    assert not kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]
    blob = kms.encrypt(KeyId=key, Plaintext=b"old")["CiphertextBlob"]
    kms.rotate_key_on_demand(KeyId=key)
    after = kms.encrypt(KeyId=key, Plaintext=b"new")["CiphertextBlob"]
    assert [kms.decrypt(CiphertextBlob=each)["Plaintext"] for each in (blob, after)] == [
        b"old", b"new",
    ]  # fmt: skip
    rotations = kms.list_key_rotations(KeyId=key)["Rotations"]
    assert [each["RotationType"] for each in rotations] == ["ON_DEMAND"]
    kms.enable_key_rotation(KeyId=key, RotationPeriodInDays=90)
    assert kms.get_key_rotation_status(KeyId=key)["RotationPeriodInDays"] == 90
    kms.disable_key_rotation(KeyId=key)
    assert not kms.get_key_rotation_status(KeyId=key)["KeyRotationEnabled"]


def test_tags_of_keys_count_in_policies(region, kms):
    red, blue = (
        kms.create_key(Tags=[{"TagKey": "team", "TagValue": team}])["KeyMetadata"]["KeyId"]
        for team in ("red", "blue")
    )
    allowed = {
        "Effect": "Allow", "Action": "kms:Encrypt", "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/team": "red"}},
    }  # fmt: skip
    client, _ = user(region, "alpha", "red-team", allowed)
    client.encrypt(KeyId=red, Plaintext=b"x")
    refused("AccessDeniedException", client.encrypt, KeyId=blue, Plaintext=b"x")
    kms.untag_resource(KeyId=red, TagKeys=["team"])
    refused("AccessDeniedException", client.encrypt, KeyId=red, Plaintext=b"x")
    kms.tag_resource(KeyId=blue, Tags=[{"TagKey": "team", "TagValue": "red"}])
    client.encrypt(KeyId=blue, Plaintext=b"x")
    tags = kms.list_resource_tags(KeyId=blue)["Tags"]
    assert tags == [{"TagKey": "team", "TagValue": "red"}]


def policy_of(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def letting(principal, *actions, **more):
    return {
        "Effect": "Allow", "Principal": {"AWS": principal}, "Action": list(actions),
        "Resource": "*", **more,
    }  # fmt: skip


def test_the_key_policy_decides_before_iam(region, kms, key):
    admin = boto_arn(region, kms)
    everything = {"Effect": "Allow", "Action": "kms:*", "Resource": "*"}
    client, _ = user(region, "alpha", "of-iam-alone", everything)
    named, named_arn = user(region, "alpha", "named-by-the-key")
    client.encrypt(KeyId=key, Plaintext=b"x")
    refused("AccessDeniedException", named.encrypt, KeyId=key, Plaintext=b"x")
    policy = policy_of(letting(admin, "kms:*"), letting(named_arn, "kms:Encrypt"))
    kms.put_key_policy(KeyId=key, PolicyName="default", Policy=policy)
    refused("AccessDeniedException", client.encrypt, KeyId=key, Plaintext=b"x")
    blob = named.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    refused("AccessDeniedException", named.decrypt, CiphertextBlob=blob)
    shown = json.loads(kms.get_key_policy(KeyId=key)["Policy"])
    assert shown["Statement"][1]["Principal"]["AWS"] == named_arn
    assert kms.list_key_policies(KeyId=key)["PolicyNames"] == ["default"]


def boto_arn(region, kms):
    return region.client("sts", "alpha").get_caller_identity()["Arn"]


def test_a_policy_that_locks_its_writer_out_is_refused(region, kms, key):
    _, other = user(region, "alpha", "somebody-else")
    lone = policy_of(letting(other, "kms:*"))
    refused(
        "MalformedPolicyDocumentException", kms.put_key_policy,
        KeyId=key, PolicyName="default", Policy=lone,
    )  # fmt: skip
    refused("MalformedPolicyDocumentException", kms.create_key, Policy=lone)
    refused(
        "MalformedPolicyDocumentException", kms.put_key_policy,
        KeyId=key, PolicyName="default", Policy="{}",
    )  # fmt: skip
    kms.put_key_policy(
        KeyId=key, PolicyName="default", Policy=lone, BypassPolicyLockoutSafetyCheck=True
    )
    refused("AccessDeniedException", kms.describe_key, KeyId=key)


def test_conditions_on_the_encryption_context(region, kms, key):
    held = {"StringEquals": {"kms:EncryptionContext:purpose": "test"}}
    allowed = {"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Condition": held}
    client, _ = user(region, "alpha", "of-one-purpose", allowed)
    client.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=CONTEXT)
    for context in ({}, {"purpose": "another"}):
        refused(
            "AccessDeniedException", client.encrypt,
            KeyId=key, Plaintext=b"x", EncryptionContext=context,
        )  # fmt: skip


def test_conditions_on_the_alias_that_a_call_names(region, kms, key):
    kms.create_alias(AliasName="alias/asked-by", TargetKeyId=key)
    kms.create_alias(AliasName="alias/asked-too", TargetKeyId=key)
    by_name = {"StringEquals": {"kms:RequestAlias": "alias/asked-by"}}
    allowed = {"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Condition": by_name}
    client, _ = user(region, "alpha", "by-one-alias", allowed)
    arn = kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]
    for name in ("alias/asked-by", arn.replace(f"key/{key}", "alias/asked-by")):
        blob = client.encrypt(KeyId=name, Plaintext=b"x")["CiphertextBlob"]
        assert client.decrypt(KeyId=name, CiphertextBlob=blob)["Plaintext"] == b"x"
    for name in ("alias/asked-too", key, arn):
        refused("AccessDeniedException", client.encrypt, KeyId=name, Plaintext=b"x")
    refused("AccessDeniedException", client.decrypt, CiphertextBlob=blob)
    both = {"SourceKeyId": "alias/asked-by", "DestinationKeyId": "alias/asked-by"}
    client.re_encrypt(CiphertextBlob=blob, **both)
    for member in both:
        refused(
            "AccessDeniedException", client.re_encrypt,
            CiphertextBlob=blob, **{**both, member: "alias/asked-too"},
        )  # fmt: skip
    other = kms.create_key()["KeyMetadata"]["KeyId"]
    admin = region.client("sts", "alpha").get_caller_identity()["Arn"]
    granted = kms.create_grant(KeyId=other, GranteePrincipal=admin, Operations=["Encrypt"])
    token = granted["GrantToken"]
    refused("AccessDeniedException", client.retire_grant, GrantToken=token)
    named = {"GrantToken": token, "KeyId": "alias/asked-by"}
    refused("ValidationException", client.retire_grant, **named)
    assert kms.list_grants(KeyId=other)["Grants"]
    kms.retire_grant(GrantToken=token, KeyId=other)


def test_conditions_on_the_aliases_of_a_key(region, kms, key):
    of_team = {"ForAnyValue:StringLike": {"kms:ResourceAliases": "alias/of-team-*"}}
    allowed = {"Effect": "Allow", "Action": "kms:*", "Resource": "*", "Condition": of_team}
    client, _ = user(region, "alpha", "by-aliases", allowed)
    refused("AccessDeniedException", client.encrypt, KeyId=key, Plaintext=b"x")
    kms.create_alias(AliasName="alias/another-name", TargetKeyId=key)
    refused("AccessDeniedException", client.encrypt, KeyId=key, Plaintext=b"x")
    kms.create_alias(AliasName="alias/of-team-one", TargetKeyId=key)
    client.encrypt(KeyId=key, Plaintext=b"x")
    client.encrypt(KeyId="alias/another-name", Plaintext=b"x")
    kms.delete_alias(AliasName="alias/of-team-one")
    refused("AccessDeniedException", client.encrypt, KeyId=key, Plaintext=b"x")


def test_a_grant_lets_one_in_until_it_ends(region, kms, key):
    client, arn = user(region, "alpha", "grantee")
    blob = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext=CONTEXT)["CiphertextBlob"]
    asked = {"CiphertextBlob": blob, "EncryptionContext": CONTEXT}
    refused("AccessDeniedException", client.decrypt, **asked)
    grant = kms.create_grant(
        KeyId=key, GranteePrincipal=arn, Operations=["Decrypt", "RetireGrant"],
        Constraints={"EncryptionContextSubset": {"Dept": "ten"}},
        RetiringPrincipal=boto_arn(region, kms), Name="once",
    )  # fmt: skip
    assert client.decrypt(**asked, GrantTokens=[grant["GrantToken"]])["Plaintext"] == b"x"
    refused("AccessDeniedException", client.encrypt, KeyId=key, Plaintext=b"x")
    plain = kms.encrypt(KeyId=key, Plaintext=b"x", EncryptionContext={"dept": "ten"})
    refused(
        "AccessDeniedException", client.decrypt,
        CiphertextBlob=plain["CiphertextBlob"], EncryptionContext={"dept": "ten"},
    )  # fmt: skip
    (shown,) = kms.list_grants(KeyId=key)["Grants"]
    assert (shown["GranteePrincipal"], shown["GrantId"]) == (arn, grant["GrantId"])
    assert shown["Constraints"] == {"EncryptionContextSubset": {"Dept": "ten"}}
    mine = kms.list_retirable_grants(RetiringPrincipal=boto_arn(region, kms))["Grants"]
    assert grant["GrantId"] in [each["GrantId"] for each in mine]
    client.retire_grant(GrantToken=grant["GrantToken"])
    refused("AccessDeniedException", client.decrypt, **asked)
    grant = kms.create_grant(KeyId=key, GranteePrincipal=arn, Operations=["Decrypt"])
    client.decrypt(**asked)
    refused("AccessDeniedException", client.retire_grant, KeyId=key, GrantId=grant["GrantId"])
    refused("AccessDeniedException", client.revoke_grant, KeyId=key, GrantId=grant["GrantId"])
    kms.revoke_grant(KeyId=key, GrantId=grant["GrantId"])
    refused("AccessDeniedException", client.decrypt, **asked)


def test_another_agencys_key_answers_like_one_that_is_not_there(region, kms, key):
    other = region.client("kms", "beta")
    blob = kms.encrypt(KeyId=key, Plaintext=b"x")["CiphertextBlob"]
    arn = kms.describe_key(KeyId=key)["KeyMetadata"]["Arn"]
    absent = "00000000-0000-4000-8000-000000000000"
    for real, made_up in ((key, absent), (arn, arn.replace(key, absent))):
        answers = [
            str(error_of(other.describe_key, KeyId=name)).replace(name, "KEY")
            for name in (real, made_up)
        ]
        assert answers[0] == answers[1]
    head = blob.replace(bytes.fromhex(key.replace("-", "")), bytes.fromhex(absent.replace("-", "")))
    found = [error_of(other.decrypt, CiphertextBlob=each) for each in (blob, head)]
    assert str(found[0]) == str(found[1])
    assert "AccessDeniedException" in str(found[0])
    assert other.list_keys()["Keys"] == []


def error_of(method, **request):
    with pytest.raises(ClientError) as caught:
        method(**request)
    return caught.value
