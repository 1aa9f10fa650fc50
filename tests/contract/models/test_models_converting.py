"""What is converted answers what it answered before: greedy tokens and likelihoods of the engine,
against a computation by the papers' formulas on the weights as they came."""

import json

import aiohttp
import numpy as np
import pytest
import tokenizers
from tests.importing_kit import Tiny, laid

from bastide.inference.process import EngineOrder, start
from bastide.inference.walls import Walls
from bastide.models.importing.worker import facts_of

PROMPT = "the king and the thing in winter, 1984: naïve 北京"
LLAMA3 = {
    "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}  # fmt: skip
STEPS = 16
CLOSE = 0.05  # of a logarithm; the engine keeps keys and values in 16 bits
MODELS = {
    "llama": Tiny(),
    "llama, 16 bits of another kind": Tiny(kind="BF16", seed=8),
    "llama, its embedding for its head": Tiny(tied=True, seed=9),
    "mistral": Tiny("MistralForCausalLM", kv_heads=4, seed=10, kind="F32"),
    "qwen2": Tiny("Qwen2ForCausalLM", seed=11),
    # Wavelengths of 2π·10^(n/2) tokens: up to 16 as they are, from 64 on eight times as long.
    "llama 3.1's frequencies": Tiny(
        seed=12, factors=(1.0, 1.2940, 7.6683, 8, 8, 8, 8, 8), more={"rope_scaling": LLAMA3}
    ),
}


async def asked(path, tmp_path, *bodies):
    """Answers of an engine of its own, without walls: the weights are ours."""
    order = EngineOrder(
        model=path, place=tmp_path / "engine", walls=Walls(), memory_mib=2048, key="k",
        threads=1, slots=1, context_tokens=512,
    )  # fmt: skip
    engine = await start(order, 60.0)
    try:
        connector = aiohttp.UnixConnector(engine.socket, force_close=True)
        key = {"authorization": "Bearer k"}
        async with aiohttp.ClientSession(connector=connector, headers=key) as session:
            return [await posted(session, body) for body in bodies]
    finally:
        await engine.stop()


async def posted(session, body):
    said = {"prompt": PROMPT, "temperature": 0.0, "ignore_eos": True, **body}
    async with session.post("http://engine/completion", json=said) as answer:
        assert answer.status == 200, await answer.text()
        return json.loads(await answer.text())


@pytest.mark.asyncio
@pytest.mark.parametrize("name", MODELS)
async def test_it_answers_the_same_afterwards(tmp_path, name):
    tiny, out = MODELS[name], tmp_path / "model.gguf"
    folder = laid(tmp_path / "in", tiny.files())
    facts = facts_of(folder, out)
    assert (facts.converted, facts.instruct, facts.licence) == (True, True, "apache-2.0")
    own = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json")).encode(PROMPT).ids
    likely, text = await asked(
        out, tmp_path, {"n_predict": 1, "n_probs": tiny.rows},
        {"n_predict": STEPS, "return_tokens": True},
    )  # fmt: skip
    assert text["tokens_evaluated"] == len(own)
    assert text["tokens"] == tiny.greedy(own, STEPS)
    logits = tiny.logits(own)
    own_likely = logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())
    told = {
        one["id"]: one["logprob"] for one in likely["completion_probabilities"][0]["top_logprobs"]
    }
    assert len(told) > tiny.rows - 8
    assert max(abs(own_likely[token] - value) for token, value in told.items()) < CLOSE
