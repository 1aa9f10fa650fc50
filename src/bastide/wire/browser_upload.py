"""S3's browser-based uploads: a form that its author signed beforehand, done as a PutObject.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/RESTObjectPOST.html and
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

import base64
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated
from urllib.parse import quote, urlencode, urlsplit, urlunsplit

import msgspec

from bastide.kernel.errors import ServiceError
from bastide.wire.form_data import CONTROL, KIND, PostForm, missing
from bastide.wire.rest_paths import decoded
from bastide.wire.route import host_of, with_bucket
from bastide.wire.serialize_values import xml_text
from bastide.wire.types import Headers, RawRequest, RawResponse

SIZE_RANGE = (0, 2**63)
_KEPT_HEADERS = frozenset({"host", "user-agent", "origin", "referer", "if-match", "if-none-match"})
_HEADER_OF = {
    **{name: name for name in (
        "cache-control", "content-disposition", "content-encoding", "content-language",
        "content-md5", "content-type", "expires",
    )},
    "acl": "x-amz-acl",
    "tagging": "x-amz-tagging",
}  # fmt: skip
# Of the signature itself. A hash of the body is none of a form's fields.
_SIGNATURE_FIELDS = frozenset({
    "x-amz-algorithm", "x-amz-credential", "x-amz-date", "x-amz-signature", "x-amz-security-token",
    "x-amz-content-sha256",
})  # fmt: skip
_UNCOVERED = frozenset({"x-amz-signature", "file", "policy"})
_STATUSES = {"200": 200, "201": 201}


def is_upload(raw: RawRequest) -> bool:
    """Whether it is a form for a bucket, which says in its fields who sends it."""
    kind = (raw.header("content-type") or "").partition(";")[0].strip().lower()
    if raw.method != "POST" or kind != KIND or raw.header("authorization") is not None:
        return False
    return not raw.raw_query and bool(
        re.fullmatch("/[^/]+", with_bucket(host_of(raw), raw.raw_path))
    )


@dataclass(frozen=True, slots=True)
class Upload:
    """A form's fields, of which nothing is believed before its policy was signed and holds."""

    raw: RawRequest
    form: PostForm

    @property
    def bucket(self) -> str:
        try:
            return decoded(with_bucket(host_of(self.raw), self.raw.raw_path)[1:])
        except UnicodeDecodeError as error:
            raise ServiceError("InvalidURI", "Couldn't parse the specified URI.") from error

    @property
    def key(self) -> str:
        """With the file's name, without the folders that some browsers put before it."""
        key = self.form.fields.get("key", "")
        if not key:
            raise missing("key")
        return key.replace("${filename}", re.split(r"[/\\]", self.form.filename)[-1])

    def check_policy(self, now: datetime) -> tuple[int, int]:
        """How large the file may be, where all that the signed policy asks for holds."""
        given = {**self.form.fields, "bucket": self.bucket, "key": self.key}
        return _check(_policy_of(self.form.fields["policy"]), given, now)

    def as_put(self, tags: Sequence[Mapping[str, str]]) -> RawRequest:
        """The PutObject that says the same in headers."""
        tagging = urlencode([(tag.get("Key", ""), tag.get("Value", "")) for tag in tags])
        said = {**self.form.fields, "tagging": tagging}
        headers = [pair for pair in self.raw.headers if pair[0] in _KEPT_HEADERS]
        for name, value in said.items():
            is_amz = name.startswith("x-amz-") and name not in _SIGNATURE_FIELDS
            header = name if is_amz else _HEADER_OF.get(name)
            if header and value:
                headers.append((header, _header_value(name, value)))
        return replace(self.raw, headers=tuple(headers))

    def answered(self, response: RawResponse) -> RawResponse:
        """The answer to a PutObject as the form wants it."""
        kept = tuple(pair for pair in response.headers if pair[0] != "content-type")
        etag = dict(response.headers).get("etag", "")
        fields = self.form.fields
        wanted = fields.get("success_action_redirect") or fields.get("redirect") or ""
        redirect = _redirect(wanted, {"bucket": self.bucket, "key": self.key, "etag": etag})
        if redirect:
            return RawResponse(status=303, headers=(*kept, ("location", redirect)))
        place = f"{self.raw.header('host')}{self.raw.raw_path.rstrip('/')}/{quote(self.key)}"
        location = f"http{'s' if self.raw.secure else ''}://{place}"
        status = _STATUSES.get(fields.get("success_action_status", ""), 204)
        headers: Headers = (*kept, ("location", location))
        if status != 201:
            return RawResponse(status=status, headers=headers)
        members = {"Location": location, "Bucket": self.bucket, "Key": self.key, "ETag": etag}
        elements = "".join(f"<{name}>{xml_text(text)}</{name}>" for name, text in members.items())
        body = f'<?xml version="1.0" encoding="UTF-8"?>\n<PostResponse>{elements}</PostResponse>'
        headers = (*headers, ("content-type", "application/xml"))
        return RawResponse(status=status, headers=headers, body=body.encode())


def _header_value(name: str, value: str) -> str:
    """Text as the bytes of a header, which is how it is read (parse_rest)."""
    if CONTROL.search(value):
        raise ServiceError("InvalidArgument", f"The field {name[:64]} has control characters.")
    return value.encode().decode("latin-1")


def _redirect(url: str, told: Mapping[str, str]) -> str:
    """Where the browser goes, with what was stored; "" for what is no address of a web page."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    if parts.scheme not in ("http", "https") or not parts.netloc or CONTROL.search(url):
        return ""
    query = f"{parts.query}&{urlencode(told)}" if parts.query else urlencode(told)
    return urlunsplit(parts._replace(query=query))


@dataclass(frozen=True, slots=True)
class _Policy:
    expiration: Annotated[datetime, msgspec.Meta(tz=True)]
    conditions: list[dict[str, str] | list[str | int]]


def _policy_of(text: str) -> _Policy:
    try:
        document = base64.b64decode("".join(text.split()), validate=True)
        return msgspec.json.decode(document, type=_Policy)
    except (ValueError, RecursionError) as error:  # msgspec's errors and base64's are ValueErrors
        raise _invalid("Invalid JSON, or not what a policy is made of.") from error


def _starts_with(name: str, value: str, prefix: str) -> bool:
    """A list of content types starts with it if each of them does."""
    values = re.split(r",\s*", value) if name == "content-type" else [value]
    return all(each.startswith(prefix) for each in values)


_HOLDS: dict[str, Callable[[str, str, str], bool]] = {
    "eq": lambda name, value, wanted: value == wanted,
    "starts-with": _starts_with,
}


def _check(policy: _Policy, given: Mapping[str, str], now: datetime) -> tuple[int, int]:
    """Raises ServiceError unless every condition holds and every field has one."""
    if now >= policy.expiration:
        raise _violated("Policy expired.")
    covered: set[str] = set()
    size_min, size_max = SIZE_RANGE
    for condition in policy.conditions:
        word, first, second = _spelled(condition)
        if word == "content-length-range":
            size_min, size_max = max(size_min, _size(first)), min(size_max, _size(second))
            continue
        name, value = str(first)[1:].lower(), given.get(str(first)[1:].lower())
        if value is None or not _HOLDS[word](name, value, str(second)):
            raise _violated(f"Policy Condition failed: {json.dumps([word, first, second])}")
        covered.add(name)
    extra = given.keys() - covered - _UNCOVERED
    extra = {name for name in extra if not name.startswith("x-ignore-")}
    if extra:
        raise _violated(f"Extra input fields: {', '.join(sorted(extra))}")
    return size_min, size_max


def _spelled(condition: dict[str, str] | list[str | int]) -> tuple[str, str | int, str | int]:
    """A condition of either form as its operator and two operands."""
    if isinstance(condition, dict):
        if len(condition) != 1:
            raise _invalid("Simple-Conditions must have exactly one property specified.")
        [(name, value)] = condition.items()
        return "eq", f"${name}", value
    if len(condition) != 3 or not isinstance(condition[0], str):
        raise _invalid("a condition has an operator and two operands.")
    word, (first, second) = condition[0].lower(), condition[1:]
    if word == "content-length-range":
        return word, first, second
    is_text = isinstance(first, str) and isinstance(second, str) and first.startswith("$")
    if word not in _HOLDS or not is_text:
        raise _invalid(f"unknown condition {json.dumps(condition)[:256]}")
    return word, first, second


def _size(bound: str | int) -> int:
    text = str(bound)
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise _invalid("content-length-range takes two sizes in bytes.")
    return int(text)


def _invalid(why: str) -> ServiceError:
    return ServiceError("InvalidPolicyDocument", f"Invalid Policy: {why}", status=400)


def _violated(why: str) -> ServiceError:
    return ServiceError("AccessDenied", f"Invalid according to Policy: {why}", status=403)
