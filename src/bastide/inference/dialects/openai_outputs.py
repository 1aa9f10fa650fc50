"""The answers of OpenAI's responses: the object, and the events that tell how it comes about.

Source: https://platform.openai.com/docs/api-reference/responses-streaming
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from bastide.inference.dialects.openai_chat import Named, finish_of

Params = dict[str, Any]
_CUT = {"length": "max_output_tokens", "content_filter": "content_filter"}
_ECHOED = ("instructions", "max_output_tokens", "temperature", "top_p")


def response(named: Named, req: Mapping[str, Any], answer: Mapping[str, Any]) -> Params:
    """The whole of an answer that did not stream."""
    items = [
        _item(named, number, block)
        for number, block in enumerate(answer["output"]["message"]["content"])
    ]
    return ended(named, req, items, answer)


def ended(
    named: Named, req: Mapping[str, Any], items: list[Params], told: Mapping[str, Any]
) -> Params:
    """`told`: Converse's `stopReason` and `usage`."""
    reason = _CUT.get(finish_of(told["stopReason"]))
    found = _frame(named, req, "incomplete" if reason else "completed")
    found["output"] = items
    found["usage"] = _usage(told["usage"])
    if reason:
        found["incomplete_details"] = {"reason": reason}
    return found


def _frame(named: Named, req: Mapping[str, Any], status: str) -> Params:
    """What is known before the model has said anything."""
    return {
        "id": named.id, "object": "response", "created_at": named.created, "status": status,
        "background": False, "error": None, "incomplete_details": None, "model": named.model,
        "output": [], "previous_response_id": None,
        "parallel_tool_calls": req.get("parallel_tool_calls") is not False,
        **{name: req.get(name) for name in _ECHOED},
        "metadata": req.get("metadata") or {}, "service_tier": "default", "store": False,
        "text": {"format": (req.get("text") or {}).get("format") or {"type": "text"}},
        "tool_choice": req.get("tool_choice", "auto"), "tools": req.get("tools") or [],
        "truncation": "disabled", "usage": None,
    }  # fmt: skip


def _usage(usage: Mapping[str, int]) -> Params:
    return {
        "input_tokens": usage["inputTokens"],
        "input_tokens_details": {"cached_tokens": usage.get("cacheReadInputTokens", 0)},
        "output_tokens": usage["outputTokens"],
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": usage["totalTokens"],
    }


def _item(named: Named, number: int, block: Mapping[str, Any]) -> Params:
    if "toolUse" in block:
        use = block["toolUse"]
        return _function_call(named, number, use, json.dumps(use["input"], ensure_ascii=False))
    return _message(named, number, [_part(block["text"])])


def _message(named: Named, number: int, content: list[Params]) -> Params:
    status = "completed" if content else "in_progress"
    return {
        "type": "message", "id": f"msg_{named.id.removeprefix('resp_')}{number}",
        "status": status, "role": "assistant", "content": content,
    }  # fmt: skip


def _function_call(
    named: Named, number: int, use: Mapping[str, Any], arguments: str | None
) -> Params:
    return {
        "type": "function_call", "id": f"fc_{named.id.removeprefix('resp_')}{number}",
        "call_id": use["toolUseId"], "name": use["name"], "arguments": arguments or "",
        "status": "in_progress" if arguments is None else "completed",
    }  # fmt: skip


def _part(text: str) -> Params:
    return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


@dataclass(slots=True)
class Events:
    """Converse's events as those of a response, one at a time."""

    named: Named
    req: Mapping[str, Any]
    items: list[Params] = field(default_factory=list)
    use: Mapping[str, Any] | None = None  # of the item that is open, where it is a call
    text: str | None = None  # what was said of the item that is open; None: none is
    stop: str = ""
    number: int = 0

    def of(self, event: Mapping[str, Any]) -> Iterator[Params]:
        """Numbered, as clients may ask where they are."""
        for told in self._of(event):
            yield {**told, "sequence_number": self.number}
            self.number += 1

    def _of(self, event: Mapping[str, Any]) -> Iterator[Params]:
        (name, value), *_ = event.items()
        match name:
            case "messageStart":
                begun = _frame(self.named, self.req, "in_progress")
                yield {"type": "response.created", "response": begun}
                yield {"type": "response.in_progress", "response": begun}
            case "contentBlockStart" if "toolUse" in value["start"]:
                self.use = value["start"]["toolUse"]
                yield from self._opened()
            case "contentBlockDelta":
                yield from self._delta(value["delta"])
            case "contentBlockStop":
                yield from self._closed()
            case "messageStop":
                self.stop = value["stopReason"]
            case "metadata":
                told = {"stopReason": self.stop, "usage": value["usage"]}
                whole = ended(self.named, self.req, self.items, told)
                yield {"type": f"response.{whole['status']}", "response": whole}

    def _at(self) -> Params:
        """Where in the response the open item is."""
        return {"item_id": self._shown()["id"], "output_index": len(self.items)}

    def _shown(self, text: str | None = None) -> Params:
        """The open item: as it begins, or whole with its text or arguments."""
        number = len(self.items)
        if self.use is not None:
            return _function_call(self.named, number, self.use, text)
        return _message(self.named, number, [] if text is None else [_part(text)])

    def _opened(self) -> Iterator[Params]:
        self.text = ""
        added = {"output_index": len(self.items), "item": self._shown()}
        yield {"type": "response.output_item.added", **added}
        if self.use is None:
            part = {"content_index": 0, "part": _part("")}
            yield {"type": "response.content_part.added", **self._at(), **part}

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[Params]:
        """Converse says nothing where a block of text begins."""
        if self.text is None:
            yield from self._opened()
        if "toolUse" in delta:
            said = delta["toolUse"]["input"]
            name, more = "response.function_call_arguments.delta", {}
        else:
            said = delta["text"]
            name, more = "response.output_text.delta", {"content_index": 0, "logprobs": []}
        self.text = (self.text or "") + said
        yield {"type": name, **self._at(), **more, "delta": said}

    def _closed(self) -> Iterator[Params]:
        if self.text is None:
            return
        at, text = self._at(), self.text
        if self.use is not None:
            done = {**at, "name": self.use["name"], "arguments": text}
            yield {"type": "response.function_call_arguments.done", **done}
        else:
            at |= {"content_index": 0}
            yield {"type": "response.output_text.done", **at, "text": text, "logprobs": []}
            yield {"type": "response.content_part.done", **at, "part": _part(text)}
        item = self._shown(text)
        told = {"output_index": len(self.items), "item": item}
        self.items.append(item)
        self.use = self.text = None
        yield {"type": "response.output_item.done", **told}
