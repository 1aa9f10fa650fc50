"""The guardrail of an InvokeModel: its headers, and what its body says of it, as Converse's.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/guardrails-tagging.html
"""

import re
from collections.abc import Mapping
from typing import Any

from bastide.inference.dialects.dialect import Params
from bastide.inference.dialects.json_body import malformed
from bastide.kernel.errors import invalid

MEMBER = "amazon-bedrock-guardrailConfig"
_SUFFIX = re.compile(r"[a-zA-Z0-9]{1,20}")
_MODES = {"SYNCHRONOUS": "sync", "ASYNCHRONOUS": "async"}


def guarded(req: Mapping[str, Any], config: Any, request: Params) -> Params:
    """A request for Converse with the guardrail that a call names; `config` is the body's own
    member. Only what stands in its tags is guarded, or all where none stands."""
    identifier, version = req.get("guardrailIdentifier"), req.get("guardrailVersion")
    if not identifier and not version:
        if config is not None:
            raise invalid(f"{MEMBER} needs a guardrail. Name one in the headers, and try again.")
        return request
    if not identifier or not version:
        missing = "guardrailVersion" if identifier else "guardrailIdentifier"
        raise invalid(f"A guardrail needs a {missing}.")
    trace = (req.get("trace") or "DISABLED").lower()
    found = {"guardrailIdentifier": identifier, "guardrailVersion": version, "trace": trace}
    suffix, mode = _said(config)
    if mode:
        found["streamProcessingMode"] = mode
    tagged = _tagged(request, suffix) if suffix else {}
    return {**request, **tagged, "guardrailConfig": found}


def _said(config: Any) -> tuple[str, str]:
    if config is None:
        return "", ""
    if not isinstance(config, dict) or not config.keys() <= {"tagSuffix", "streamProcessingMode"}:
        raise malformed(f"#/{MEMBER}: tagSuffix and streamProcessingMode are its members")
    suffix = config.get("tagSuffix", "")
    if suffix and not (isinstance(suffix, str) and _SUFFIX.fullmatch(suffix)):
        raise malformed(f"#/{MEMBER}/tagSuffix: it has up to 20 letters and digits")
    mode = config.get("streamProcessingMode", "SYNCHRONOUS")
    if mode not in _MODES:
        raise malformed(f"#/{MEMBER}/streamProcessingMode: it is none of {', '.join(_MODES)}")
    return suffix, _MODES[mode] if "streamProcessingMode" in config else ""


def _tagged(request: Params, suffix: str) -> Params:
    messages = [
        turn | {"content": [part for block in turn["content"] for part in _parts(block, suffix)]}
        for turn in request["messages"]
    ]
    found: Params = {"messages": messages}
    if "system" in request:
        found["system"] = [part for block in request["system"] for part in _parts(block, suffix)]
    return found


def _parts(block: Params, suffix: str) -> list[Params]:
    """A block of text, cut at the tags. Linear, whatever opens and never closes."""
    tag = f"amazon-bedrock-guardrails-guardContent_{suffix}>"
    if "text" not in block or f"<{tag}" not in block["text"]:
        return [block]
    before, *rest = block["text"].split(f"<{tag}")
    found = [{"text": before}]
    for each in rest:
        inside, closed, after = each.partition(f"</{tag}")
        if not closed:
            raise malformed(f"a tag <{tag} has no end")
        found += [{"guardContent": {"text": {"text": inside}}}, {"text": after}]
    return [part for part in found if "text" not in part or part["text"].strip()]
