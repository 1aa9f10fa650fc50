"""InvokeModel of models that make vectors."""

from dataclasses import dataclass

from bastide.inference.dialects import embedding_bodies
from bastide.inference.dialects.dialect import Answered, Whole
from bastide.inference.vectors import Asked, Vectors
from bastide.kernel.call import Call
from bastide.models.model import ModelCard, ModelKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Embeddings:
    """`WholeCalls` of InvokeModel. What it is asked to read is committed to by InvokeModel itself,
    as the body that was sent."""

    vectors: Vectors

    def takes(self, named: str, card: ModelCard) -> bool:
        return card.kind is ModelKind.EMBEDDING or embedding_bodies.is_family(named)

    async def answer(self, call: Call, whole: Whole) -> Answered:
        reading = embedding_bodies.read(whole, call.request_id)
        dimensions = embedding_bodies.dimensions_of(whole, reading.dimensions)
        asked = Asked(
            texts=reading.texts,
            whole=reading.cut == "NONE",
            keep_end=reading.cut in ("START", "LEFT"),
        )
        found = (await self.vectors.of(call, whole.card, asked, lambda _: b"")).cut(dimensions)
        return Answered(body=reading.say(found), input_tokens=sum(found.tokens))
