"""What is said about a document beside it: `NAME.metadata.json`, or inline.

https://docs.aws.amazon.com/bedrock/latest/userguide/kb-metadata.html: an attribute is a bare value,
or `{"value": {"type": "STRING", "stringValue": …}, "includeForEmbedding": true}`.
"""

import json
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bastide.knowledge.reading import Unreadable

SUFFIX = ".metadata.json"
SIZE_MAX = 10 * 1024  # AWS's own bound
COUNT_MAX = 50
_HALF = re.compile("[\ud800-\udfff]")
_NUMBER_MAX = sys.float_info.max
_RESERVED = ("x-amz-bedrock-", "x-bastide-")
_VALUES: Mapping[Any, tuple[str, tuple[type, ...]]] = {
    "STRING": ("stringValue", (str,)),
    "NUMBER": ("numberValue", (int, float)),
    "BOOLEAN": ("booleanValue", (bool,)),
    "STRING_LIST": ("stringListValue", (list,)),
}


@dataclass(frozen=True, slots=True)
class Attributes:
    """`embedded` are those that are put before each piece when it is embedded."""

    values: Mapping[str, Any] = field(default_factory=dict)
    embedded: Sequence[str] = ()


def of_sidecar(content: bytes) -> Attributes:
    """Raises Unreadable."""
    try:
        said = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Unreadable(f"Its {SUFFIX} is no JSON.") from error
    given = said.get("metadataAttributes") if isinstance(said, dict) else None
    if not isinstance(given, dict):
        raise Unreadable(f"Its {SUFFIX} has no metadataAttributes.")
    values, embedded = {}, []
    for key, value in given.items():
        if isinstance(value, dict):
            if value.get("includeForEmbedding") is True:
                embedded.append(key)
            value = _typed(key, value.get("value"))
        values[key] = value
    return Attributes(_checked(values), tuple(embedded))


def of_inline(given: Sequence[Mapping[str, Any]]) -> Attributes:
    """As the API gives them. Raises Unreadable."""
    return Attributes(_checked({each["key"]: _typed(each["key"], each["value"]) for each in given}))


def _typed(key: str, value: Any) -> Any:
    kind = value.get("type") if isinstance(value, dict) else None
    member, kinds = _VALUES.get(kind if isinstance(kind, str) else "", ("", ()))
    found = value.get(member) if member else None
    if not isinstance(found, kinds):
        raise Unreadable(f"The attribute {key[:100]!r} has no value of its type.")
    return found


def _checked(values: dict[str, Any]) -> dict[str, Any]:
    if len(values) > COUNT_MAX:
        raise Unreadable(f"It has more than {COUNT_MAX} attributes.")
    for key, value in values.items():
        if not _is_text(key) or not key or len(key) > 200 or key.startswith(_RESERVED):
            raise Unreadable(f"The attribute {key[:100]!r} cannot have this name.")
        texts = isinstance(value, list) and all(_is_text(each) for each in value)
        if not texts and not _is_text(value) and not _is_number(value):
            raise Unreadable(f"The attribute {key[:100]!r} is no text, number, truth or texts.")
    return values


def _is_text(value: Any) -> bool:
    """One that can be written: JSON has halves of letters, and UTF-8 has none."""
    return isinstance(value, str) and not _HALF.search(value)


def _is_number(value: Any) -> bool:
    """One that fits a float, as truths do: JSON has longer ones, and Python's has NaN."""
    return isinstance(value, int | float) and -_NUMBER_MAX <= value <= _NUMBER_MAX
