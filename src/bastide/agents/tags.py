"""bedrock-agent: the tags of agents and of their aliases.

Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_agent_TagResource.html
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from bastide.agents import records
from bastide.agents.book import Book, agent_arn, alias_arn, missing
from bastide.agents.model import Agent, Alias, Params
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError, invalid, unsupported
from bastide.kernel.labels.labelling import TAG
from bastide.kernel.operation import operation

TAGS_MAX = 50
Tagged = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentTags:
    book: Book

    @operation("resourceArn", "tags")
    def tag_resource(self, call: Call, req: Params) -> Params:
        put = checked(req["tags"])
        self._retag(call, req["resourceArn"], put, lambda had: checked({**had, **put}))
        return {}

    @operation("resourceArn", "tagKeys")
    def untag_resource(self, call: Call, req: Params) -> Params:
        gone = frozenset(req["tagKeys"])
        if TAG in gone:  # its row would keep the label, and nothing would say so
            raise invalid("A thing keeps the label that it was made with.")

        def left(had: Tagged) -> Tagged:
            return {key: value for key, value in had.items() if key not in gone}

        self._retag(call, req["resourceArn"], {}, left)
        return {}

    @operation("resourceArn")
    def list_tags_for_resource(self, call: Call, req: Params) -> Params:
        def read(c: Connection) -> Tagged:
            return self._found(c, call, req["resourceArn"], self.book.agent_in).tags

        return {"tags": dict(self.book.database.read(read))}

    def _retag(self, call: Call, arn: str, put: Tagged, change: Callable[[Tagged], Tagged]) -> None:
        def write(c: Connection) -> None:
            one = self._found(c, call, arn, self.book.own)
            self.book.marks.check_tags(call, put, one.label)
            if isinstance(one, Agent):
                records.put(c, replace(one, tags=change(one.tags)))
            else:
                records.put_alias(c, replace(one, tags=change(one.tags)))

        self.book.database.write(write)

    def _found(
        self,
        c: Connection,
        call: Call,
        arn: str,
        find: Callable[[Connection, Call, str], Agent],
    ) -> Agent | Alias:
        """Policies were asked of the ARN that is given: nothing else is the thing's."""
        kind, agent_id, alias_id = (*arn.rpartition(":")[2].split("/"), "", "")[:3]
        if kind not in ("agent", "agent-alias"):
            raise unsupported(call.operation, f"The tags of {kind or 'that'}")
        if kind == "agent":
            if arn == agent_arn(call, agent_id):
                return find(c, call, agent_id)
        elif arn == alias_arn(call, agent_id, alias_id):
            agent = find(c, call, agent_id)
            found = records.alias(c, agent.account, agent.id, alias_id)
            if found is not None:
                return found
        raise missing("The resource could not be found.")


def checked(tags: Tagged) -> dict[str, str]:
    if len(tags) > TAGS_MAX:
        message = f"A resource has at most {TAGS_MAX} tags."
        raise ServiceError("ServiceQuotaExceededException", message)
    if any(key.lower().startswith("aws:") for key in tags):
        raise invalid("Tag keys that start with aws: are reserved.")
    return dict(tags)
