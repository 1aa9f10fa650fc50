"""Scalars as text on the wire: numbers, booleans, timestamps, blobs. Wrong ones are refused."""

import base64
import binascii
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any

from bastide.kernel.errors import ServiceError
from bastide.wire.model import Shape

WRONG_TYPE = "SerializationException"
INT_RANGE = {"integer": 2**31, "long": 2**63}
SPECIAL = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_INT = re.compile(r"-?\d{1,19}\Z", re.ASCII)
_ISO = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?([Zz]|[+-]\d\d:?\d\d)?\Z", re.ASCII
)


def wrong(what: str, want: str) -> ServiceError:
    """The error for a value of the wrong type."""
    return ServiceError(WRONG_TYPE, f"{what} must be {want}.", status=400)


def read_int(text: str, kind: str, what: str) -> int:
    if not _INT.match(text):
        raise wrong(what, f"a whole number ({kind})")
    value = int(text)
    limit = INT_RANGE.get(kind, 2**63)
    if not -limit <= value < limit:
        raise wrong(what, f"in the range of {kind}")
    return value


def read_float(text: str, what: str) -> float:
    if text in SPECIAL:
        return SPECIAL[text]
    if "_" in text or not text.isascii():  # Python's own
        raise wrong(what, "a number")
    try:
        value = float(text)
    except ValueError as error:
        raise wrong(what, "a number") from error
    if not math.isfinite(value):
        raise wrong(what, "a finite number")
    return value


def read_bool(text: str, what: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise wrong(what, "true or false")
    return text.lower() == "true"


def read_blob(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise wrong(what, "base64") from error


def from_epoch(seconds: float, what: str) -> datetime:
    try:
        return datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError) as error:
        raise wrong(what, "a timestamp") from error


def read_time(text: str, what: str) -> datetime:
    """ISO 8601, an HTTP date or epoch seconds: clients differ, and the three never look alike."""
    found = _ISO.match(text.strip())
    try:
        if found:
            day, clock, fraction, zone = found.groups()
            zone = "+00:00" if zone in (None, "Z", "z") else zone
            micro = (fraction or "0")[:6].ljust(6, "0")
            return datetime.fromisoformat(f"{day}T{clock}.{micro}{zone}").astimezone(UTC)
        if re.match(r"-?\d+(\.\d+)?\Z", text, re.ASCII):
            return from_epoch(float(text), what)
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=moment.tzinfo or UTC).astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError) as error:
        raise wrong(what, "a timestamp") from error


def text_reader(shape: Shape, what: str) -> Callable[[str], Any]:
    """How a scalar is read from text: a header, a query string, a form, an XML element."""
    kind = shape.type_name
    if kind in ("integer", "long"):
        return lambda text: read_int(text.strip(), kind, what)
    if kind in ("float", "double"):
        return lambda text: read_float(text.strip(), what)
    if kind == "boolean":
        return lambda text: read_bool(text.strip(), what)
    if kind == "timestamp":
        return lambda text: read_time(text, what)
    if kind == "blob":
        return lambda text: read_blob(text, what)
    return lambda text: text


def iso8601(moment: datetime) -> str:
    unit = "milliseconds" if moment.microsecond else "seconds"
    return moment.astimezone(UTC).isoformat(timespec=unit).removesuffix("+00:00") + "Z"


def epoch(moment: datetime) -> float | int:
    """Seconds since 1970, to the millisecond, whole where it is whole."""
    seconds = round(moment.timestamp(), 3)
    return int(seconds) if seconds == int(seconds) else seconds


def http_date(moment: datetime) -> str:
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def write_time(moment: datetime, form: str) -> str:
    """A timestamp as text, in one of the protocols' three forms."""
    if form == "rfc822":
        return http_date(moment)
    if form == "unixTimestamp":
        return str(epoch(moment))
    return iso8601(moment)


def write_float(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return repr(float(value)) if value != int(value) else str(int(value))
