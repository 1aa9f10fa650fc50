"""Functions as agents have them executed: found, let in and run as whoever works for the agent."""

import json
from dataclasses import dataclass

from bastide.functions.invoking import Invoking
from bastide.functions.model import Function
from bastide.functions.permissions import INVOKE, lets_agent
from bastide.functions.ports import Permits, Threads
from bastide.functions.shelf import Shelf
from bastide.kernel import arns
from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError

WHY_MAX = 2_000  # characters of AWS's error object, in an agent's trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Executors:
    """`agents.ports.Executors`. A function above the session is not there. It runs at the session's
    label, which is that of all that it is sent, and its role has to be cleared for it."""

    shelf: Shelf
    invoking: Invoking
    permits: Permits
    threads: Threads

    def check(self, worker: Call, agent_id: str, function_arn: str) -> None:
        self.invoking.check(worker.principal, self._found(worker, agent_id, function_arn))

    async def invoke(
        self, worker: Call, agent_id: str, function_arn: str, event: bytes
    ) -> tuple[bytes, str]:
        whose = worker.principal.whose
        return await self.threads.run(whose, self._invoke, worker, agent_id, function_arn, event)

    def _invoke(
        self, worker: Call, agent_id: str, function_arn: str, event: bytes
    ) -> tuple[bytes, str]:
        one = self._found(worker, agent_id, function_arn)
        ran = self.invoking.run(worker.principal, one, event, self.shelf.ids.uuid())
        why = json.dumps(dict(ran.failure))[:WHY_MAX] if ran.failure else ""
        return ran.payload, why

    def _found(self, worker: Call, agent_id: str, function_arn: str) -> Function:
        """Policies are asked of the one ARN that it has: by another region's or agency's name it
        would be called past them."""
        name = function_arn.partition(":function:")[2]
        is_own = function_arn == self.shelf.arn(worker.account, name)
        one = self.shelf.seen(worker.principal, name) if is_own else None
        if one is None:
            raise self.shelf.absent(worker.account, function_arn)
        if not self._is_let_in(worker, agent_id, one):
            raise ServiceError(
                "AccessDeniedException",
                f"{INVOKE} on {function_arn} is not permitted: its policy must let Bedrock in for "
                "this agent, or, for an inline agent, its caller's policies its caller.",
                status=403,
            )
        return one

    def _is_let_in(self, worker: Call, agent_id: str, one: Function) -> bool:
        if not agent_id:
            return self.permits.permits(worker.principal, INVOKE, one.arn, {})
        agent = arns.regional(worker.region, "bedrock", worker.account, f"agent/{agent_id}")
        return lets_agent(self.permits, worker.principal, one, agent)
