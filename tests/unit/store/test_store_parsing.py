"""Names, ranges, conditions, digests and pages: pure parts against hostile input."""

import base64
import hashlib
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bastide.kernel.errors import ServiceError
from bastide.store import conditions, digests, names, pages, requests
from bastide.store.conditions import Conditions
from bastide.store.model import Version
from bastide.store.records import Span, after_prefix


@pytest.mark.parametrize("name", ["abc", "a-b.c", "0ab", "a" * 63, "sagemaker-us-gov-west-1-1"])
def test_good_bucket_names(name):
    names.check_bucket(name)


@pytest.mark.parametrize(
    "name",
    ["ab", "a" * 64, "Abc", "-abc", "abc-", "a..b", "192.168.0.1", "xn--a", "x--x-s3", "a_b", "a/b",
     "abc\n", "", "sthree-a", "a-s3alias"],
)  # fmt: skip
def test_bad_bucket_names(name):
    with pytest.raises(ServiceError) as refused:
        names.check_bucket(name)
    assert refused.value.code == "InvalidBucketName"


def test_keys_are_limited_by_their_bytes():
    assert len(names.key_bytes("é" * 512)) == 1024
    with pytest.raises(ServiceError) as refused:
        names.key_bytes("é" * 512 + "a")
    assert refused.value.code == "KeyTooLongError"
    with pytest.raises(ServiceError):
        names.key_bytes("\ud800")


@pytest.mark.parametrize(
    ("header", "size", "span"),
    [
        ("bytes=0-0", 10, (0, 1)), ("bytes=2-", 10, (2, 10)), ("bytes=-3", 10, (7, 10)),
        ("bytes=-99", 10, (0, 10)), ("bytes=5-99", 10, (5, 10)), (None, 10, None),
        ("bytes=3-2", 10, None), ("bytes=0-1,3-4", 10, None), ("bytes=-", 10, None),
        ("items=0-1", 10, None), ("bytes=a-b", 10, None),
    ],
)  # fmt: skip
def test_ranges(header, size, span):
    assert conditions.range_of(header, size) == span


@pytest.mark.parametrize(("header", "size"), [("bytes=10-", 10), ("bytes=-0", 10), ("bytes=0-", 0)])
def test_unsatisfiable_ranges(header, size):
    with pytest.raises(ServiceError) as refused:
        conditions.range_of(header, size)
    assert (refused.value.code, refused.value.status) == ("InvalidRange", 416)


@given(st.text(max_size=40), st.integers(0, 50))
def test_any_range_header_is_a_span_or_an_error(header, size):
    try:
        span = conditions.range_of("bytes=" + header, size)
    except ServiceError:
        return
    assert span is None or 0 <= span[0] < span[1] <= size


def test_conditions_combine_as_s3_says():
    at = datetime(2026, 1, 1, tzinfo=UTC)
    before, after = datetime(2025, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)
    version = Version(
        bucket_id="b", key=b"k", version_id="v", object_id="o", etag="e",
        modified_ms=int(at.timestamp() * 1000) + 999,
    )  # fmt: skip
    assert Conditions(match='"e"', unmodified_since=before).failed(version) is None
    assert Conditions(none_match='"e"', modified_since=before).failed(version) == "If-None-Match"
    assert Conditions(none_match='"x", "y"').failed(version) is None
    assert Conditions(match="*").failed(version) is None
    assert Conditions(match='"x"').failed(version) == "If-Match"
    assert Conditions(modified_since=at).failed(version) == "If-Modified-Since"
    assert Conditions(modified_since=before).failed(version) is None
    assert Conditions(unmodified_since=at).failed(version) is None
    assert Conditions(unmodified_since=after).failed(version) is None


@given(st.lists(st.binary(min_size=1, max_size=50), min_size=1, max_size=5))
def test_part_checksums_combine_to_the_whole(parts):
    whole = b"".join(parts)
    with ThreadPoolExecutor(1) as pool:

        def sums(data):
            made = digests.Digests({"CRC32", "CRC32C", "CRC64NVME", "SHA256"}, pool)
            made.feed(data)
            return made.finish()[1]

        each = [sums(part) for part in parts]
        for name in ("CRC32", "CRC32C", "CRC64NVME"):
            pairs = [(one[name], len(part)) for one, part in zip(each, parts, strict=True)]
            assert digests.of_parts(name, "FULL_OBJECT", pairs) == sums(whole)[name]
    pairs = [(one["SHA256"], len(part)) for one, part in zip(each, parts, strict=True)]
    joined = b"".join(hashlib.sha256(part).digest() for part in parts)
    expected = base64.b64encode(hashlib.sha256(joined).digest()).decode()
    assert digests.of_parts("SHA256", "COMPOSITE", pairs) == f"{expected}-{len(parts)}"
    assert base64.b64decode(sums_crc(whole)) == zlib.crc32(whole).to_bytes(4, "big")


def sums_crc(data):
    with ThreadPoolExecutor(1) as pool:
        made = digests.Digests({"CRC32"}, pool)
        made.feed(data)
        return made.finish()[1]["CRC32"]


def test_tags_have_limits():
    assert requests.tags_of_header("a=1&b=%20") == {"a": "1", "b": " "}
    for bad in (
        "a=1&a=2",
        "=1",
        "aws:x=1",
        "&".join(f"k{n}=v" for n in range(11)),
        "a" * 129 + "=1",
    ):
        with pytest.raises(ServiceError):
            requests.tags_of_header(bad)


def test_copy_sources():
    assert names.parse_copy_source("/b/k%2Fx%3F?versionId=v1") == ("b", "k/x?", "v1")
    assert names.parse_copy_source("b/a+b") == ("b", "a+b", None)
    for bad in ("", "b", "b/", "/", "/b/"):
        with pytest.raises(ServiceError):
            names.parse_copy_source(bad)


@dataclass(frozen=True)
class Row:
    key: bytes


KEYS = st.binary(max_size=4).map(lambda raw: bytes(b"ab/\xff"[each % 4] for each in raw))


@given(
    st.sets(KEYS.filter(bool), max_size=40),
    KEYS,
    st.sampled_from([b"", b"/", b"a", b"ab"]),
    st.integers(1, 5),
)
def test_pages_walk_everything_once(keys, prefix, delimiter, limit):
    """Followed by their markers, pages give what one pass over all keys would."""

    def fetch(span, within, count):
        low = max(span.prefix, span.start)
        end = after_prefix(span.prefix)
        after = within.key if within else span.after
        rows = [k for k in sorted(keys) if k >= low and (end is None or k < end)]
        return [Row(k) for k in rows if not after or k > after][:count]

    got, marker = [], b""
    for _ in range(100):
        page = pages.walk(fetch, pages.span_after(prefix, delimiter, marker), delimiter, limit)
        assert len(page) <= limit
        got += sorted([row.key for row in page.items] + page.prefixes)
        if not page.is_truncated:
            break
        marker = page.last
    inside = [k for k in sorted(keys) if k.startswith(prefix)]
    want = sorted({pages.common_prefix(k, prefix, delimiter) or k for k in inside})
    assert got == want


def test_skipping_reads_the_index_and_not_the_keys():
    asked = []

    def fetch(span, within, count):
        asked.append(count)
        rows = [Row(b"p%d/%05d" % (p, n)) for p in range(3) for n in range(5000)]
        low = max(span.prefix, span.start)
        after = within.key if within else span.after
        return [row for row in rows if row.key >= low and row.key > after][:count]

    page = pages.walk(fetch, Span(), b"/", 1000)
    assert page.prefixes == [b"p0/", b"p1/", b"p2/"]
    assert sum(asked) < 500
