"""tokenizer.json as GGUF's vocabulary: byte-level BPE, and SentencePiece's BPE with byte fallback.

How a text is first cut up is a matter of the engine, which knows the ways by name. A way that is
none of them is refused: the model would read other tokens than it learned.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bastide.models.importing.facts import Refused

NORMAL, UNKNOWN, CONTROL, OWN, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
TOKENS_MAX = 1_000_000
MERGES_MAX = 2_000_000
TOKEN_LETTERS_MAX = 4096
TEMPLATE_LETTERS_MAX = 256 * 1024
_TAIL = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_HEAD = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
# The regular expression that a Split has → the engine's name for it.
BY_PATTERN = {
    f"{_HEAD}\\p{{N}}|{_TAIL}": "qwen2",
    f"{_HEAD}\\p{{N}}{{1,3}}|{_TAIL}": "llama-bpe",
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
        r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    ): "tekken",
}
Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """`ids` are those of the tokens that have a role, by GGUF's name for it."""

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    ids: Mapping[str, int] = field(default_factory=dict)
    adds_bos: bool = False
    template: str = ""

    def values(self) -> dict[str, Any]:
        at = "tokenizer.ggml"
        found: dict[str, Any] = {
            f"{at}.model": self.model,
            f"{at}.pre": self.pre,
            f"{at}.tokens": self.tokens,
            f"{at}.token_type": self.types,
            f"{at}.add_bos_token": self.adds_bos,
        }
        if self.merges:
            found[f"{at}.merges"] = self.merges
        if self.scores:
            found[f"{at}.scores"] = self.scores
        found |= {f"{at}.{name}_token_id": number for name, number in self.ids.items()}
        return found | ({"tokenizer.chat_template": self.template} if self.template else {})


def vocabulary_of(
    tokenizer: Params, settings: Params, size: int, ids: Mapping[str, int]
) -> Vocabulary:
    """`tokenizer` and `settings` are tokenizer.json and tokenizer_config.json; `size` the rows of
    the embedding, which may be more than there are tokens. Raises Refused."""
    model = tokenizer.get("model")
    if not isinstance(model, dict) or model.get("type", "BPE") != "BPE":
        raise _bad("its model is not BPE")
    pre = _pre(tokenizer)
    is_bytes = pre != "default"
    if not is_bytes and not model.get("byte_fallback"):
        raise _bad("it reads neither bytes nor falls back to them")
    words, types = _tokens(model, tokenizer.get("added_tokens") or [], size)
    if not is_bytes:
        types = [_piece(word, kind, model) for word, kind in zip(words, types, strict=True)]
    found = dict(ids)
    for role in ("bos", "eos"):
        named = _content(settings.get(f"{role}_token"))
        if named is not None and named in words:
            found[role] = words.index(named)
    if any(not 0 <= number < size for number in found.values()):
        raise _bad("a token with a role is none of its tokens")
    return Vocabulary(
        model="gpt2" if is_bytes else "llama",
        pre=pre,
        tokens=words,
        types=types,
        merges=_merges(model) if is_bytes else [],
        # SentencePiece numbers its pieces in the order in which it joins them.
        scores=[] if is_bytes else [-float(number) for number in range(size)],
        ids=found,
        adds_bos=_adds_bos(tokenizer, settings),
        template=template_of(settings.get("chat_template")),
    )


def template_of(found: Any) -> str:
    """The template of conversations; of several, that which is called default."""
    if isinstance(found, list):
        named = (one for one in found if isinstance(one, dict) and one.get("name") == "default")
        found = next(named, {}).get("template")
    if found is None:
        return ""
    if not isinstance(found, str) or len(found) > TEMPLATE_LETTERS_MAX:
        raise Refused("The model's chat template is no text of a length that can be.")
    return found


def _tokens(model: Params, added: Any, size: int) -> tuple[list[str], list[int]]:
    vocab = model.get("vocab")
    if not isinstance(vocab, dict) or not vocab or not isinstance(added, list):
        raise _bad("it has no vocabulary")
    if len(vocab) + len(added) > TOKENS_MAX:
        raise _bad(f"it has more than {TOKENS_MAX} tokens")
    words: list[str | None] = [None] * size
    types = [UNUSED] * size
    for word, number in vocab.items():
        _put(words, number, word)
        types[number] = NORMAL
    for one in added:
        if not isinstance(one, dict):
            raise _bad("an added token is none")
        number, word = one.get("id"), one.get("content")
        if not isinstance(number, int) or not isinstance(word, str):
            raise _bad("an added token is none")
        if not (0 <= number < size and words[number] == word):
            _put(words, number, word)
        types[number] = CONTROL if one.get("special") else OWN
    whole = [f"[PAD{n}]" if word is None else word for n, word in enumerate(words)]
    if len(set(whole)) != len(whole):
        raise _bad("a token stands twice")
    return whole, types


def _put(words: list[str | None], number: Any, word: Any) -> None:
    if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number < len(words):
        raise _bad("it has more tokens than the model has room for")
    if words[number] is not None:
        raise _bad("two tokens have one number")
    if not isinstance(word, str) or not word or len(word) > TOKEN_LETTERS_MAX:
        raise _bad("a token is no text of a length that can be")
    try:
        word.encode()
    except UnicodeEncodeError:
        raise _bad("a token is no text") from None
    words[number] = word


def _piece(word: str, kind: int, model: Params) -> int:
    if kind == NORMAL and len(word) == 6 and word.startswith("<0x") and word.endswith(">"):
        return BYTE
    return UNKNOWN if word == model.get("unk_token") else kind


def _merges(model: Params) -> list[str]:
    found = model.get("merges")
    if not isinstance(found, list) or len(found) > MERGES_MAX:
        raise _bad("it has no list of merges")
    return [_merge(one) for one in found]


def _merge(one: Any) -> str:
    parts = one.split(" ") if isinstance(one, str) else one
    is_pair = isinstance(parts, list) and len(parts) == 2
    if not is_pair or not all(isinstance(p, str) and p and " " not in p for p in parts):
        raise _bad("a merge is not of two tokens")
    return " ".join(parts)


def _pre(tokenizer: Params) -> str:
    """The engine's name for how the text is first cut up; `default` where SentencePiece does it."""
    steps = _steps(tokenizer.get("pre_tokenizer"), "pretokenizers")
    kinds = [step.get("type") for step in steps]
    if not steps or kinds == ["Metaspace"]:
        return "default"
    last = steps[-1]
    if kinds == ["ByteLevel"] and last.get("use_regex", True):
        return "gpt-2"
    if kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits"):
        return "smollm" if last.get("use_regex", True) else _unknown(kinds)
    if kinds == ["Split", "ByteLevel"] and not last.get("use_regex", True):
        pattern = steps[0].get("pattern")
        said = pattern.get("Regex") if isinstance(pattern, dict) else None
        if isinstance(said, str) and said in BY_PATTERN:
            return BY_PATTERN[said]
    return _unknown(kinds)


def _unknown(kinds: list[Any]) -> str:
    raise _bad(f"how it cuts up texts ({', '.join(map(str, kinds))[:100]}) is not known here")


def _steps(found: Any, inside: str) -> list[Params]:
    if found is None:
        return []
    if not isinstance(found, dict):
        raise _bad("a part of it is no object")
    steps = found.get(inside) if found.get("type") == "Sequence" else [found]
    if not isinstance(steps, list) or not all(isinstance(step, dict) for step in steps):
        raise _bad("a part of it is no list of steps")
    return steps


def _adds_bos(tokenizer: Params, settings: Params) -> bool:
    if isinstance(settings.get("add_bos_token"), bool):
        return bool(settings["add_bos_token"])
    steps = _steps(tokenizer.get("post_processor"), "processors")
    templates = [step.get("single") for step in steps if step.get("type") == "TemplateProcessing"]
    first = templates[0][:1] if templates and isinstance(templates[0], list) else []
    return bool(first) and isinstance(first[0], dict) and "SpecialToken" in first[0]


def _content(token: Any) -> str | None:
    found = token.get("content") if isinstance(token, dict) else token
    return found if isinstance(found, str) else None


def _bad(why: str) -> Refused:
    return Refused(f"tokenizer.json cannot be used: {why}.")
