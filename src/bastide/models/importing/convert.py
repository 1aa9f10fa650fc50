"""A folder of safetensors as one GGUF file. Matrices keep their type, but for BF16: the engine
would round to it what it multiplies them with, so they become F16, which nearly all of theirs are
exactly (none is off by more than 2^-25). Vectors become 32-bit. What is no number is refused.

The rows of Llama's queries and keys are put in the engine's order: it turns neighbours where the
original turns halves.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bastide.models.importing import gguf_writer
from bastide.models.importing.config import Config, config_of
from bastide.models.importing.facts import Refused
from bastide.models.importing.geometry import Geometry
from bastide.models.importing.gguf_writer import Written
from bastide.models.importing.safetensors import Tensor, tensors_of
from bastide.models.importing.tokenizer import Vocabulary, vocabulary_of

TEXT_BYTES_MAX = 64 << 20  # of a JSON file
NUMBER_DIGITS_MAX = 4  # of a layer
TURNED_BYTES_MAX = 1 << 30  # of a matrix whose rows change places
NAMES = {
    "model.embed_tokens.weight": "token_embd.weight",
    "model.norm.weight": "output_norm.weight",
    "lm_head.weight": "output.weight",
}
PARTS = {
    "input_layernorm": "attn_norm",
    "post_attention_layernorm": "ffn_norm",
    "self_attn.q_proj": "attn_q",
    "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v",
    "self_attn.o_proj": "attn_output",
    "mlp.gate_proj": "ffn_gate",
    "mlp.up_proj": "ffn_up",
    "mlp.down_proj": "ffn_down",
}
_TYPES = {"F32": "<f4", "F16": "<f2", "BF16": "<u2"}
_BECOMES = {"F32": "F32", "F16": "F16", "BF16": "F16"}


def convert(folder: Path, out: Path) -> None:
    """Raises Refused."""
    config = config_of(_read(folder, "config.json"))
    shape = config.geometry
    values = config.values()
    vocabulary = _vocabulary(folder, config)
    tensors = _tensors(folder, config, shape)
    shape.check_tensors({name: tensor.shape for name, tensor in tensors.items()})
    gguf_writer.write(out, values | vocabulary.values(), tensors)


def _vocabulary(folder: Path, config: Config) -> Vocabulary:
    settings = (
        _json(folder, "tokenizer_config.json") if _has(folder, "tokenizer_config.json") else {}
    )
    if _has(folder, "chat_template.jinja"):
        raw = _read(folder, "chat_template.jinja")
        settings = {**settings, "chat_template": raw.decode(errors="replace")}
    ids: dict[str, int] = {}
    for role in ("bos", "eos"):
        said = getattr(config, f"{role}_token_id")
        first = said[0] if isinstance(said, list) and said else said
        if isinstance(first, int):
            ids[role] = first
    return vocabulary_of(_json(folder, "tokenizer.json"), settings, config.vocab_size, ids)


def _tensors(folder: Path, config: Config, shape: Geometry) -> dict[str, Written]:
    found: dict[str, Tensor] = {}
    for file in sorted(folder.glob("*.safetensors")):
        for name, tensor in tensors_of(file).items():
            if name in found:
                raise Refused(f"The tensor {name[:100]} is in two files.")
            found[name] = tensor
    _check_index(folder, found)
    made: dict[str, Written] = {}
    for name, tensor in found.items():
        if name.endswith(".rotary_emb.inv_freq"):  # computed from the configuration
            continue
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue  # the embedding is used for it
        ours = _name(name)
        made[ours] = _written(ours, tensor, shape)
    if factors := config.rope_factors():
        raw = np.array(factors, dtype="<f4").tobytes()
        made["rope_freqs.weight"] = Written(
            kind="F32", shape=(len(factors),), size=len(raw), blocks=lambda: iter((raw,))
        )
    if not config.tie_word_embeddings and "output.weight" not in made:
        raise Refused("The tensor lm_head.weight is missing.")
    return made


def _check_index(folder: Path, found: Mapping[str, Tensor]) -> None:
    """Where an index says what belongs to the model, that and no more must be there."""
    if not _has(folder, "model.safetensors.index.json"):
        return
    said = _json(folder, "model.safetensors.index.json").get("weight_map")
    is_map = isinstance(said, dict) and all(isinstance(file, str) for file in said.values())
    if not is_map or {name: one.file.name for name, one in found.items()} != said:
        raise Refused("The files do not have the tensors that model.safetensors.index.json names.")


def _name(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    words = name.split(".")
    if words[:2] == ["model", "layers"] and len(words) > 4 and words[2].isascii():
        part = PARTS.get(".".join(words[3:-1]))
        is_number = words[2].isdigit() and len(words[2]) <= NUMBER_DIGITS_MAX
        is_number = is_number and str(int(words[2])) == words[2]
        if part is not None and is_number and words[-1] in ("weight", "bias"):
            return f"blk.{words[2]}.{part}.{words[-1]}"
    raise Refused(f"The tensor {name[:100]} is not one of a model that is supported here.")


def _written(name: str, tensor: Tensor, shape: Geometry) -> Written:
    dimensions = tuple(reversed(tensor.shape))
    heads = {"attn_q": shape.heads, "attn_k": shape.kv_heads}.get(name.split(".")[-2])
    turns = shape.architecture == "llama" and heads is not None
    if len(tensor.shape) == 1:
        return Written(
            kind="F32",
            shape=dimensions,
            size=tensor.shape[0] * 4,
            blocks=lambda: _vector(tensor, heads if turns else None),
        )
    kind = _BECOMES[tensor.kind]
    if not turns:
        return Written(
            kind=kind, shape=dimensions, size=tensor.size, blocks=lambda: _matrix(tensor, kind)
        )
    if tensor.size > TURNED_BYTES_MAX:
        raise Refused(f"The tensor {name} is larger than {TURNED_BYTES_MAX} bytes.")
    return Written(
        kind=kind,
        shape=dimensions,
        size=tensor.size,
        blocks=lambda: iter((_turned(_whole(tensor, kind), heads or 1).tobytes(),)),
    )


def _vector(tensor: Tensor, heads: int | None) -> Iterator[bytes]:
    found = _whole(tensor, "F32")
    yield (found if heads is None else _turned(found, heads)).tobytes()


def _matrix(tensor: Tensor, kind: str) -> Iterator[bytes]:
    for block in tensor.blocks():
        yield _numbers(block, tensor.kind, kind).tobytes()


def _whole(tensor: Tensor, kind: str) -> NDArray[Any]:
    return _numbers(b"".join(tensor.blocks()), tensor.kind, kind).reshape(tensor.shape)


def _numbers(raw: bytes, kind: str, becomes: str) -> NDArray[Any]:
    found: NDArray[Any] = np.frombuffer(raw, dtype=_TYPES[kind])
    if kind == "BF16":  # the upper half of a 32-bit number
        found = (found.astype("<u4") << 16).view("<f4")
    with np.errstate(over="ignore"):  # what is too large is infinite then, and refused
        made: NDArray[Any] = found.astype(_TYPES[becomes], copy=False)
    if not np.isfinite(made).all():
        raise Refused("The weights hold what is no number, or one that is too large.")
    return made


def _turned(found: NDArray[Any], heads: int) -> NDArray[Any]:
    rows, rest = found.shape[0], found.shape[1:]
    if rows % (2 * heads):
        raise Refused("Its attention heads do not go together.")
    halves = found.reshape(heads, 2, rows // heads // 2, *rest)
    return np.ascontiguousarray(halves.swapaxes(1, 2)).reshape(found.shape)


def _has(folder: Path, name: str) -> bool:
    return (folder / name).is_file()


def _read(folder: Path, name: str) -> bytes:
    if not _has(folder, name):
        raise Refused(f"{name} is missing.")
    with (folder / name).open("rb") as file:
        found = file.read(TEXT_BYTES_MAX + 1)
    if len(found) > TEXT_BYTES_MAX:
        raise Refused(f"{name} is larger than {TEXT_BYTES_MAX} bytes.")
    return found


def _json(folder: Path, name: str) -> dict[str, Any]:
    try:
        found = json.loads(_read(folder, name))
    except (ValueError, RecursionError):
        raise Refused(f"{name} is no JSON.") from None
    if not isinstance(found, dict):
        raise Refused(f"{name} is no JSON object.")
    return found
