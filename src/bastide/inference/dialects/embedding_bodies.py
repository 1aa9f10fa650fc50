"""The bodies of models that make vectors: Amazon Titan's, Cohere's and Amazon Nova's.

Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-titan-embed-text.html,
…/model-parameters-embed.html, …/nova/latest/userguide/embeddings-schema.html

What is asked and cannot be had of the model that answers is refused by name: more dimensions than
its own, and Cohere's calibrated int8 and uint8.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType

from bastide.inference.dialects.dialect import Params, Whole, cannot_take
from bastide.inference.dialects.json_body import malformed, shaped
from bastide.inference.embedder import Embedded
from bastide.kernel.errors import invalid

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

TITAN, COHERE, NOVA = "amazon.titan-embed-", "cohere.embed-", "amazon.nova-2-multimodal-embed"
TEXT_MAX = 50_000  # Titan's and Nova's own bound
TEXTS_MAX = 96
SHORT = 256  # all of the families know it, and what it costs was measured (decision 0058)
Text = Annotated[str, Meta(min_length=1, max_length=TEXT_MAX)]
Cut = Literal["NONE", "START", "END", "LEFT", "RIGHT"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """What a body asks. `cut`: which end of a long text is not read; "NONE": none may be long.
    `say` makes the family's answer."""

    texts: list[str]
    dimensions: int | None
    cut: Cut
    say: Callable[[Embedded], Params]


class _Titan(Struct, forbid_unknown_fields=True):
    inputText: Text
    dimensions: int | None = None
    normalize: bool = True
    embeddingTypes: Annotated[list[Literal["float", "binary"]], Meta(min_length=1)] | None = None


def titan(whole: Whole, request_id: str) -> Reading:
    asked = shaped(whole.body, _Titan)
    kinds = asked.embeddingTypes or ["float"]

    def say(found: Embedded) -> Params:
        vector = (found.unit if asked.normalize else found.raw)[0]
        made = {"float": vector.tolist(), "binary": (vector > 0).astype(int).tolist()}
        answer: Params = {"inputTextTokenCount": found.tokens[0]}
        if "float" in kinds:
            answer["embedding"] = made["float"]
        if not whole.named.startswith(f"{TITAN}text-v1"):  # the first has but one form
            answer["embeddingsByType"] = {kind: made[kind] for kind in kinds}
        return answer

    return Reading(texts=[asked.inputText], dimensions=asked.dimensions, cut="END", say=say)


class _Cohere(Struct, forbid_unknown_fields=True):
    input_type: Literal["search_document", "search_query", "classification", "clustering", "image"]
    texts: Annotated[list[Text], Meta(min_length=1, max_length=TEXTS_MAX)] | UnsetType = UNSET
    truncate: Cut = "NONE"
    embedding_types: list[Literal["float", "int8", "uint8", "binary", "ubinary"]] | None = None
    output_dimension: int | None = None
    images: Any = UNSET
    inputs: Any = UNSET
    max_tokens: Any = UNSET


def cohere(whole: Whole, request_id: str) -> Reading:
    asked = shaped(whole.body, _Cohere)
    for name in ("images", "inputs", "max_tokens"):
        if getattr(asked, name) is not UNSET:
            raise cannot_take(name)
    if asked.texts is UNSET:
        raise malformed("#: required key [texts] not found")
    if calibrated := {"int8", "uint8"} & set(asked.embedding_types or ()):
        raise cannot_take(f"embedding_types={min(calibrated)}")
    texts = list(asked.texts)

    def say(found: Embedded) -> Params:
        answer: Params = {"id": request_id, "texts": texts}
        if not asked.embedding_types:
            floats = found.unit.tolist()
            return answer | {"response_type": "embeddings_floats", "embeddings": floats}
        made = {kind: _as(kind, found.unit) for kind in asked.embedding_types}
        return answer | {"response_type": "embeddings_by_type", "embeddings": made}

    return Reading(texts=texts, dimensions=asked.output_dimension, cut=asked.truncate, say=say)


def _as(kind: str, vectors: "Vectors") -> Any:
    """Binary: a sign for each bit, eight in a byte, the first the highest."""
    import numpy as np

    if kind == "float":
        return vectors.tolist()
    packed = np.packbits(vectors > 0, axis=1)
    return packed.tolist() if kind == "ubinary" else (packed.astype(int) - 128).tolist()


class _NovaText(Struct, forbid_unknown_fields=True):
    value: Text
    truncationMode: Literal["START", "END", "NONE"]


class _NovaSingle(Struct, forbid_unknown_fields=True):
    embeddingPurpose: Literal[
        "GENERIC_INDEX", "GENERIC_RETRIEVAL", "TEXT_RETRIEVAL", "IMAGE_RETRIEVAL",
        "VIDEO_RETRIEVAL", "DOCUMENT_RETRIEVAL", "AUDIO_RETRIEVAL", "CLASSIFICATION", "CLUSTERING",
    ]  # fmt: skip
    embeddingDimension: int | None = None
    text: _NovaText | UnsetType = UNSET
    image: Any = UNSET
    audio: Any = UNSET
    video: Any = UNSET


class _Nova(Struct, forbid_unknown_fields=True):
    taskType: Literal["SINGLE_EMBEDDING"]
    singleEmbeddingParams: _NovaSingle
    schemaVersion: Literal["nova-multimodal-embed-v1"] = "nova-multimodal-embed-v1"


def nova(whole: Whole, request_id: str) -> Reading:
    asked = shaped(whole.body, _Nova).singleEmbeddingParams
    for name in ("image", "audio", "video"):
        if getattr(asked, name) is not UNSET:
            raise cannot_take(name)
    if isinstance(asked.text, UnsetType):
        raise malformed("#/singleEmbeddingParams: required key [text] not found")

    def say(found: Embedded) -> Params:
        one: Params = {"embeddingType": "TEXT", "embedding": found.unit[0].tolist()}
        if found.read_to[0] >= 0:
            one["truncatedCharLength"] = found.read_to[0]
        return {"embeddings": [one]}

    text = asked.text
    return Reading(
        texts=[text.value], dimensions=asked.embeddingDimension, cut=text.truncationMode, say=say
    )


Body = Callable[[Whole, str], Reading]
FAMILIES: Mapping[str, Body] = {TITAN: titan, COHERE: cohere, NOVA: nova}
# Of a model of our own: the first member that the body has.
BY_MEMBER: Mapping[str, Body] = {"texts": cohere, "input_type": cohere, "taskType": nova}


def is_family(named: str) -> bool:
    return named.startswith(tuple(FAMILIES))


def read(whole: Whole, request_id: str) -> Reading:
    """The body in its family's words; Titan's where nothing says another."""
    for prefix, body in FAMILIES.items():
        if whole.named.startswith(prefix):
            return body(whole, request_id)
    members = whole.body if isinstance(whole.body, dict) else {}
    found = next((body for name, body in BY_MEMBER.items() if name in members), titan)
    return found(whole, request_id)


def dimensions_of(whole: Whole, asked: int | None) -> int:
    """The family's default is not ours to give: without a word the vectors are the model's own."""
    own = whole.card.dimensions
    if asked is None or asked == own:
        return own
    if asked != SHORT or own < SHORT:
        raise invalid(
            f"{whole.card.model_id} makes vectors of {own} dimensions, or {SHORT} of them; "
            f"{asked} is not one."
        )
    return SHORT
