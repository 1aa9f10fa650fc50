"""The markings of all that has an ARN, joined for operators: each context knows its own things."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bastide.app.bedrock import Bedrock
from bastide.app.core import Core
from bastide.app.learning import MachineLearning
from bastide.app.store import Store
from bastide.evidence import records as trail_records
from bastide.kernel import arns
from bastide.kms import records as kms_records

Marked = Callable[[str, str], Sequence[str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Markings:
    """`by_service`: of an account's things, by their ARN."""

    by_service: Mapping[str, Marked]

    def of(self, account: str, arn: str) -> Sequence[str]:
        """None of another account's: who asks has named the agency."""
        named = arns.parse(arn)
        marked = self.by_service.get(named.service) if named else None
        if named is None or marked is None or named.account not in ("", account):
            return ()
        return marked(account, arn)


def open_markings(
    core: Core, store: Store, learning: MachineLearning, bedrock: Bedrock
) -> Markings:
    def of_key(account: str, arn: str) -> Sequence[str]:
        key_id = arn.rpartition("/")[2]
        found = core.keyring.database.read(lambda c: kms_records.find(c, account, key_id))
        return () if found is None else (found.label,)

    def of_trail(account: str, arn: str) -> Sequence[str]:
        name = arn.rpartition("/")[2]
        return core.database.read(lambda c: trail_records.labels_of(c, account, name))

    return Markings(
        by_service={
            "bedrock": lambda _, arn: bedrock.models.marked(arn.rpartition("/")[2]),
            "cloudtrail": of_trail,
            "kms": of_key,
            "logs": learning.log_facts.marked,
            "s3": store.space.marked,
            "sagemaker": learning.things.marked,
        }
    )
