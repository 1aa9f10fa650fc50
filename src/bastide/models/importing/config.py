"""config.json of a model of Hugging Face's, as GGUF's metadata; what is not understood is refused.

Source: https://huggingface.co/docs/transformers/main_classes/configuration
"""

import math
from typing import Any

import msgspec

from bastide.models.importing.facts import Refused
from bastide.models.importing.geometry import Geometry

ARCHITECTURES = {
    "LlamaForCausalLM": "llama",
    "MistralForCausalLM": "llama",
    "Qwen2ForCausalLM": "qwen2",
}
PLAIN = (None, "default")
ROPE_BASE_MAX = 1e12


class Config(msgspec.Struct, frozen=True, kw_only=True):
    architectures: list[str]
    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    vocab_size: int
    max_position_embeddings: int
    rms_norm_eps: float
    num_key_value_heads: int | None = None
    head_dim: int | None = None
    rope_theta: float | None = None
    rope_scaling: dict[str, Any] | None = None
    rope_parameters: dict[str, Any] | None = None  # since transformers 5
    tie_word_embeddings: bool = False
    attention_bias: bool = False
    mlp_bias: bool = False
    sliding_window: int | None = None
    use_sliding_window: bool | None = None
    hidden_act: str = "silu"
    quantization_config: Any = None
    bos_token_id: int | list[int] | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None

    @property
    def architecture(self) -> str:
        found = [ARCHITECTURES.get(name) for name in self.architectures]
        if len(found) != 1 or found[0] is None:
            said = ", ".join(self.architectures)[:100]
            raise Refused(f"config.json: the architecture {said} is not supported here.")
        return found[0]

    @property
    def geometry(self) -> Geometry:
        """Raises Refused."""
        if self.num_attention_heads < 1:
            raise Refused("config.json: a model has attention heads.")
        made = Geometry(
            architecture=self.architecture,
            layers=self.num_hidden_layers,
            width=self.hidden_size,
            inner=self.intermediate_size,
            heads=self.num_attention_heads,
            kv_heads=self.num_key_value_heads or self.num_attention_heads,
            head_width=self.head_dim or self.hidden_size // self.num_attention_heads,
            vocabulary=self.vocab_size,
            context=self._context(),
        )
        made.check()
        return made

    def values(self) -> dict[str, Any]:
        """GGUF's metadata of its shape. Raises Refused."""
        self._check()
        shape, name = self.geometry, self.architecture
        rope = self._rope()
        found: dict[str, Any] = {
            "general.architecture": name,
            f"{name}.vocab_size": shape.vocabulary,
            f"{name}.context_length": shape.context,
            f"{name}.embedding_length": shape.width,
            f"{name}.block_count": shape.layers,
            f"{name}.feed_forward_length": shape.inner,
            f"{name}.attention.head_count": shape.heads,
            f"{name}.attention.head_count_kv": shape.kv_heads,
            f"{name}.attention.key_length": shape.head_width,
            f"{name}.attention.value_length": shape.head_width,
            f"{name}.attention.layer_norm_rms_epsilon": self.rms_norm_eps,
            f"{name}.rope.dimension_count": shape.head_width,
            f"{name}.rope.freq_base": self._rope_base(),
        }
        if rope.get("rope_type", rope.get("type")) == "linear":
            found[f"{name}.rope.scaling.type"] = "linear"
            found[f"{name}.rope.scaling.factor"] = _number(rope, "factor")
        return found

    def rope_factors(self) -> list[float]:
        """By what Llama 3.1's scaling divides each frequency; none for other models."""
        rope = self._rope()
        if rope.get("rope_type", rope.get("type")) != "llama3":
            return []
        factor = _number(rope, "factor")
        low, high = _number(rope, "low_freq_factor"), _number(rope, "high_freq_factor")
        known = _number(rope, "original_max_position_embeddings")
        if high <= low:
            raise Refused("config.json: rope_scaling does not go together.")
        head, base = self.geometry.head_width, self._rope_base()
        found = []
        for at in range(0, head, 2):
            length = 2 * math.pi * base ** (at / head)
            if length < known / high:
                found.append(1.0)
            elif length > known / low:
                found.append(factor)
            else:
                smooth = (known / length - low) / (high - low)
                found.append(1 / ((1 - smooth) / factor + smooth))
        return found

    def _check(self) -> None:
        rope = self._rope()
        kind = rope.get("rope_type", rope.get("type"))
        for is_so, what in (
            (self.hidden_act != "silu", f"hidden_act={self.hidden_act[:40]}"),
            (self.quantization_config is not None, "quantization_config"),
            (self.mlp_bias, "mlp_bias"),
            (kind not in (*PLAIN, "linear", "llama3"), f"rope_scaling of type {str(kind)[:40]}"),
            (not 0 < self.rms_norm_eps < 1, "this rms_norm_eps"),
            (not 0 < self._rope_base() < ROPE_BASE_MAX, "this rope_theta"),
        ):
            if is_so:
                raise Refused(f"config.json: {what} is not supported here.")

    def _context(self) -> int:
        """A model with a sliding window is the plain one as long as the window holds it all."""
        window = self.sliding_window if self.use_sliding_window is not False else None
        return min(self.max_position_embeddings, window or self.max_position_embeddings)

    def _rope(self) -> dict[str, Any]:
        return {**(self.rope_parameters or {}), **(self.rope_scaling or {})}

    def _rope_base(self) -> float:
        if self.rope_theta is not None:
            return self.rope_theta
        found = self._rope().get("rope_theta", 10_000.0)
        is_one = isinstance(found, int | float) and 0 < found < ROPE_BASE_MAX
        return float(found) if is_one else math.nan


def config_of(text: bytes) -> Config:
    """Raises Refused."""
    try:
        return msgspec.json.decode(text, type=Config, strict=False)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"config.json cannot be read: {str(error)[:200]}") from None


def _number(rope: dict[str, Any], name: str) -> float:
    found = rope.get(name)
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 < found < 1e9:
        raise Refused(f"config.json: rope_scaling has no {name} that can be.")
    return float(found)
