"""The shape of a model of a known architecture, and with it of each of its tensors.

What is in neither list of tensors is not part of such a model: it is refused, by name.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from bastide.models.importing.facts import ARCHITECTURES, CONTEXT_MAX, Refused

LAYERS_MAX = 256
WIDTH_MAX = 32_768
INNER_MAX = 262_144
HEADS_MAX = 512
VOCABULARY_MAX = 1_000_000
Shape = tuple[int, ...]  # as GGUF has it: the length of a row first


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    architecture: str
    layers: int
    width: int
    inner: int
    heads: int
    kv_heads: int
    head_width: int
    vocabulary: int
    context: int

    def check(self) -> None:
        """Raises Refused. What is within these bounds is what an engine can count with."""
        if self.architecture not in ARCHITECTURES:
            raise Refused(f"The architecture {self.architecture[:60]} is not supported here.")
        for what, found, most in (
            ("layers", self.layers, LAYERS_MAX),
            ("hidden values", self.width, WIDTH_MAX),
            ("feed-forward values", self.inner, INNER_MAX),
            ("attention heads", self.heads, HEADS_MAX),
            ("key and value heads", self.kv_heads, HEADS_MAX),
            ("values of a head", self.head_width, WIDTH_MAX),
            ("tokens in its vocabulary", self.vocabulary, VOCABULARY_MAX),
            ("tokens of context", self.context, CONTEXT_MAX),
        ):
            if not 0 < found <= most:
                raise Refused(f"A model has 1 to {most} {what}; this one says {found}.")
        if self.heads % self.kv_heads or self.head_width % 2:
            raise Refused("Its attention heads do not go together.")

    @property
    def kv_bytes_per_token(self) -> int:
        """Two 16-bit caches (keys, values) for each layer."""
        return 2 * self.layers * self.kv_heads * 2 * self.head_width

    def needed(self) -> dict[str, Shape]:
        found = {
            "token_embd.weight": (self.width, self.vocabulary),
            "output_norm.weight": (self.width,),
        }
        for number in range(self.layers):
            found |= {f"blk.{number}.{name}": shape for name, shape in self._block().items()}
        return found

    def optional(self) -> dict[str, Shape]:
        found: dict[str, Shape] = {
            "output.weight": (self.width, self.vocabulary),
            "rope_freqs.weight": (self.head_width // 2,),
        }
        if self.architecture == "llama":
            for number in range(self.layers):
                found |= {f"blk.{number}.{name}": shape for name, shape in self._biases().items()}
                found[f"blk.{number}.attn_output.bias"] = (self.width,)
        return found

    def check_tensors(self, found: Mapping[str, Shape]) -> None:
        """Raises Refused."""
        needed, known = self.needed(), self.needed() | self.optional()
        for name in found:
            if name not in known:
                raise Refused(f"The tensor {name[:100]} is not one of a {self.architecture} model.")
            if found[name] != known[name]:
                raise Refused(f"The tensor {name} has the shape {found[name]}, not {known[name]}.")
        missing = next((name for name in needed if name not in found), "")
        if missing:
            raise Refused(f"The tensor {missing} is missing.")

    def _block(self) -> dict[str, Shape]:
        asked, kept = self.heads * self.head_width, self.kv_heads * self.head_width
        found: dict[str, Shape] = {
            "attn_norm.weight": (self.width,),
            "attn_q.weight": (self.width, asked),
            "attn_k.weight": (self.width, kept),
            "attn_v.weight": (self.width, kept),
            "attn_output.weight": (asked, self.width),
            "ffn_norm.weight": (self.width,),
            "ffn_gate.weight": (self.width, self.inner),
            "ffn_up.weight": (self.width, self.inner),
            "ffn_down.weight": (self.inner, self.width),
        }
        return found | (self._biases() if self.architecture == "qwen2" else {})

    def _biases(self) -> dict[str, Shape]:
        asked, kept = self.heads * self.head_width, self.kv_heads * self.head_width
        return {"attn_q.bias": (asked,), "attn_k.bias": (kept,), "attn_v.bias": (kept,)}
