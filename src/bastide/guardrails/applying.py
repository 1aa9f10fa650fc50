"""bedrock-runtime: ApplyGuardrail, a verdict on texts without a model.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-use-independent-api.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bastide.guardrails.judging import Grounds
from bastide.guardrails.model import Params, Source
from bastide.guardrails.ports import Detectors
from bastide.guardrails.shelf import Applied, Shelf
from bastide.guardrails.verdicts import Content, Verdict, assessment, coverage, evaluate, usage
from bastide.guardrails.windows import TEXT_MAX
from bastide.kernel.call import Call
from bastide.kernel.clock import Clock
from bastide.kernel.errors import invalid
from bastide.kernel.operation import operation

CONTENTS_MAX = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Applying:
    shelf: Shelf
    detectors: Detectors
    clock: Clock

    @operation("guardrailIdentifier", "guardrailVersion", "source", "content.text", "outputScope")
    def apply_guardrail(self, call: Call, req: Params) -> Params:
        began = self.clock.monotonic_s()
        applied = self.shelf.applied(
            call.principal, req["guardrailIdentifier"], req["guardrailVersion"]
        )
        contents, grounds = _contents(req["content"])
        source = Source(req["source"])
        detectors = self.detectors.of(call.principal)
        verdict = evaluate(applied.matchers, source, contents, detectors, grounds)
        noted(call, applied, verdict)
        full = req.get("outputScope") == "FULL"
        took_ms = int((self.clock.monotonic_s() - began) * 1000)
        return {
            "usage": usage(verdict),
            "action": verdict.action,
            "actionReason": verdict.reason,
            "outputs": [{"text": text} for text in outputs(verdict)],
            "assessments": [assessed(applied, verdict, took_ms, full=full)],
            "guardrailCoverage": coverage(verdict),
        }


def outputs(verdict: Verdict) -> Sequence[str]:
    """What is to be shown instead; nothing where nothing was done."""
    if verdict.blocked:
        return [verdict.message]
    return verdict.texts if verdict.masked else []


def assessed(applied: Applied, verdict: Verdict, took_ms: int, *, full: bool) -> Params:
    return {
        **assessment(verdict, full=full),
        "invocationMetrics": {
            "guardrailProcessingLatency": took_ms,
            "usage": usage(verdict),
            "guardrailCoverage": coverage(verdict),
        },
        "appliedGuardrailDetails": {
            "guardrailId": applied.id,
            "guardrailVersion": applied.version,
            "guardrailArn": applied.arn,
            "guardrailOrigin": ["REQUEST"],
            "guardrailOwnership": "SELF",
        },
    }


def noted(call: Call, applied: Applied, verdict: Verdict) -> None:
    """In the record: which guardrail, and what it did; never to what."""
    call.notes.audit["guardrail"] = f"{applied.id}:{applied.version}"
    call.notes.audit["guardrail_action"] = verdict.reason


def _contents(blocks: Sequence[Mapping[str, Any]]) -> tuple[list[Content], Grounds]:
    """Sources and queries are no part of what is guarded, unless they are said to be."""
    texts = [block["text"] for block in blocks if "text" in block]
    if not texts:
        raise invalid("content must have a text.")
    check_size([one["text"] for one in texts])
    contents, sources, queries = [], [], []
    for one in texts:
        qualifiers = one.get("qualifiers") or ["guard_content"]
        contents.append(Content(one["text"], "guard_content" in qualifiers))
        if "grounding_source" in qualifiers:
            sources.append(one["text"])
        if "query" in qualifiers:
            queries.append(one["text"])
    return contents, Grounds("\n".join(sources), "\n".join(queries))


def check_size(texts: Sequence[str]) -> None:
    if len(texts) > CONTENTS_MAX or sum(map(len, texts)) > TEXT_MAX:
        most = f"{CONTENTS_MAX} texts and {TEXT_MAX} characters"
        raise invalid(f"A guardrail judges at most {most} at once.")
