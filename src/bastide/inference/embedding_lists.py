"""bedrock-mantle: CreateEmbedding, for clients of OpenAI's embeddings.

Source: https://platform.openai.com/docs/api-reference/embeddings
"""

import asyncio
import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bastide.audit.receipts import Model, Receipts
from bastide.inference.chat_completions import WHO, find_model
from bastide.inference.embedder import LETTERS_MAX, Embedder
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock
from bastide.kernel.errors import invalid, unsupported
from bastide.kernel.operation import operation
from bastide.models.catalogue import Models
from bastide.models.model import ModelCard

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

Params = dict[str, Any]
TEXTS_MAX = 2048
ENCODINGS = ("float", "base64")


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbeddingLists:
    """The receipt's prompt is the list of the texts in JSON; its answer, the vectors as they are
    in base64: 32-bit floats, the least byte first."""

    embedder: Embedder
    models: Models
    clock: Clock
    receipts: Receipts

    @operation("model", "input", "dimensions", "encoding_format", accepted={"user": WHO})
    async def create_embedding(self, call: Call, req: Params) -> Params:
        started = self.clock.monotonic_s()
        card = find_model(self.models, call, req["model"])
        texts, encoding = _texts(call, req["input"]), req.get("encoding_format", "float")
        if encoding not in ENCODINGS:
            raise unsupported(call.operation, f"encoding_format={encoding}")
        found = await asyncio.to_thread(self.embedder.embedded, call.principal, card, texts)
        if max(found.read_to) >= 0:
            raise invalid(f"A text is longer than the model's {card.context_tokens} tokens.")
        if req.get("dimensions", card.dimensions) != card.dimensions:
            raise invalid(f"{req['model']} makes vectors of {card.dimensions} dimensions only.")
        vectors, tokens = found.unit.astype("<f4"), sum(found.tokens)
        self._told(call, card, (texts, vectors.tobytes()), (started, tokens))
        rows = [
            {"object": "embedding", "index": index, "embedding": _written(vector, encoding)}
            for index, vector in enumerate(vectors)
        ]
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        shown = {"object": "list", "data": rows, "model": req["model"], "usage": usage}
        return {"body": shown}

    def _told(
        self, call: Call, card: ModelCard, kept: tuple[list[str], bytes], took: tuple[float, int]
    ) -> None:
        (texts, answer), (started, tokens) = kept, took
        call.notes.headers["x-bastide-model"] = card.model_id
        call.notes.audit |= {
            "model": card.model_id,
            "model_sha256": card.sha256,
            "input_tokens": str(tokens),
        }
        prompt = json.dumps(texts, separators=(",", ":"), ensure_ascii=False)
        model = Model(name=card.model_id, digest=f"sha256:{card.sha256}", cores=1)
        draft = self.receipts.begin(call, model, prompt.encode("utf-8", "surrogatepass"))
        draft.add(answer)
        draft.end(self.clock.monotonic_s() - started, (tokens, 0))
        draft.promise()


def _texts(call: Call, given: Any) -> list[str]:
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not 0 < len(texts) <= TEXTS_MAX:
        raise invalid(f"input must be a text or a list of at most {TEXTS_MAX} texts.")
    if any(isinstance(text, int | list) for text in texts):
        raise unsupported(call.operation, "input of token ids")
    if not all(isinstance(text, str) and 0 < len(text) <= LETTERS_MAX for text in texts):
        raise invalid(f"Each input must be a text of 1 to {LETTERS_MAX} letters.")
    return texts


def _written(vector: "npt.NDArray[np.float32]", encoding: str) -> str | list[float]:
    if encoding == "base64":
        return base64.b64encode(vector.tobytes()).decode()
    return [float(each) for each in vector]
