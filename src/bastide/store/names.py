"""Bucket names, keys, and how both are written in answers.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
"""

import base64
import re
from urllib.parse import parse_qsl, quote, unquote

from bastide.kernel.errors import ServiceError
from bastide.store import errors
from bastide.store.model import NULL_VERSION

KEY_SIZE_MAX = 1024
VERSION_ID_SIZE = 32
METADATA_SIZE_MAX = 2048
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_VERSION = re.compile(f"[A-Za-z0-9]{{{VERSION_ID_SIZE}}}")
_IP = re.compile(r"\d{1,3}(\.\d{1,3}){3}")
_PREFIXES = ("xn--", "sthree-", "amzn-s3-demo-")
_SUFFIXES = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def check_bucket(name: str) -> None:
    good = (
        _BUCKET.fullmatch(name)
        and ".." not in name
        and not _IP.fullmatch(name)
        and not name.startswith(_PREFIXES)
        and not name.endswith(_SUFFIXES)
    )
    if not good:
        raise ServiceError(
            "InvalidBucketName",
            "The specified bucket is not valid.",
            status=400,
            members={"BucketName": name},
        )


def key_bytes(key: str) -> bytes:
    """A key as S3 orders and limits it: its UTF-8."""
    raw = text_bytes(key)
    if len(raw) > KEY_SIZE_MAX:
        raise ServiceError(
            "KeyTooLongError",
            "Your key is too long",
            status=400,
            members={"Size": str(len(raw)), "MaxSizeAllowed": str(KEY_SIZE_MAX)},
        )
    return raw


def check_version_id(version_id: str | None) -> None:
    """What no version can be called is no version's absence."""
    if version_id not in (None, NULL_VERSION) and not _VERSION.fullmatch(version_id):
        raise errors.invalid_argument("Invalid version id specified", "versionId", version_id)


def text_bytes(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise ServiceError("InvalidURI", "Couldn't parse the specified URI.", status=400) from None


def shown(raw: bytes, encoding: str | None) -> str:
    """A key in a listing; percent-encoded if the client asked, since XML cannot hold every one."""
    text = raw.decode()
    return quote(text, safe="/") if encoding == "url" else text


def parse_copy_source(text: str) -> tuple[str, str, str | None]:
    """Bucket, key and version id of `bucket/key?versionId=…`, which is percent-encoded."""
    path, _, query = text.partition("?")
    bucket, slash, key = unquote(path.removeprefix("/")).partition("/")
    if not slash or not bucket or not key:
        raise errors.invalid_argument(
            "Copy Source must mention the source bucket and key: sourcebucket/sourcekey",
            "x-amz-copy-source",
            text,
        )
    version = dict(parse_qsl(query, max_num_fields=10)).get("versionId")
    return bucket, key, version


def page_token(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode()


def parse_page_token(token: str) -> bytes:
    """ValueError when it is none."""
    return base64.urlsafe_b64decode(token.encode("ascii"))
