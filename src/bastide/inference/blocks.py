"""The content blocks of a conversation as the text that a model reads.

Calls and their results stand in the tags that models of tools were trained on.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from bastide.kernel.errors import invalid, unsupported

Block = Mapping[str, Any]


def system_text(operation: str, blocks: Sequence[Block]) -> str:
    where = "the SystemContentBlock object at system"
    texts = (_text(operation, block, f"{where}.{index}") for index, block in enumerate(blocks))
    return "\n".join(text for text in texts if text is not None)


def turn_text(operation: str, turn: Block, index: int) -> str:
    where = f"the ContentBlock object at messages.{index}.content"
    texts = (
        _text(operation, block, f"{where}.{number}") for number, block in enumerate(turn["content"])
    )
    found = [text for text in texts if text is not None]
    if not found:
        raise invalid(
            f"The content field in the Message object at messages.{index} is empty. "
            "Add a ContentBlock object to the content field and try again."
        )
    return "\n".join(found)


def has_results(turn: Block) -> bool:
    return any("toolResult" in block for block in turn["content"])


def _text(operation: str, block: Block, where: str) -> str | None:
    """None for a block that says nothing to the model."""
    match block:
        case {"text": text} | {"guardContent": {"text": {"text": text}}}:
            return _written(text, where)
        case {"cachePoint": _}:
            return None
        case {"toolUse": {"name": name, "input": value}}:
            call = json.dumps({"name": name, "arguments": value}, ensure_ascii=False)
            return f"<tool_call>\n{call}\n</tool_call>"
        case {"toolResult": result}:
            return f"<tool_response>\n{_result(operation, result, where)}\n</tool_response>"
    raise unsupported(operation, f"{next(iter(block), 'content')} in {where}")


def _written(text: str, where: str) -> str:
    if not text or text.isspace():
        raise invalid(
            f"The text field in {where} is blank. Add text to the text field, and try again."
        )
    return text


def _result(operation: str, result: Block, where: str) -> str:
    failed = result.get("status") == "error"
    content = result["content"]
    if failed and not content:
        place = where.removeprefix("the ContentBlock object at ")
        raise invalid(
            f"The content field at {place}.toolResult cannot be empty when status value is error."
        )
    texts = [_told(operation, block, where) for block in content]
    return "\n".join(["error:", *texts] if failed else texts)


def _told(operation: str, block: Block, where: str) -> str:
    if "json" in block:
        return json.dumps(block["json"], ensure_ascii=False)
    if "text" in block:
        text: str = block["text"]
        return text
    raise unsupported(operation, f"{next(iter(block), 'content')} in the toolResult of {where}")
