"""How much personal data is found: `python -m evals.pii --data PATH [--folds N]`, PATH a file of
the shared format, or the data folder.

A span counts as found where a finding of its own type overlaps it; a finding is right where it
overlaps such a span. The texts' types are mapped to AWS's; of what AWS has no type for
(organisations, dates, titles, nationalities, and any that is unknown here) nothing is asked, but a
finding there counts as false.
The shipped tagger learned from texts like these: `--folds` trains it anew without the templates
that it is then asked about.
"""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.common import Report

from bastide.guardrails.detect import weights
from bastide.guardrails.detect.finding import Finding
from bastide.guardrails.detect.pii import find_pii
from bastide.guardrails.managed_words import LISTS
from bastide.guardrails.words import WordFinder
from bastide.kernel.file_digest import sha256_of
from evals.report import add_rate, begin, options, sampled

FILE = Path("missions/sensitive/pii/synth_dataset_v2.json")
TYPES = {
    "PERSON": "NAME",
    "STREET_ADDRESS": "ADDRESS",
    "GPE": "ADDRESS",
    "ZIP_CODE": "ADDRESS",
    "AGE": "AGE",
    "CREDIT_CARD": "CREDIT_DEBIT_CARD_NUMBER",
    "PHONE_NUMBER": "PHONE",
    "EMAIL_ADDRESS": "EMAIL",
    "DOMAIN_NAME": "URL",
    "IBAN_CODE": "INTERNATIONAL_BANK_ACCOUNT_NUMBER",
    "US_SSN": "US_SOCIAL_SECURITY_NUMBER",
    "IP_ADDRESS": "IP_ADDRESS",
    "US_DRIVER_LICENSE": "DRIVER_ID",
}
RECALL, PRECISION = 0.90, 0.85
MS_MAX = 10.0


@dataclass(frozen=True, slots=True)
class Text:
    text: str
    template: int
    wanted: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """Of one text: for each span its type and whether it was found; for each finding whether it
    was right."""

    spans: tuple[tuple[str, bool], ...]
    findings: tuple[tuple[str, bool], ...]


def file_of(path: Path) -> Path:
    return path / FILE if path.is_dir() else path


def read(path: Path) -> list[Text]:
    items = json.loads(file_of(path).read_text("utf-8"))
    return [
        Text(
            item["full_text"],
            int(item.get("template_id") or 0),
            tuple(
                (span["start_position"], span["end_position"], TYPES[span["entity_type"]])
                for span in item["spans"]
                if span["entity_type"] in TYPES
            ),
        )
        for item in items
    ]


def judged(text: Text, findings: Iterable[Finding]) -> Judged:
    found = list(findings)
    spans = tuple(
        (kind, any(_meet(f, start, end, kind) for f in found)) for start, end, kind in text.wanted
    )
    right = tuple((f.kind, any(_meet(f, *wanted) for wanted in text.wanted)) for f in found)
    return Judged(spans, right)


def _meet(found: Finding, start: int, end: int, kind: str) -> bool:
    return found.kind == kind and found.start < end and found.end > start


def told(report: Report, texts: Sequence[Judged], where: str = "") -> None:
    """Recall and precision, then both of each type."""
    spans = [hit for text in texts for _, hit in text.spans]
    add_rate(report, f"recall{where}", sum(spans), len(spans), target=RECALL)
    right = [hit for text in texts for _, hit in text.findings]
    add_rate(report, f"precision{where}", sum(right), len(right), target=PRECISION)


def told_by_type(report: Report, texts: Sequence[Judged], where: str = "") -> None:
    for kind in sorted(set(TYPES.values())):
        spans = [hit for text in texts for of, hit in text.spans if of == kind]
        right = [hit for text in texts for of, hit in text.findings if of == kind]
        add_rate(report, f"  {kind} recall{where}", sum(spans), len(spans))
        add_rate(report, f"  {kind} precision{where}", sum(right), len(right))


def unseen(texts: Sequence[Text], data: Path, folds: int, seed: int) -> list[Judged]:
    """Each text judged with a tagger that was trained without its template."""
    from evals.training.tagger import trained  # only here: it needs spaCy and minutes

    found = []
    for fold in range(folds):
        without = {text.template for text in texts if text.template % folds == fold}
        tables = trained(data, seed, frozenset(f"template {template}" for template in without))
        asked = [text for text in texts if text.template in without]
        found += [judged(text, find_pii(text.text, tables=tables)) for text in asked]
    return found


def milliseconds(texts: Sequence[Text]) -> float:
    """Processor time for 1,000 characters, of the texts joined into some of about that length:
    personal data, the list PROFANITY and a hundred words of a guardrail's own."""
    finders = [WordFinder(LISTS["PROFANITY"]), WordFinder(f"project{n}" for n in range(100))]
    whole = "\n".join(text.text for text in texts)[:40_000]
    pieces = [whole[at : at + 1000] for at in range(0, len(whole), 1000)]
    find_pii(pieces[0])
    start = time.process_time()
    for piece in pieces:
        find_pii(piece)
        for finder in finders:
            list(finder.find(piece))
    return (time.process_time() - start) / len(whole) * 1e6


def main() -> None:
    parser = options(__doc__.splitlines()[0])
    parser.add_argument(
        "--folds", type=int, default=0, help="train anew, without the templates asked"
    )
    chosen = parser.parse_args()
    texts = sampled(read(chosen.data), chosen.limit, chosen.seed)
    report = begin("pii", chosen)
    if sha256_of(file_of(chosen.data)) == weights.manifest()["tagger_learned_from"]:
        report.about["note"] = "the shipped tagger learned from these very texts (see --folds)"
    shipped = [judged(text, find_pii(text.text)) for text in texts]
    told(report, shipped)
    told_by_type(report, shipped)
    if chosen.folds:
        told(report, unseen(texts, chosen.data, chosen.folds, chosen.seed), " (templates unseen)")
    took = milliseconds(texts)
    report.add("processor time for 1,000 characters, with words", took, "ms", target=MS_MAX)
    report.print(chosen.json)


if __name__ == "__main__":
    main()
