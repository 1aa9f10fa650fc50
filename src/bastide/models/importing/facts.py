"""What is said between the region and the cage about one model."""

import msgspec

ARCHITECTURES = ("llama", "qwen2")  # as GGUF calls them; Mistral's is llama's
CONTEXT_MAX = 16 << 20  # tokens
KV_BYTES_MAX = 1 << 34  # of one token


class Refused(Exception):
    """The files are not a model that is taken here; the text says why, to who brought them."""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """`folder` has the files as they came; `out` is where a converted model goes."""

    folder: str
    out: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`converted`: the weights are at `out`, else `weights` names the file that they are in."""

    architecture: str
    context_tokens: int
    kv_bytes_per_token: int
    weights: str
    converted: bool
    licence: str = ""  # as the files say it
    instruct: bool = False  # whether it has a template for conversations

    def can_be(self) -> bool:
        """Whether a model can have such a shape."""
        return (
            self.architecture in ARCHITECTURES
            and 0 < self.context_tokens <= CONTEXT_MAX
            and 0 < self.kv_bytes_per_token <= KV_BYTES_MAX
        )


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    facts: Facts | None = None
    reason: str = ""
