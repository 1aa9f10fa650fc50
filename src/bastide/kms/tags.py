"""Tags of keys.

https://docs.aws.amazon.com/kms/latest/APIReference/API_TagResource.html
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from bastide.kernel import arns
from bastide.kernel.call import Call, Principal
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.label import Label
from bastide.kernel.labels.labelling import TAG
from bastide.kernel.operation import operation
from bastide.kms import pages
from bastide.kms.model import Key, Params
from bastide.kms.vault import Vault

TAGS_MAX = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    vault: Vault

    @operation("KeyId", "Tags")
    def tag_resource(self, call: Call, req: Params) -> Params:
        _check_label_stays(tag["TagKey"] for tag in req["Tags"])

        def work(key: Key) -> Key:
            self.vault.check_not_pending(key)
            return replace(key, tags=checked_tags(key.tags, req["Tags"]))

        self.vault.change(call, req["KeyId"], work)
        return {}

    @operation("KeyId", "TagKeys")
    def untag_resource(self, call: Call, req: Params) -> Params:
        _check_label_stays(req["TagKeys"])

        def work(key: Key) -> Key:
            self.vault.check_not_pending(key)
            left = {name: key.tags[name] for name in key.tags if name not in req["TagKeys"]}
            return replace(key, tags=left)

        self.vault.change(call, req["KeyId"], work)
        return {}

    @operation("KeyId", "Limit", "Marker")
    def list_resource_tags(self, call: Call, req: Params) -> Params:
        key, limit = self.vault.key(call, req["KeyId"]), pages.limit_of(req, TAGS_MAX)
        behind = [name for name in sorted(key.tags) if name > pages.after(req)]
        return pages.answer(
            "Tags", behind, limit, lambda name: name,
            lambda name: {"TagKey": name, "TagValue": key.tags[name]},
        )  # fmt: skip


def tags_of(vault: Vault, principal: Principal, arn: str) -> Mapping[str, str]:
    """For policies with conditions on tags."""
    found = _named(vault, principal, arn)
    return found.tags if found else {}


def label_of(vault: Vault, principal: Principal, arn: str) -> Label | None:
    """For the walls: None where the session sees no such key."""
    found = _named(vault, principal, arn)
    return vault.label_of(found) if found else None


def _named(vault: Vault, principal: Principal, arn: str) -> Key | None:
    parsed = arns.parse(arn)
    kind, _, key_id = parsed.resource.partition("/") if parsed else ("", "", "")
    return vault.seen(principal, key_id) if kind == "key" else None


def _check_label_stays(names: Iterable[str]) -> None:
    """It is bound into what wraps the key."""
    if TAG in names:
        raise ServiceError("TagException", "A key keeps the label that it was made with.")


def checked_tags(had: Mapping[str, str], given: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """`had`, with more; ServiceError for tags that KMS does not take."""
    names = [tag["TagKey"] for tag in given]
    if len(set(names)) != len(names):
        raise ServiceError("TagException", "Duplicate tag keys")
    if any(name.lower().startswith("aws:") for name in names):
        raise ServiceError("TagException", "Tag keys that begin with aws: are reserved.")
    found = {**had, **{tag["TagKey"]: tag["TagValue"] for tag in given}}
    if len(found) > TAGS_MAX:
        raise ServiceError("TagException", f"A key has no more than {TAGS_MAX} tags.")
    return found
