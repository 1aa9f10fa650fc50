"""Prompts of families that take one text: the turns in it, where it is written in their template.

A local model has a template of its own, so the family's marks may not reach it. A text without
them is one turn of the user. Every search is linear: a prompt may have 25 MB.
"""

import re
from dataclasses import dataclass

from bastide.inference.dialects.dialect import Params
from bastide.kernel.errors import invalid

_HEADERS = (
    ("<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),  # Llama 3
    ("<|header_start|>", "<|header_end|>", "<|eot|>"),  # Llama 4
)
_BEGIN = "<|begin_of_text|>"
_ROLES = {"system": "system", "user": "user", "assistant": "assistant"}
_SYS, _END_SYS = "<<SYS>>", "<</SYS>>"
_TITAN = re.compile(r"(?:^|\n)\s*(User|Bot):")


@dataclass(frozen=True, slots=True)
class Said:
    role: str
    text: str


def of_llama(prompt: str) -> Params:
    """`messages` and `system` of a prompt for Llama 2, 3 or 4."""
    for header, end, close in _HEADERS:
        if header in prompt:
            return _conversation(_by_headers(prompt, header, end, close))
    return of_instructions(prompt)


def of_instructions(prompt: str) -> Params:
    """Of a prompt for Llama 2 or Mistral: `<s>[INST] ask [/INST] answer</s>[INST] …`."""
    before, *parts = prompt.split("[INST]")
    if not parts or before.strip() not in ("", "<s>"):
        return _conversation([Said("user", prompt)])
    found: list[Said] = []
    for part in parts:
        asked, closed, answer = part.partition("[/INST]")
        if not closed:
            raise _broken("[INST] without [/INST]")
        text = asked.strip()
        if text.startswith(_SYS):
            system, _, text = text.removeprefix(_SYS).partition(_END_SYS)
            found.append(Said("system", system.strip()))
        found.append(Said("user", text.strip()))
        answer = answer.strip().removesuffix("<s>").strip().removesuffix("</s>").strip()
        found.append(Said("assistant", answer))
    return _conversation(found)


def of_titan(prompt: str) -> Params:
    """`User: ask\\nBot: answer\\nUser: …\\nBot:`, the format that Titan's documents recommend."""
    before, *parts = _TITAN.split(prompt)
    if not parts or before.strip() or parts[0] != "User" or parts[-2:-1] != ["Bot"]:
        return _conversation([Said("user", prompt)])
    roles = {"User": "user", "Bot": "assistant"}
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return _conversation([Said(roles[who], text.strip()) for who, text in pairs])


def _by_headers(prompt: str, header: str, end: str, close: str) -> list[Said]:
    before, *parts = prompt.split(header)
    if before.replace(_BEGIN, "").strip():
        raise _broken(f"text before the first {header}")
    found = []
    for part in parts:
        role, closed, text = part.partition(end)
        if not closed or role.strip() not in _ROLES:
            raise _broken(f"{header} without a role and {end}")
        found.append(Said(_ROLES[role.strip()], text.strip().removesuffix(close).strip()))
    return found


def _conversation(said: list[Said]) -> Params:
    """The empty turn of the assistant at the end is the place for the answer."""
    turns = said[:-1] if said[-1] == Said("assistant", "") else said
    if not turns or turns[-1].role != "user":
        raise _broken("the last turn with text must be the user's")
    messages: list[Params] = []
    for each in turns:
        if each.role == "system":
            continue
        block = {"text": each.text}
        if messages and messages[-1]["role"] == each.role:
            messages[-1]["content"].append(block)
        else:
            messages.append({"role": each.role, "content": [block]})
    system = [{"text": each.text} for each in turns if each.role == "system" and each.text]
    return {"messages": messages, **({"system": system} if system else {})}


def _broken(what: str) -> Exception:
    return invalid(f"The prompt is not in the model's template: {what}.")


def text_of(said: Params) -> str:
    """The text of Converse's answer."""
    blocks = said["output"]["message"]["content"]
    return "".join(block["text"] for block in blocks if "text" in block)
