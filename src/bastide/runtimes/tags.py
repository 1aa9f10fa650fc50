"""bedrock-agentcore-control: tags of agent runtimes and of their endpoints.

https://docs.aws.amazon.com/bedrock-agentcore-control/latest/APIReference/API_TagResource.html
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.kernel.call import Call
from bastide.kernel.errors import invalid
from bastide.kernel.labels.labelling import TAG
from bastide.kernel.operation import operation
from bastide.runtimes import records
from bastide.runtimes.book import Book, checked_tags, missing, runtime_arn
from bastide.runtimes.model import Endpoint, Params, Runtime

Change = Callable[[Mapping[str, str]], Mapping[str, str]]
_NAMED = re.compile(r"([^/]+)(?:/runtime-endpoint/([^/]+))?\Z")


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeTags:
    book: Book

    @operation("resourceArn", "tags")
    def tag_resource(self, call: Call, req: Params) -> Params:
        given = req["tags"]
        self._retag(call, req["resourceArn"], lambda had: checked_tags({**had, **given}), given)
        return {}

    @operation("resourceArn", "tagKeys")
    def untag_resource(self, call: Call, req: Params) -> Params:
        gone = frozenset(req["tagKeys"])
        if TAG in gone:  # its row would keep the label, and nothing would say so
            raise invalid("A thing keeps the label that it was made with.")
        self._retag(
            call,
            req["resourceArn"],
            lambda had: {key: value for key, value in had.items() if key not in gone},
        )
        return {}

    @operation("resourceArn")
    def list_tags_for_resource(self, call: Call, req: Params) -> Params:
        _, thing = self.book.database.read(lambda c: self._thing(c, call, req["resourceArn"]))
        return {"tags": dict(thing.tags)}

    def _retag(
        self, call: Call, arn: str, change: Change, given: Mapping[str, str] | None = None
    ) -> None:
        def write(c: Connection) -> None:
            runtime, thing = self._thing(c, call, arn)
            self.book.marks.check_own(call, runtime.label)
            self.book.marks.check_tags(call, given or {}, runtime.label)
            tags = change(thing.tags)
            if isinstance(thing, Endpoint):
                records.put_endpoint(c, replace(thing, tags=tags))
            else:
                records.put(c, replace(thing, tags=tags))

        self.book.database.write(write)

    def _thing(self, c: Connection, call: Call, arn: str) -> tuple[Runtime, Runtime | Endpoint]:
        """ResourceNotFoundException for what this session does not see."""
        ours = runtime_arn(call, "")
        named = _NAMED.match(arn.removeprefix(ours)) if arn.startswith(ours) else None
        if named is None:
            raise missing("The resource could not be found.")
        runtime = self.book.runtime_in(c, call, named[1])
        return runtime, self.book.endpoint(c, runtime, named[2]) if named[2] else runtime
