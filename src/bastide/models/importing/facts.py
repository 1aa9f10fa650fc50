"""What is said between the region and the cage about one model."""

import msgspec


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


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    facts: Facts | None = None
    reason: str = ""
