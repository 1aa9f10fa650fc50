"""Documents in a conversation, as the text that a model reads.

What is text is read here; other formats are hostile until proven otherwise, and are read by who has
walls for it (ports.py).
Source: https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_DocumentBlock.html
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bastide.inference.ports import DocumentReader
from bastide.kernel.call import Call
from bastide.kernel.errors import invalid, unsupported

Params = Mapping[str, Any]
DOCUMENTS_MAX = 5
DOCUMENT_BYTES_MAX = 4_500_000
_TEXTS = ("txt", "md", "csv")
_NAME = re.compile(r"[A-Za-z0-9\-()\[\]]+(?:\s[A-Za-z0-9\-()\[\]]+)*")


class NoReader:
    """Who has nobody to read them."""

    async def text(self, call: Call, kind: str, data: bytes) -> str:
        raise unsupported(call.operation, f"document.format={kind}")


@dataclass(frozen=True, slots=True)
class Documents:
    """Opens the documents of requests."""

    reader: DocumentReader

    async def opened(self, call: Call, req: Params) -> Params:
        """The request with text in place of its documents. Raises ServiceError."""
        turns = req.get("messages") or ()
        if not any(_holds(block) for turn in turns for block in turn["content"]):
            return req
        _check(turns)
        opened = [
            {**turn, "content": [await self._block(call, block) for block in turn["content"]]}
            for turn in turns
        ]
        return {**req, "messages": opened}

    async def _block(self, call: Call, block: Params) -> Params:
        if "document" in block:
            return {"text": await self._shown(call, block["document"])}
        if "toolResult" in block:
            result = block["toolResult"]
            content = [await self._block(call, inner) for inner in result["content"]]
            return {"toolResult": {**result, "content": content}}
        return block

    async def _shown(self, call: Call, document: Params) -> str:
        if document.get("citations", {}).get("enabled"):
            raise unsupported(call.operation, "document.citations.enabled=true")
        context = document.get("context")
        about = f"{context}\n" if context else ""
        text = await self._text(call, document)
        return f'<document name="{document["name"]}">\n{about}{text}\n</document>'

    async def _text(self, call: Call, document: Params) -> str:
        source, kind = document["source"], document.get("format", "txt")
        if "text" in source:
            found: str = source["text"]
            return found
        if "content" in source:
            return "\n".join(part.get("text", "") for part in source["content"])
        data = source.get("bytes")
        if data is None:
            raise unsupported(call.operation, f"document.source.{next(iter(source), '')}")
        if len(data) > DOCUMENT_BYTES_MAX:
            raise invalid(f"A document has more than {DOCUMENT_BYTES_MAX} bytes.")
        if kind in _TEXTS:
            return _decoded(data, document["name"])
        return await self.reader.text(call, kind, data)


def _check(turns: Sequence[Params]) -> None:
    found = [
        block["document"] for turn in turns for block in turn["content"] if "document" in block
    ]
    if len(found) > DOCUMENTS_MAX:
        raise invalid(f"The request has {len(found)} documents. {DOCUMENTS_MAX} are the most.")
    for turn in turns:
        kinds = [kind for block in turn["content"] for kind in block]
        if "document" in kinds and turn["role"] != "user":
            raise invalid("A document can only be in a user message.")
        if "document" in kinds and "text" not in kinds:
            raise invalid("A message with a document must also have a text block.")
    names = [document["name"] for document in found]
    for name in names:
        if not _NAME.fullmatch(name):
            raise invalid(
                "The document file name can only contain alphanumeric characters, whitespace "
                "characters, hyphens, parentheses, and square brackets. The name can't contain "
                "more than one consecutive whitespace character."
            )
        if names.count(name) > 1:
            raise invalid(f"The request has more than one document of the name {name}.")


def _holds(block: Params) -> bool:
    if "toolResult" in block:
        return any("document" in inner for inner in block["toolResult"]["content"])
    return "document" in block


def _decoded(data: bytes, name: str) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise invalid(f"The document {name} is not text in UTF-8.") from None
