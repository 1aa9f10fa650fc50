"""The lattice kernel: mandatory access control on labels, before any policy of an agency's.

No read up: a session reads what its label dominates. No write down: what it changes has its own
label, neither a lower one, which would tell downwards, nor a higher one, which it cannot see. What
it makes gets a label that dominates its own (`kernel/labels/labelling.py`).

Before both, a duty: an auditor reads evidence, and nothing else, whatever labels and policies say.
Evidence is what CloudTrail tells, and where its trails deliver: what is read there, the store shows
an auditor only if the delivery wrote it (`store/views.py`).

Source: Bell and LaPadula, MTR-2997 (1976), the simple security and the *-property.
"""

from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from bastide.kernel.call import Duty, Principal
from bastide.kernel.labels.label import Label

ACTIONS_MAX = 2_048  # of which it is known how they touch; there are 1,300 operations


class Mode(StrEnum):
    """How an action touches a resource."""

    READ = "read"  # what it holds, or that it is there
    MAKE = "make"  # something new: where one of its name and label is, it is no new one's
    CHANGE = "change"  # what is there already


# By the first word of an action. An action with none of them is a mistake at start-up.
VERBS = {
    **dict.fromkeys(
        ("Get", "List", "Count", "Describe", "Apply", "Retrieve", "Rerank",
         "Head", "Filter", "Lookup", "Simulate", "Invoke", "Call",
         "Encrypt", "Decrypt", "ReEncrypt", "Generate", "Sign", "Verify"),
        Mode.READ,
    ),
    "Create": Mode.MAKE,
    **dict.fromkeys(
        (
            "Put", "Delete", "Update", "Stop", "Tag", "Untag", "Abort", "Add", "Attach", "Detach",
            "Remove", "Set", "Upload", "Start", "Enable", "Disable", "Rotate", "Schedule", "Cancel",
            "Retire", "Revoke", "Prepare", "Associate", "Disassociate",
        ),
        Mode.CHANGE,
    ),
}  # fmt: skip

# An object is put beside those of other labels, and only the write itself can tell what it
# replaces, removes or tags. So a name that is taken refuses none of these, and they are asked about
# again, as what they are, when the label is known (`writing.py`).
ASKED_AGAIN = {
    "s3:PutObject": Mode.MAKE,
    "s3:PutObjectTagging": Mode.CHANGE,
    "s3:PutObjectVersionTagging": Mode.CHANGE,
    "s3:DeleteObject": Mode.CHANGE,
    "s3:DeleteObjectVersion": Mode.CHANGE,
    "s3:DeleteObjectTagging": Mode.CHANGE,
    "s3:DeleteObjectVersionTagging": Mode.CHANGE,
}
MODES = {
    **dict.fromkeys(ASKED_AGAIN, Mode.MAKE),
    # Who may use a key, and by which names, is a change of the key.
    "kms:CreateAlias": Mode.CHANGE,
    "kms:CreateGrant": Mode.CHANGE,
    "iam:GenerateCredentialReport": Mode.READ,
    "iam:PassRole": Mode.READ,  # the job that gets it is what is made
    "sts:AssumeRole": Mode.READ,
    "sts:TagSession": Mode.READ,
    "sts:SetSourceIdentity": Mode.READ,
    # What is made is tagged by it too, and an endpoint updated to a configuration of a lower label:
    # whoever does it looks again at what it changes.
    "sagemaker:AddTags": Mode.MAKE,
    "sagemaker:UpdateEndpoint": Mode.MAKE,
    # What goes in is written to a container of the endpoint's label (serving/invocations.py).
    "sagemaker:InvokeEndpoint": Mode.CHANGE,
    "sagemaker:InvokeEndpointAsync": Mode.CHANGE,
    # What belongs to an agent is part of it.
    "bedrock:CreateAgentActionGroup": Mode.CHANGE,
    "bedrock:CreateAgentAlias": Mode.CHANGE,
    "bedrock-agentcore:CreateAgentRuntimeEndpoint": Mode.CHANGE,
    # A session is of its caller's label, whatever its runtime's, which may lie below.
    "bedrock-agentcore:StopRuntimeSession": Mode.READ,
    # A job works at its session's label and makes what has that; so does who hands documents in or
    # takes them out (knowledge/). The knowledge base may lie below.
    "bedrock:StartIngestionJob": Mode.MAKE,
    "bedrock:StopIngestionJob": Mode.MAKE,
    "bedrock:IngestKnowledgeBaseDocuments": Mode.MAKE,
    "bedrock:DeleteKnowledgeBaseDocuments": Mode.MAKE,
    "logs:CreateLogGroup": Mode.MAKE,
    "logs:CreateLogStream": Mode.MAKE,
    "logs:PutLogEvents": Mode.CHANGE,
    "cloudwatch:PutMetricData": Mode.MAKE,
}

# What tells a caller no more than who it is, or lets it be the same one by another key.
ABOUT_ONESELF = frozenset({"sts:GetCallerIdentity", "sts:GetSessionToken"})
# What `aws cloudtrail validate-logs` asks of a trail's bucket.
READS_DELIVERED = frozenset({"s3:GetBucketLocation", "s3:ListBucket", "s3:GetObject"})


@lru_cache(maxsize=ACTIONS_MAX)
def mode_of(action: str) -> Mode:
    """How `s3:PutObject` touches what it names. KeyError for one that nothing is said of. Nothing
    of IAM's has a label of its own: all of it lies at the agency's default."""
    found = MODES.get(action)
    if found is not None:
        return found
    name = action.partition(":")[2]
    mode = VERBS[next((verb for verb in VERBS if name.startswith(verb)), name)]
    made_in_place = mode is Mode.MAKE and action.startswith("iam:")
    return Mode.CHANGE if made_in_place else mode


def is_evidence(action: str) -> bool:
    """Whether it reads what was recorded of others' work: CloudTrail keeps nothing else."""
    return action.startswith("cloudtrail:") and mode_of(action) is Mode.READ


def asks_delivered(principal: Principal, action: str) -> bool:
    """Whether it depends on the resource if the caller's duty leaves room for this."""
    return principal.duty is Duty.AUDITOR and action in READS_DELIVERED


def is_of_duty(principal: Principal, action: str, *, delivered: bool = False) -> bool:
    """Whether the caller's duty, if it has one, leaves room for this. `delivered`: where a trail
    of its own agency delivers to."""
    if principal.duty is not Duty.AUDITOR:
        return True
    found = action in ABOUT_ONESELF or is_evidence(action)
    return found or (delivered and action in READS_DELIVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Walls:
    """`ceiling`: the most that this region may hold."""

    ceiling: Label

    def stands(self, principal: Principal) -> bool:
        """Whether a session is one that can be: within its clearance and the region."""
        session = principal.session
        return principal.clearance.dominates(session) and self.ceiling.dominates(session)

    def permits(
        self, principal: Principal, action: str, label: Label | None, *, delivered: bool = False
    ) -> bool:
        """Whether a session may do this to a resource of that label; None: there is none that it
        could see, which whoever looks for it says."""
        if not is_of_duty(principal, action, delivered=delivered) or not self.stands(principal):
            return False
        mode = mode_of(action)
        if label is None or mode is Mode.MAKE:
            return True
        if mode is Mode.READ:
            return principal.session.dominates(label)
        return principal.session == label

    def permits_altering(self, principal: Principal, action: str, label: Label, mode: Mode) -> bool:
        """Whether a session may MAKE something of that label, be it above and unseen, or CHANGE
        what has it: asked when a write knows what it touches."""
        if not is_of_duty(principal, action) or not self.stands(principal):
            return False
        if mode is Mode.MAKE:
            return label.dominates(principal.session) and self.ceiling.dominates(label)
        return mode is Mode.CHANGE and principal.session == label
