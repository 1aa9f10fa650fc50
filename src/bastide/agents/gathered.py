"""The events of ConverseStream, gathered into the answer that Converse would have given."""

import json
from collections.abc import Mapping
from typing import Any

Params = dict[str, Any]


class Gathered:
    def __init__(self) -> None:
        self._blocks: list[Params] = []
        self._text, self._input = "", ""
        self._use: Params | None = None
        self._rest: Params = {}

    def take(self, event: Mapping[str, Any]) -> str:
        """What of it is written for a reader."""
        ((name, value),) = event.items()
        match name:
            case "contentBlockStart":
                self._use, self._input = dict(value["start"]["toolUse"]), ""
            case "contentBlockDelta" if "toolUse" in value["delta"]:
                self._input += value["delta"]["toolUse"]["input"]
            case "contentBlockDelta":
                piece = str(value["delta"].get("text") or "")
                self._text += piece
                return piece
            case "contentBlockStop":
                self._end()
            case "messageStop":
                self._rest["stopReason"] = value["stopReason"]
            case "metadata":
                self._rest |= {
                    key: value[key] for key in ("usage", "metrics", "trace") if key in value
                }
        return ""

    def answer(self) -> Params:
        self._end()
        message = {"role": "assistant", "content": self._blocks}
        return {"output": {"message": message}, **self._rest}

    def _end(self) -> None:
        if self._use is not None:
            use, self._use = self._use, None
            if self._input:  # a call that broke off has no whole input, and is none
                try:
                    self._blocks.append({"toolUse": {**use, "input": json.loads(self._input)}})
                except ValueError:
                    return
        elif self._text:
            self._blocks.append({"text": self._text})
            self._text = ""
