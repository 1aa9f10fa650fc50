"""The gate for a GGUF file that an agency brings, or that was made of what it brought: the engine
is shown none whose every tensor is not where and what it must be."""

from collections.abc import Mapping
from pathlib import Path

from bastide.models.gguf import STRING, BadGguf, Elements, Header, read_header
from bastide.models.importing.facts import Facts, Refused
from bastide.models.importing.geometry import Geometry

ALIGNMENT = 32
TEMPLATE_LETTERS_MAX = 256 * 1024
# GGUF's number of a type → (values in a block, bytes of it). Others are refused.
TYPES: Mapping[int, tuple[int, int]] = {
    0: (1, 4),  # F32
    1: (1, 2),  # F16
    2: (32, 18),  # Q4_0
    3: (32, 20),  # Q4_1
    6: (32, 22),  # Q5_0
    7: (32, 24),  # Q5_1
    8: (32, 34),  # Q8_0
    10: (256, 84),  # Q2_K
    11: (256, 110),  # Q3_K
    12: (256, 144),  # Q4_K
    13: (256, 176),  # Q5_K
    14: (256, 210),  # Q6_K
    20: (32, 18),  # IQ4_NL
    23: (256, 136),  # IQ4_XS
    30: (1, 2),  # BF16
}
TOKENIZERS = ("gpt2", "llama")


def judge(file: Path, *, converted: bool) -> Facts:
    """Raises Refused."""
    try:
        header = read_header(file)
    except BadGguf as error:
        raise Refused(f"{file.name} is no acceptable GGUF file: {error}.") from None
    shape = _geometry(header)
    shape.check()
    shape.check_tensors({one.name: one.shape for one in header.table})
    _check_places(header, file.stat().st_size)
    _check_tokens(header, shape)
    template = header.values.get("tokenizer.chat_template", "")
    if not isinstance(template, str) or len(template) > TEMPLATE_LETTERS_MAX:
        raise Refused("The model's chat template is no text of a length that can be.")
    licence = header.values.get("general.license", "")
    return Facts(
        architecture=shape.architecture,
        context_tokens=shape.context,
        kv_bytes_per_token=shape.kv_bytes_per_token,
        weights=file.name,
        converted=converted,
        licence=licence if isinstance(licence, str) else "",
        instruct=bool(template),
    )


def _geometry(header: Header) -> Geometry:
    name = header.values.get("general.architecture")
    if not isinstance(name, str):
        raise Refused("The GGUF file does not say its architecture.")
    split = header.values.get("split.count", 0)
    if split not in (0, 1):
        raise Refused("The model is one of several GGUF files: only whole ones are taken.")

    def whole(key: str, default: int = 0) -> int:
        found = header.values.get(f"{name}.{key}", default)
        return found if isinstance(found, int) and not isinstance(found, bool) else -1

    heads, width = whole("attention.head_count"), whole("embedding_length")
    head_width = whole("attention.key_length", width // heads if heads > 0 else 0)
    if whole("attention.value_length", head_width) != head_width or whole("expert_count"):
        raise Refused("Models of experts, or with heads of several widths, are not supported here.")
    tokens = header.arrays.get("tokenizer.ggml.tokens")
    return Geometry(
        architecture=name,
        layers=whole("block_count"),
        width=width,
        inner=whole("feed_forward_length"),
        heads=heads,
        kv_heads=whole("attention.head_count_kv", heads),
        head_width=head_width,
        vocabulary=tokens.count if tokens is not None else 0,
        context=whole("context_length"),
    )


def _check_places(header: Header, size: int) -> None:
    """Each tensor's bytes follow those of the one before, up to the end of the file."""
    if header.values.get("general.alignment", ALIGNMENT) != ALIGNMENT:
        raise Refused(f"The GGUF file is not aligned to {ALIGNMENT} bytes.")
    start = -(-header.end // ALIGNMENT) * ALIGNMENT
    at = 0
    for one in sorted(header.table, key=lambda each: each.offset):
        if one.kind not in TYPES:
            raise Refused(f"The tensor {one.name[:100]} is of the type {one.kind}.")
        values, block = TYPES[one.kind]
        rest = 1
        for length in one.shape[1:]:
            rest *= length
        if one.offset != at or one.shape[0] % values:
            raise Refused(f"The tensor {one.name[:100]} is not where it must be.")
        at += one.shape[0] // values * block * rest
        last, at = at, -(-at // ALIGNMENT) * ALIGNMENT
        if start + last > size:
            raise Refused(f"The file ends within the tensor {one.name[:100]}.")
    if size > start + at:
        raise Refused("There is something behind the last tensor.")


def _check_tokens(header: Header, shape: Geometry) -> None:
    if header.values.get("tokenizer.ggml.model") not in TOKENIZERS:
        raise Refused(f"The tokenizer is none of {', '.join(TOKENIZERS)}.")
    arrays = header.arrays
    if arrays["tokenizer.ggml.tokens"].kind != STRING:
        raise Refused("The tokens are no texts.")
    for name in ("scores", "token_type"):
        found = arrays.get(f"tokenizer.ggml.{name}", Elements(0, shape.vocabulary))
        if found.count != shape.vocabulary or found.kind == STRING:
            raise Refused(f"There is not one of {name} for each token.")
    for name, value in header.values.items():
        if name.startswith("tokenizer.ggml.") and name.endswith("_token_id"):
            in_it = isinstance(value, int) and 0 <= value < shape.vocabulary
            if not in_it and value not in (-1, 0xFFFFFFFF):
                raise Refused(f"{name} is none of its tokens.")
