"""bedrock-mantle: CreateEmbedding, for clients of OpenAI's embeddings.

Source: https://platform.openai.com/docs/api-reference/embeddings
"""

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bastide.inference.embedder import LETTERS_MAX, Embedded
from bastide.inference.retelling import WHO, find_model
from bastide.inference.vectors import Asked, Vectors
from bastide.kernel.call import Call
from bastide.kernel.errors import invalid, unsupported
from bastide.kernel.operation import operation
from bastide.models.catalogue import Models

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

    vectors: Vectors
    models: Models

    @operation("model", "input", "dimensions", "encoding_format", accepted={"user": WHO})
    async def create_embedding(self, call: Call, req: Params) -> Params:
        card = find_model(self.models, call, req["model"])
        texts, encoding = _texts(call, req["input"]), req.get("encoding_format", "float")
        if encoding not in ENCODINGS:
            raise unsupported(call.operation, f"encoding_format={encoding}")
        if req.get("dimensions", card.dimensions) != card.dimensions:
            raise invalid(f"{req['model']} makes vectors of {card.dimensions} dimensions only.")
        prompt = json.dumps(texts, separators=(",", ":"), ensure_ascii=False)
        asked = Asked(texts=texts, whole=True, prompt=prompt.encode("utf-8", "surrogatepass"))
        found = await self.vectors.of(call, card, asked, _shown)
        rows = [
            {"object": "embedding", "index": index, "embedding": _written(vector, encoding)}
            for index, vector in enumerate(found.unit.astype("<f4"))
        ]
        tokens = sum(found.tokens)
        usage = {"prompt_tokens": tokens, "total_tokens": tokens}
        shown = {"object": "list", "data": rows, "model": req["model"], "usage": usage}
        return {"body": shown}


def _shown(found: Embedded) -> bytes:
    return found.unit.astype("<f4").tobytes()


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
