"""Malware, and models that would do something when they are loaded.

The list of formats is the gate; this looks for what an allowed format can still carry: another
format behind it, a pickle in a text, code in a template or a configuration. No anti-virus engine
comes with the product; a site names its own (`site_scanner.py`).
"""

import base64
import binascii
import pickletools
import re
from collections.abc import Iterator
from itertools import islice

from bastide.transfer.filters import formats, gguf_format, image_format, wheel_format
from bastide.transfer.filters.model import BadItem
from bastide.transfer.model import Item

TAIL_BYTES = 66_000  # a zip's last record and the longest comment behind it
EICAR = "X5O!P%@AP[4" + "\\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"
_ZIP_END = b"PK\x05\x06"
_BASE64 = re.compile(r"[A-Za-z0-9+/]{16,}={0,2}")
_CALLS = frozenset({"REDUCE", "BUILD", "NEWOBJ", "NEWOBJ_EX"})
_NAMES = frozenset({"GLOBAL", "STACK_GLOBAL", "INST", "OBJ", "EXT1"})  # a text may look like these
PICKLE_OPS_MAX = 10_000
_CODE = {
    "an attribute that leads out of a template": re.compile(
        r"__(?:class|globals|builtins|subclasses|import|reduce|reduce_ex|mro|init|getattribute)__"
    ),
    "a call that runs commands": re.compile(
        r"\b(?:os\.system|os\.popen|subprocess\.\w+|pty\.spawn|importlib\.import_module)\b"
    ),
    "code that is fetched with the model": re.compile(r'"(?:auto_map|trust_remote_code)"\s*:'),
    "a layer that runs code": re.compile(r'"class_name"\s*:\s*"(?:Lambda|__lambda__)"'),
}


def scan(item: Item, data: memoryview) -> None:
    """Raises BadItem."""
    found = formats.of(item)
    if found.name == "wheel":
        wheel_format.scan(data)
        return
    if found.name == "image":
        image_format.scan(data)
        return
    _check_tail(data)
    texts = found.texts(data)
    for text in texts:
        if EICAR in text:
            raise BadItem("it holds the test pattern of anti-virus programs")
        for what, pattern in _CODE.items():
            if pattern.search(text):
                raise BadItem(f"it holds {what}")
        if _is_pickle(text.encode()) or any(map(_is_pickle, _hidden(text))):
            raise BadItem("it holds a pickle")
    if found.name == "gguf":
        _check_templates(gguf_format.chat_templates(data))


def _check_tail(data: memoryview) -> None:
    """A zip is found from its end: one may stand behind anything."""
    tail = bytes(data[-TAIL_BYTES:])
    at = tail.rfind(_ZIP_END)
    while at >= 0:
        comment = int.from_bytes(tail[at + 20 : at + 22], "little")
        if len(tail) - at == 22 + comment:
            raise BadItem("it is a zip archive, too")
        at = tail.rfind(_ZIP_END, 0, at)


def _hidden(text: str) -> Iterator[bytes]:
    for run in _BASE64.findall(text):
        try:
            yield base64.b64decode(run + "=" * (-len(run) % 4))
        except binascii.Error:
            continue


def _is_pickle(raw: bytes) -> bool:
    """Whether it begins as one that would call something. It is only taken apart, never run."""
    if raw[:1] == b"\x80" and raw[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05"):
        return True
    if raw[:1] not in (b"c", b"(", b"]", b"}"):
        return False
    found: set[str] = set()
    try:
        for op, _, _ in islice(pickletools.genops(raw), PICKLE_OPS_MAX):
            found.add(op.name)
    except ValueError:  # it breaks off; what a loader would have called by then, it has called
        return not found.isdisjoint(_CALLS)
    return not found.isdisjoint(_CALLS | _NAMES)


def _check_templates(templates: list[str]) -> None:
    """A chat template may print and loop; it has no need of the names that start with `_`."""
    for text in templates:
        if re.search(r"[.\[|]\s*['\"]?_|\battr\b|\{%-?\s*(?:import|include|extends)\b", text):
            raise BadItem("its chat template reaches for what no template needs")
