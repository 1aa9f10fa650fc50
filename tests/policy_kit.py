"""Calls and callers for the authorizer, with policies that are just there."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from bastide.kernel import arns
from bastide.kernel.call import Call, Principal, PrincipalKind
from bastide.kernel.errors import ServiceError
from bastide.kernel.regions import Region
from bastide.policy.authorizer import PolicyAuthorizer
from bastide.policy.ports import Stored
from bastide.policy.sharing import Shared
from bastide.policy.walls import Walls
from tests.cedar_kit import second_engine
from tests.labels_kit import CEILING, UNCLASSIFIED, US

REGION = Region("us-gov-west-1", "aws-us-gov", "amazonaws.com")
ME, OTHER = "111122223333", "444455556666"
USER = f"arn:aws-us-gov:iam::{ME}:user/ann"


def statement(action="*", resource="*", effect="Allow", **more):
    return {"Effect": effect, "Action": action, "Resource": resource, **more}


def document(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


@dataclass
class Held:
    """Everything that a policy decision looks up."""

    policies: dict[str, list[str]] = field(default_factory=dict)  # issuer ARN → documents
    boundaries: dict[str, str] = field(default_factory=dict)  # issuer ARN → document
    buckets: dict[str, str] = field(default_factory=dict)
    trust: dict[str, str] = field(default_factory=dict)
    profiles: dict[str, tuple[str, tuple[str, ...]]] = field(default_factory=dict)

    tagged: dict[str, dict[str, str]] = field(default_factory=dict)  # ARN → tags

    shares: dict[tuple[str, str], Shared] = field(default_factory=dict)  # (reader, alias) →
    labels: dict[str, str] = field(default_factory=dict)  # ARN → marking
    delivered: set[str] = field(default_factory=set)  # ARNs
    aliases: dict[str, list[str]] = field(default_factory=dict)  # KMS key id → names
    keys: dict[str, list[tuple[str, str]]] = field(default_factory=dict)  # KMS key id → policies

    def label(self, principal, resource, version):
        marking = self.labels.get(resource)
        return US.parse(marking) if marking else None

    def identified(self, principal, kind, identifier):
        return identifier

    def is_delivered(self, principal, resource):
        return resource in self.delivered

    def tags(self, principal, resource, version):
        """`ARN?VERSION` for those of a version."""
        return self.tagged.get(f"{resource}?{version}" if version else resource, {})

    def policies_of(self, account, issuer_arn):
        return [(f"p{n}", text) for n, text in enumerate(self.policies.get(issuer_arn, []))]

    def boundary_of(self, account, issuer_arn):
        text = self.boundaries.get(issuer_arn)
        return ("boundary", text) if text else None

    def arn_of(self, account, kind, name):
        return None

    def trust_policy(self, account, role_arn):
        return self.trust.get(role_arn)

    def bucket_policy(self, principal, bucket):
        return self.buckets.get(bucket)

    def shared(self, principal, bucket):
        return self.shares.get((principal.account, bucket))

    def alias_target(self, principal, alias):
        return None

    def key_aliases(self, principal, key_id):
        return self.aliases.get(key_id, [])

    def sealing_key(self, ciphertext):
        return None

    def key_policies(self, account, key_id, encryption):
        return self.keys.get(key_id)

    def models(self, region, principal, identifier):
        plain = arns.regional(region, "bedrock", "", f"foundation-model/{identifier}")
        return self.profiles.get(identifier, ("", (plain,)))


class Desk:
    """An authorizer, and the questions that tests ask of it."""

    def __init__(self, *statements, cedar="", **held):
        self.held = Held(policies={USER: [document(*statements)]}, **held)
        self.authorizer = PolicyAuthorizer(
            walls=Walls(ceiling=CEILING),
            second=second_engine({ME: [("own", cedar)]} if cedar else None),
            stored=Stored(principals=self.held, resources=self.held),
        )

    def refusal(self, operation, params, **call_facts):
        """None if the call is allowed, else the error, after names are in their one spelling."""
        call = a_call(operation, **call_facts)
        try:
            self.authorizer.authorize(call, self.authorizer.canonical(call, params))
        except ServiceError as error:
            return error
        return None

    def allows(self, operation, params, **call_facts):
        return self.refusal(operation, params, **call_facts) is None


def principal(**changes):
    values = {
        "account": ME,
        "arn": USER,
        "user_id": "AIDAANN",
        "kind": PrincipalKind.USER,
        "issuer_arn": USER,
        "name": "ann",
        "access_key_id": "AKIAANN",
        **UNCLASSIFIED,
    }
    return Principal(**values | changes)


def a_call(operation, *, who=None, **facts):
    return Call(
        operation=operation,
        region=REGION,
        principal=who or principal(),
        request_id="r",
        time=datetime(2026, 1, 1, tzinfo=UTC),
        **facts,
    )
