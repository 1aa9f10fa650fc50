"""Knowledge bases as a function of an agent's: what is found is told to the model, and is cited.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/agents-kb-add.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from bastide.agents.ports import Retriever, Threads
from bastide.agents.traces import references
from bastide.agents.workers import INVOKE_MODEL, Workers
from bastide.kernel import arns
from bastide.kernel.call import Call, Notes
from bastide.kernel.errors import ServiceError

Params = dict[str, Any]
RETRIEVE = "bedrock:Retrieve"
PASSAGES = 5  # that a model is told of


@dataclass(frozen=True, slots=True, kw_only=True)
class Passages:
    """`refused` says why there are none, for the model and the trace."""

    found: Sequence[Mapping[str, Any]] = ()
    label: str = ""
    refused: str = ""

    @property
    def text(self) -> str:
        if self.refused:
            return self.refused
        texts = [str(one["content"].get("text") or "") for one in self.found]
        return "\n\n".join(f"[{n}] {text}" for n, text in enumerate(texts, 1)) or "Nothing found."


@dataclass(frozen=True, slots=True, kw_only=True)
class LookingUp:
    retriever: Retriever
    workers: Workers
    threads: Threads

    async def ask(
        self, worker: Call, knowledge_base_id: str, query: str, wanted: Mapping[str, Any]
    ) -> Passages:
        """As the agent's role, at the label of the turn. `wanted`: what this turn's caller says of
        how to look."""
        call = replace(worker, operation="bedrock-agent-runtime.Retrieve", notes=Notes())
        name = f"knowledge-base/{knowledge_base_id}"
        try:
            self.workers.require(
                call, RETRIEVE, arns.regional(call.region, "bedrock", call.account, name)
            )
            ranking = (wanted.get("vectorSearchConfiguration") or {}).get("rerankingConfiguration")
            self._may_rerank(call, ranking or {})
            config = {"vectorSearchConfiguration": {"numberOfResults": PASSAGES}, **wanted}
            req = {
                "knowledgeBaseId": knowledge_base_id,
                "retrievalQuery": {"text": query},
                "retrievalConfiguration": config,
            }
            answer = await self.threads.run(call.whose, self.retriever.retrieve, call, req)
        except ServiceError as error:
            return Passages(refused=f"The search failed: {error.message}")
        return Passages(found=answer["retrievalResults"], label=call.notes.label)

    def _may_rerank(self, call: Call, ranking: Mapping[str, Any]) -> None:
        """As the caller of Retrieve is asked, where its passages are ranked by another model."""
        if not ranking:
            return
        self.workers.require(call, "bedrock:Rerank", "*")
        inside = ranking.get("bedrockRerankingConfiguration") or {}
        model = (inside.get("modelConfiguration") or {}).get("modelArn") or ""
        profile, models = self.workers.models.arns(call.region, call.principal, model)
        for arn in (profile, *models):
            if arn:
                self.workers.require(call, INVOKE_MODEL, arn)


def citations(answer: str, found: Sequence[Mapping[str, Any]]) -> list[Params]:
    """The whole answer is put down to all that was read for it: which part is from which passage,
    a model does not say, and is not guessed."""
    if not found:
        return []
    span = {"start": 0, "end": len(answer)}  # exclusive, as RetrieveAndGenerate's
    part = {"textResponsePart": {"text": answer, "span": span}}
    return [{"generatedResponsePart": part, "retrievedReferences": references(found)}]
