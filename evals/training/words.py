"""Which words prose writes small: `python -m evals.training.words --data PATH`; a filter of
bits, which holds no word."""

import argparse
import gzip
import json
import re
from collections import Counter
from pathlib import Path

from bastide.guardrails.detect import gazetteers
from evals.training.tagger import prose
from evals.training.writing import write

BITS = 1 << 18
TIMES_MIN = 3


def ordinary_words(data: Path) -> list[str]:
    """Words that prose writes small: of controls, reports, techniques and questions."""
    missions = data / "missions"
    counted: Counter[str] = Counter()
    texts = prose(data, 10_000, 0)
    texts += [
        item["LONG_ANSWER"] + " ".join(item["CONTEXTS"])
        for item in json.loads((missions / "medical/pubmedqa/ori_pqal.json").read_text()).values()
    ]
    texts.append(
        (missions / "sensitive/nist/NIST_SP-800-53_rev5_HIGH_catalog-min.json").read_text()
    )
    texts.append((missions / "cyber/attack/techniques.jsonl").read_text())
    texts.append(
        gzip.decompress((missions / "cyber/attack/procedures.jsonl.gz").read_bytes()).decode()
    )
    texts += json.loads((missions / "security_eval/inthewild_jailbreaks.json").read_text())
    for text in texts:
        counted.update(re.findall(r"(?<![\w@/.#\\-])[a-z][a-z'\u2019]+(?![\w@/\\-])", text))
    names = (
        gazetteers.words_of("given")
        | gazetteers.words_of("countries")
        | gazetteers.words_of("cities")
    )
    return sorted(
        word for word, times in counted.items() if times >= TIMES_MIN and word not in names
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    words = ordinary_words(parser.parse_args().data)
    write({"ordinary": gazetteers.table_of(words, BITS)})


if __name__ == "__main__":
    main()
