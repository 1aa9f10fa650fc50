"""What the mandatory engines are asked: who, in which mode, about what, under which ceiling."""

from dataclasses import dataclass
from enum import StrEnum

from bastide.kernel.labels.label import Label


class Mode(StrEnum):
    """How an operation touches a resource. The first seven are every operation's; the others are
    done by two people only."""

    READ = "read"
    LIST = "list"
    CREATE = "create"
    APPEND = "append"
    OVERWRITE = "overwrite"  # and delete
    MANAGE = "manage"  # tags and policies: no content, but names tell
    EVIDENCE = "evidence"
    DOWNGRADE = "downgrade"
    LOOSEN_GUARDRAIL = "loosenGuardrail"
    DESTROY_KEY = "destroyKey"
    GRANT_CLEARANCE = "grantClearance"
    HAND_OUT_KEYS = "handOutKeys"
    REVIEW_TRANSFER = "reviewTransfer"
    CHANGE_TRUST_ANCHOR = "changeTrustAnchor"
    RETIRE_AUDIT = "retireAudit"
    RELEASE = "release"


TWO_PERSON = frozenset(Mode) - {
    Mode.READ,
    Mode.LIST,
    Mode.CREATE,
    Mode.APPEND,
    Mode.OVERWRITE,
    Mode.MANAGE,
    Mode.EVIDENCE,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Who asks. `roles`: the region's own (`operator`, `auditor`, `releaser`, …) by their name,
    and `ACCOUNT/NAME` of an IAM role that was assumed."""

    id: str
    account: str
    arn: str
    name: str
    kind: str
    clearance: Label
    session: Label
    roles: frozenset[str] = frozenset()
    suspended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What is asked about. `shared_with`: other accounts that may read it. `delivered`: it is where
    a trail of its account delivers to, which is looked for where an auditor asks. `author`,
    `digest` and `down` are a transfer's."""

    arn: str
    account: str
    kind: str
    label: Label
    shared_with: frozenset[str] = frozenset()
    delivered: bool = False
    author: str = ""
    digest: str = ""
    down: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """One person's yes to the action of that digest."""

    by: Subject
    digest: str
    expires_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One decision to make. `guardrail`: the ARN of the one that judges what is said, with
    `:VERSION` for a numbered one. Where two people must agree, they are `subject` and who approved,
    `digest` is that of the exact action, and `requester` asked for it."""

    subject: Subject
    mode: Mode
    operation: str
    target: Target
    ceiling: Label
    now_s: int = 0
    guardrail: str = ""
    digest: str | None = None
    requester: str = ""
    approval: Approval | None = None
    second: Approval | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """`policies`: the ids of those that decided. `errors`: what could not be worked out: no."""

    allowed: bool
    policies: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
