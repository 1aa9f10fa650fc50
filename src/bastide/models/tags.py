"""bedrock: tags, of whatever kind of resource has a keeper here.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_TagResource.html
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, invalid
from bastide.kernel.labels.labelling import TAG
from bastide.kernel.operation import operation

Params = dict[str, Any]
TAGS_MAX = 50


class Keeper(Protocol):
    """Who keeps the tags of one kind of resource. Raises ResourceNotFoundException for an ARN of
    which the session sees nothing."""

    def tags_of(self, call: Call, arn: str) -> Mapping[str, str]: ...

    def retag(
        self, call: Call, arn: str, put: Mapping[str, str], dropped: frozenset[str]
    ) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    """`keepers`: by the first word of an ARN's resource; `app/` fills it."""

    keepers: dict[str, Keeper]

    @operation("resourceARN", "tags")
    def tag_resource(self, call: Call, req: Params) -> Params:
        self._keeper(call, req).retag(call, req["resourceARN"], checked(req["tags"]), frozenset())
        return {}

    @operation("resourceARN", "tagKeys")
    def untag_resource(self, call: Call, req: Params) -> Params:
        dropped = frozenset(req["tagKeys"])
        if TAG in dropped:  # its row would keep the label, and nothing would say so
            raise invalid("A thing keeps the label that it was made with.")
        self._keeper(call, req).retag(call, req["resourceARN"], {}, dropped)
        return {}

    @operation("resourceARN")
    def list_tags_for_resource(self, call: Call, req: Params) -> Params:
        tags = self._keeper(call, req).tags_of(call, req["resourceARN"])
        return {"tags": [{"key": key, "value": value} for key, value in sorted(tags.items())]}

    def _keeper(self, call: Call, req: Params) -> Keeper:
        arn = arns.parse(req["resourceARN"])
        here = (call.region.partition, "bedrock", call.region.name, call.account)
        if arn is not None and (arn.partition, arn.service, arn.region, arn.account) == here:
            found = self.keepers.get(arn.resource.partition("/")[0])
            if found is not None:
                return found
        raise ServiceError("ResourceNotFoundException", "The resource could not be found.")


def checked(given: list[dict[str, str]]) -> dict[str, str]:
    """The tags that a caller gives."""
    found = {one["key"]: one["value"] for one in given}
    if len(found) < len(given):
        raise invalid("Tag keys must be unique.")
    if any(key.lower().startswith("aws:") for key in found):
        raise invalid("Tag keys that start with aws: are reserved.")
    return with_room(found)


def with_room(tags: Mapping[str, str]) -> dict[str, str]:
    if len(tags) > TAGS_MAX:
        raise ServiceError("TooManyTagsException", f"A resource has at most {TAGS_MAX} tags.")
    return dict(tags)
