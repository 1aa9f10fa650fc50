"""lambda: the tags of functions.

Source: https://docs.aws.amazon.com/lambda/latest/api/API_TagResource.html
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.functions.model import Function, Params
from bastide.functions.packages import bad
from bastide.functions.shelf import Shelf
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.kernel.labels.labelling import TAG
from bastide.kernel.operation import operation

TAGS_MAX, KEY_MAX, VALUE_MAX = 50, 128, 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Tags:
    shelf: Shelf

    @operation("Resource", "Tags")
    def tag_resource(self, call: Call, req: Params) -> Params:
        put = checked(req["Tags"])

        def work(c: Connection, one: Function) -> Function:
            self.shelf.marks.check_tags(call, put, one.label)
            return replace(one, tags=checked({**one.tags, **put}))

        self.shelf.change(call, self._named(call, req), work)
        return {}

    @operation("Resource", "TagKeys")
    def untag_resource(self, call: Call, req: Params) -> Params:
        gone = frozenset(req["TagKeys"])
        if TAG in gone:  # its row would keep the label, and nothing would say so
            raise bad("A thing keeps the label that it was made with.")

        def work(c: Connection, one: Function) -> Function:
            return replace(one, tags={k: v for k, v in one.tags.items() if k not in gone})

        self.shelf.change(call, self._named(call, req), work)
        return {}

    @operation("Resource")
    def list_tags(self, call: Call, req: Params) -> Params:
        found = self.shelf.found(call, self._named(call, req))
        return {"Tags": dict(found.tags)}

    def _named(self, call: Call, req: Params) -> str:
        """Policies were asked of the ARN that is given: nothing else is the function's."""
        name = str(req["Resource"]).partition(":function:")[2]
        if req["Resource"] != self.shelf.arn(call.account, name):
            message = "The resource you requested does not exist."
            raise ServiceError("ResourceNotFoundException", message)
        return name


def checked(tags: Mapping[str, str]) -> dict[str, str]:
    if len(tags) > TAGS_MAX:
        raise bad(f"A function has {TAGS_MAX} tags at most.")
    for key, value in tags.items():
        if not 0 < len(key) <= KEY_MAX or len(value) > VALUE_MAX:
            raise bad(f"A tag has {KEY_MAX} characters of key and {VALUE_MAX} of value at most.")
        if key.lower().startswith("aws:"):
            raise bad("Tag keys that start with aws: are reserved.")
    return dict(tags)
