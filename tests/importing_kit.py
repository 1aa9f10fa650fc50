"""Tiny models for tests: random weights of a fixed seed in Hugging Face's form, a real byte-level
tokenizer, and what they answer by a computation of our own (numpy, by the papers' formulas)."""

import hashlib
import json
import math
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

WORDS = ("th", "he", "in", "er", "an", "the", "ing", "and")
SPECIAL = ("<|begin|>", "<|end|>", "<|im_start|>", "<|im_end|>")
TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def letters_of_bytes() -> list[str]:
    """How byte-level BPE writes each byte (GPT-2)."""
    shown = [*range(33, 127), *range(161, 173), *range(174, 256)]
    hidden = iter(range(256, 512))
    return [chr(byte) if byte in shown else chr(next(hidden)) for byte in range(256)]


def tokenizer() -> dict[str, Any]:
    """A tokenizer.json of 268 tokens."""
    vocab = {letter: number for number, letter in enumerate(letters_of_bytes())}
    merges = []
    for word in WORDS:
        head = word[:-1]
        vocab[word] = len(vocab)
        merges.append([head, word[-1]] if head in vocab else [word[0], word[1:]])
    added = [
        {"id": len(vocab) + n, "content": word, "special": True, "single_word": False,
         "lstrip": False, "rstrip": False, "normalized": False}
        for n, word in enumerate(SPECIAL)
    ]  # fmt: skip
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
        "normalizer": None, "post_processor": None,
        "pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True,
                          "use_regex": True},
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True,
                    "use_regex": True},
        "model": {"type": "BPE", "dropout": None, "unk_token": None,
                  "continuing_subword_prefix": None, "end_of_word_suffix": None,
                  "fuse_unk": False, "byte_fallback": False, "vocab": vocab, "merges": merges},
    }  # fmt: skip


@dataclass
class Tiny:
    """`weights` are in PyTorch's layout and names."""

    architecture: str = "LlamaForCausalLM"
    layers: int = 2
    width: int = 64
    inner: int = 96
    heads: int = 4
    kv_heads: int = 2
    rows: int = 272  # more than there are tokens
    seed: int = 7
    sharp: float = 3.0  # how sure it is of its next token
    kind: str = "F16"
    tied: bool = False
    factors: tuple[float, ...] = ()  # by which its turning is slower
    more: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        rng, head = np.random.default_rng(self.seed), self.width // self.heads
        kept = self.kv_heads * head

        def put(name: str, *shape: int, scale: float = 0.0) -> None:
            drawn = rng.standard_normal(shape) * (scale or 1 / math.sqrt(shape[-1]))
            self.weights[name] = self.rounded(drawn)

        put("model.embed_tokens.weight", self.rows, self.width, scale=1.0)
        for n in range(self.layers):
            at = f"model.layers.{n}."
            whole, inner = self.width, self.inner
            for name, rows, columns in (
                ("self_attn.q_proj", whole, whole), ("self_attn.k_proj", kept, whole),
                ("self_attn.v_proj", kept, whole), ("self_attn.o_proj", whole, whole),
                ("mlp.gate_proj", inner, whole), ("mlp.up_proj", inner, whole),
                ("mlp.down_proj", whole, inner),
            ):  # fmt: skip
                put(f"{at}{name}.weight", rows, columns)
            for name in ("input_layernorm", "post_attention_layernorm"):
                self.weights[f"{at}{name}.weight"] = self.rounded(rng.uniform(0.5, 1.5, self.width))
            if self.architecture == "Qwen2ForCausalLM":
                for name, rows in (("q", self.width), ("k", kept), ("v", kept)):
                    put(f"{at}self_attn.{name}_proj.bias", rows, scale=0.5)
        self.weights["model.norm.weight"] = self.rounded(rng.uniform(0.5, 1.5, self.width))
        if not self.tied:
            put("lm_head.weight", self.rows, self.width, scale=self.sharp / math.sqrt(self.width))

    def rounded(self, found: np.ndarray) -> np.ndarray:
        """As the file's type holds it."""
        if self.kind == "BF16":
            bits = found.astype("<f4").view("<u4")
            return (bits & 0xFFFF0000).view("<f4")
        return found.astype({"F16": "<f2", "F32": "<f4"}[self.kind]).astype("<f4")

    @property
    def config(self) -> dict[str, Any]:
        return {
            "architectures": [self.architecture], "hidden_size": self.width,
            "intermediate_size": self.inner, "num_hidden_layers": self.layers,
            "num_attention_heads": self.heads, "num_key_value_heads": self.kv_heads,
            "vocab_size": self.rows, "max_position_embeddings": 512, "rms_norm_eps": 1e-5,
            "rope_theta": 10000.0, "tie_word_embeddings": self.tied, "hidden_act": "silu",
            "bos_token_id": 264, "eos_token_id": 267, **self.more,
        }  # fmt: skip

    def files(self, licence: str = "apache-2.0") -> dict[str, bytes]:
        settings = {"chat_template": TEMPLATE, "eos_token": "<|im_end|>", "bos_token": "<|begin|>"}
        card = f"---\nlanguage: en\nlicense: {licence}\n---\n# Tiny\n" if licence else "# Tiny\n"
        return {
            "config.json": json.dumps(self.config).encode(),
            "tokenizer.json": json.dumps(tokenizer()).encode(),
            "tokenizer_config.json": json.dumps(settings).encode(),
            "model.safetensors": safetensors(self.weights, self.kind),
            "README.md": card.encode(),
        }

    def logits(self, tokens: list[int]) -> np.ndarray:
        """Of the token after the last one."""
        w, head = self.weights, self.width // self.heads
        x = w["model.embed_tokens.weight"][tokens].astype(np.float64)
        for n in range(self.layers):
            at = f"model.layers.{n}."
            y = self._norm(x, w[f"{at}input_layernorm.weight"])
            q, k, v = (self._line(y, f"{at}self_attn.{p}_proj") for p in "qkv")
            q = self._rope(q.reshape(len(tokens), self.heads, head))
            k = self._rope(k.reshape(len(tokens), self.kv_heads, head))
            v = v.reshape(len(tokens), self.kv_heads, head)
            x = x + self._attend(q, k, v) @ w[f"{at}self_attn.o_proj.weight"].T
            y = self._norm(x, w[f"{at}post_attention_layernorm.weight"])
            gate = self._line(y, f"{at}mlp.gate_proj")
            y = gate / (1 + np.exp(-gate)) * self._line(y, f"{at}mlp.up_proj")
            x = x + self._line(y, f"{at}mlp.down_proj")
        x = self._norm(x[-1], w["model.norm.weight"])
        head_of = "model.embed_tokens.weight" if self.tied else "lm_head.weight"
        return x @ w[head_of].T

    def greedy(self, tokens: list[int], count: int) -> list[int]:
        found = list(tokens)
        for _ in range(count):
            found.append(int(np.argmax(self.logits(found))))
        return found[len(tokens) :]

    def _line(self, x: np.ndarray, name: str) -> np.ndarray:
        found = x @ self.weights[f"{name}.weight"].T
        return found + self.weights.get(f"{name}.bias", 0.0)

    def _norm(self, x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight

    def _rope(self, x: np.ndarray) -> np.ndarray:
        """Halves are turned, as Hugging Face's weights want it."""
        half = x.shape[-1] // 2
        speeds = 10000.0 ** (-np.arange(half) / half) / np.array(self.factors or [1.0] * half)
        angles = np.arange(len(x))[:, None, None] * speeds
        cos, sin = np.cos(angles), np.sin(angles)
        a, b = x[..., :half], x[..., half:]
        return np.concatenate([a * cos - b * sin, b * cos + a * sin], -1)

    def _attend(self, q: np.ndarray, k: np.ndarray, v: np.ndarray) -> np.ndarray:
        repeat = self.heads // self.kv_heads
        k, v = k.repeat(repeat, 1), v.repeat(repeat, 1)
        scores = np.einsum("qhd,khd->hqk", q, k) / math.sqrt(q.shape[-1])
        scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        weights /= weights.sum(-1, keepdims=True)
        return np.einsum("hqk,khd->qhd", weights, v).reshape(len(q), -1)


def safetensors(weights: dict[str, np.ndarray], kind: str) -> bytes:
    header, data = {}, b""
    for name, found in weights.items():
        raw = _raw(found, kind)
        span = [len(data), len(data) + len(raw)]
        header[name] = {"dtype": kind, "shape": list(found.shape), "data_offsets": span}
        data += raw
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _raw(found: np.ndarray, kind: str) -> bytes:
    if kind == "BF16":
        return (np.ascontiguousarray(found, "<f4").view("<u4") >> 16).astype("<u2").tobytes()
    return found.astype({"F16": "<f2", "F32": "<f4"}[kind]).tobytes()


def laid(folder: Path, files: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return folder


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
