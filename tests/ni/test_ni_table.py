"""Every operation is played in some pair, or is named here with the reason why it needs none: a new
one fails this until somebody has decided."""

from botocore import xform_name

from bastide.policy.walls import Mode, mode_of
from tests.ni.rehearsal import CHAPTERS, at_doors, below, drawn
from tests.registry import ask_region

# Nothing of IAM's has a label of its own: whoever works above changes none of it, and so nothing
# that could be seen in these. What reads them is played (tests/ni/chapters_people.py).
CHANGES_OF_IAM = """
    CreateAccessKey CreateAccountAlias CreatePolicyVersion CreateServiceSpecificCredential
    DeleteAccessKey DeleteAccountAlias DeleteGroup DeleteGroupPolicy DeletePolicy
    DeletePolicyVersion DeleteRole DeleteRolePermissionsBoundary DeleteRolePolicy
    DeleteServiceSpecificCredential DeleteUser DeleteUserPermissionsBoundary DeleteUserPolicy
    DetachGroupPolicy DetachRolePolicy DetachUserPolicy PutRolePermissionsBoundary
    PutUserPermissionsBoundary RemoveUserFromGroup SetDefaultPolicyVersion TagPolicy TagRole
    TagUser UntagPolicy UntagRole UntagUser UpdateAccessKey UpdateAssumeRolePolicy UpdateGroup
    UpdateRole UpdateRoleDescription UpdateServiceSpecificCredential UpdateUser
"""
UNPLAYED = {f"iam.{name}": "changes what has no label" for name in CHANGES_OF_IAM.split()} | {
    "bedrock-mantle.CountMessageTokens": "CountTokens in other words",
    "bedrock-mantle.CreateChatCompletion": "Converse in other words",
    "bedrock-mantle.CreateEmbedding": "InvokeModel in other words; a vector depends on its text",
    "bedrock-mantle.CreateMessage": "Converse in other words",
    "bedrock-mantle.CreateResponse": "Converse in other words; nothing of it is kept",
    "bedrock-mantle.ListModels": "ListFoundationModels and the profiles in other words",
    "bedrock-mantle.RetrieveModel": "GetFoundationModel in other words",
}


def _said(operation: str) -> str:
    """As boto3 has it."""
    service, _, name = operation.partition(".")
    return f"{service}.{xform_name(name)}"


def test_every_operation_is_played_or_needs_no_pair(tmp_path):
    handled = ask_region(tmp_path, lambda region: set(region.gateway.handlers))
    played = drawn().union(*(below(chapter) for chapter in CHAPTERS.values()))
    played |= {_said(operation) for operation in at_doors()}
    left = {operation for operation in handled if _said(operation) not in played}
    assert len(handled - left) > 300  # they were found
    assert left - UNPLAYED.keys() == set(), "play it in a pair, or say here why it needs none"
    assert UNPLAYED.keys() - left == set(), "it is played, or is no more"


def test_whoever_works_above_changes_nothing_of_iam():
    names = {name.partition(".")[2] for name in UNPLAYED if name.startswith("iam.")}
    assert {mode_of(f"iam:{name}") for name in names} == {Mode.CHANGE}
