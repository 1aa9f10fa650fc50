"""Ambiguous HTTP: refused, never served, and the server goes on."""

import contextlib

import pytest

from bastide.wire import strict
from tests.waiting import eventually
from tests.wire.gateway.kit import Request, World
from tests.wire.gateway.live import Live, statuses


@pytest.fixture(scope="module")
def live():
    made = Live(World(allow_plain=True))
    yield made
    made.close()


def signed(*, method="PUT", body=b"hello", extra=b"", cut=b"", replace=None) -> bytes:
    """A request that is good but for what is done to its bytes."""
    request = Request(method, "/bucket/key", [], body).sign()
    data = request.wire()
    if replace:
        assert replace[0] in data
        data = data.replace(*replace, 1)
    return data.replace(b"\r\n\r\n", b"\r\n" + extra + b"\r\n", 1) if extra else data


GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
LENGTH = b"content-length: 5\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def chunked(body: bytes, header: bytes = CHUNKED, version: bytes = b"1.1") -> bytes:
    data = signed().removesuffix(b"hello").replace(LENGTH, b"")
    data = data.replace(b"HTTP/1.1", b"HTTP/" + version, 1)
    return data.replace(b"\r\n\r\n", b"\r\n" + header + b"\r\n", 1) + body


GOOD = b"5\r\nhello\r\n0\r\n\r\n"
CORPUS = {
    "CL and TE": signed(extra=CHUNKED),
    "TE and CL": chunked(GOOD, CHUNKED + b"Content-Length: 5\r\n"),
    "two CL": signed(extra=b"Content-Length: 6\r\n"),
    "two equal CL": signed(extra=b"Content-Length: 5\r\n"),
    "CL list": signed(replace=(LENGTH, b"content-length: 5, 5\r\n")),
    "CL plus": signed(replace=(LENGTH, b"content-length: +5\r\n")),
    "CL minus": signed(replace=(LENGTH, b"content-length: -5\r\n")),
    "CL hex": signed(replace=(LENGTH, b"content-length: 0x5\r\n")),
    "CL empty": signed(replace=(LENGTH, b"content-length: \r\n")),
    "CL huge": signed(replace=(LENGTH, b"content-length: 99999999999999999999999\r\n")),
    "CL spaced": signed(replace=(LENGTH, b"content-length : 5\r\n")),
    "TE twice": chunked(GOOD, CHUNKED + CHUNKED),
    "TE gzip": chunked(GOOD, b"Transfer-Encoding: gzip, chunked\r\n"),
    "TE identity": chunked(b"hello", b"Transfer-Encoding: identity\r\n"),
    "TE xchunked": chunked(GOOD, b"Transfer-Encoding: xchunked\r\n"),
    "TE chunked, identity": chunked(GOOD, b"Transfer-Encoding: chunked, identity\r\n"),
    "TE tab": chunked(GOOD, b"Transfer-Encoding:\x0bchunked\r\n"),
    "TE 1.0": chunked(GOOD, version=b"1.0"),
    "HTTP 1.0": signed(replace=(b"HTTP/1.1", b"HTTP/1.0")),
    "HTTP 2.0": signed(replace=(b"HTTP/1.1", b"HTTP/2.0")),
    "HTTP 1.2": signed(replace=(b"HTTP/1.1", b"HTTP/1.2")),
    "HTTP 0.9": b"GET /\r\n\r\n",
    "chunk size minus": chunked(b"-5\r\nhello\r\n0\r\n\r\n"),
    "chunk size 0x": chunked(b"0x5\r\nhello\r\n0\r\n\r\n"),
    "chunk size huge": chunked(b"fffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
    "chunk size spaces": chunked(b"5 \r\nhello\r\n0\r\n\r\n"),
    "chunk size none": chunked(b"\r\nhello\r\n0\r\n\r\n"),
    "chunk LF": chunked(b"5\nhello\n0\n\n"),
    "chunk longer": chunked(b"5\r\nhelloo\r\n0\r\n\r\n"),
    "chunk ext LF": chunked(b"5;a=b\nc\r\nhello\r\n0\r\n\r\n"),
    "chunk trailer": chunked(b"5\r\nhello\r\n0\r\nx-amz-acl: public-read\r\n\r\n"),
    "chunk trailer host": chunked(b"5\r\nhello\r\n0\r\nX-Custom: b\r\n\r\n"),
    "chunked cut": chunked(b"5\r\nhel"),
    "obs-fold": signed(extra=b"X-Folded: a\r\n b\r\n"),
    "obs-fold tab": signed(extra=b"X-Folded: a\r\n\tb\r\n"),
    "bare LF": signed(body=b"", method="GET").replace(b"\r\n", b"\n"),
    "one bare LF": signed(extra=b"X-A: b\nX-C: d\r\n"),
    "bare CR": signed(extra=b"X-A: b\rX-C: d\r\n"),
    "NUL in value": signed(extra=b"X-A: b\x00c\r\n"),
    "NUL in name": signed(extra=b"X-\x00A: b\r\n"),
    "space in name": signed(extra=b"X A: b\r\n"),
    "space before colon": signed(extra=b"X-A : b\r\n"),
    "no colon": signed(extra=b"X-A\r\n"),
    "empty name": signed(extra=b": b\r\n"),
    "leading space": signed(replace=(b"host:", b" host:")),
    "two hosts": signed(extra=b"Host: evil\r\n"),
    "two equal hosts": signed(extra=b"Host: localhost:4566\r\n"),
    "no host": signed(replace=(b"host: localhost:4566\r\n", b"")),
    "no host unsigned": b"GET / HTTP/1.1\r\n\r\n",
    "absolute URI": signed(replace=(b" /bucket", b" http://evil/bucket")),
    "absolute own URI": signed(replace=(b" /bucket", b" http://localhost:4566/bucket")),
    "authority": b"CONNECT localhost:80 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "TRACE": signed(replace=(b"PUT", b"TRACE")),
    "unknown method": signed(replace=(b"PUT", b"BREW")),
    "lower method": signed(replace=(b"PUT", b"put")),
    "fragment": signed(replace=(b"/key", b"/key#x")),
    "non-ASCII target": signed(replace=(b"/key", b"/k\xe9y")),
    "control in target": signed(replace=(b"/key", b"/k\x01y")),
    "tab in target": signed(replace=(b"/key ", b"/key\t")),
    "backslash": signed(replace=(b"/key", b"\\key")),
    "two authorizations": signed(extra=b"Authorization: Bearer x\r\n"),
    "two dates": signed(extra=b"X-Amz-Date: 20261123T040000Z\r\n"),
    "two content types": signed(extra=b"Content-Type: a/b\r\nContent-Type: c/d\r\n"),
    "upgrade": signed(extra=b"Connection: upgrade\r\nUpgrade: websocket\r\n"),
    "TLS hello": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 500,
    "HTTP 2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "rubbish": bytes(range(256)) * 4,
    "body short": signed(replace=(LENGTH, b"content-length: 6\r\n")),
    "body long": signed(replace=(LENGTH, b"content-length: 4\r\n")),
    "many headers": signed(extra=b"".join(b"X-%d: b\r\n" % n for n in range(1000))),
    "large header": signed(extra=b"X-A: " + b"b" * 70_000 + b"\r\n"),
    "huge header": signed(extra=b"X-A: " + b"b" * 10_000_000 + b"\r\n"),
    "huge name": signed(extra=b"X" * 1_000_000 + b": b\r\n"),
    "huge target": b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "huge method": b"A" * 1_000_000 + GET,
    "endless header": b"GET / HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"b" * 10_000_000,
    "endless blank": b"\r\n" * 500_000,
}


@pytest.mark.parametrize("name", sorted(CORPUS))
def test_never_served(live, name):
    before = list(live.world.handlers.bodies)
    answer = live.raw(CORPUS[name], 2.0, half_close=name in ("body short", "chunked cut"))
    for status in statuses(answer):
        assert 400 <= status < 500 or status in (501, 503), answer[:500]
    assert live.world.handlers.bodies == before
    assert live.is_well()


REFUSALS = {
    "huge header": (400, b"<Code>RequestHeaderSectionTooLarge</Code>"),
    "large header": (400, b"<Code>RequestHeaderSectionTooLarge</Code>"),
    "many headers": (400, b"<Code>RequestHeaderSectionTooLarge</Code>"),
    "endless header": (400, b"<Code>RequestHeaderSectionTooLarge</Code>"),
    "huge target": (400, b"<Code>RequestHeaderSectionTooLarge</Code>"),
    "CL and TE": (400, b"<Code>BadRequest</Code>"),
    "TE and CL": (400, b"<Code>BadRequest</Code>"),
    "NUL in value": (400, b"<Code>BadRequest</Code>"),
    "two hosts": (400, b"<Code>InvalidRequest</Code>"),
    "no host": (400, b"<Code>InvalidRequest</Code>"),
}


@pytest.mark.parametrize("name", sorted(REFUSALS))
def test_refusals_say_what_is_wrong(live, name):
    """Also to a client that is still sending: the answer is not taken away by a reset."""
    status, code = REFUSALS[name]
    answer = live.raw(CORPUS[name], 2.0)
    assert statuses(answer) == [status], answer[:500]
    assert code in answer
    assert b"connection: close" in answer or name.endswith(("host", "hosts"))


def test_the_corpus_is_refused_for_its_own_fault(live):
    for good in (signed(), chunked(GOOD), chunked(b"5;ext=1\r\nhello\r\n0\r\n\r\n"),
                 signed(extra=b"Accept: a\r\nAccept: b\r\n")):  # fmt: skip
        assert statuses(live.raw(good)) == [200]


def test_pipelined_requests_are_answered_in_order(live):
    answer = live.raw(signed() + GET + signed(), 1.0)
    assert statuses(answer)[0] == 200
    assert set(statuses(answer)) <= {200, 403}


def test_a_flood_of_pipelined_requests_is_cut(live):
    answer = live.raw(GET * 2000, 2.0)
    assert len(statuses(answer)) <= 2 * strict.PIPELINE_MAX + 2
    assert live.is_well()


def test_nothing_after_a_refused_request_is_a_request(live):
    before = len(live.world.handlers.reached)
    with live.connect() as client:
        client.sendall(signed(extra=CHUNKED) + signed())
        with contextlib.suppress(ConnectionError):
            assert client.recv(1000).startswith(b"HTTP/1.1 4")
            client.sendall(signed())
            while client.recv(1000):
                pass
    assert len(live.world.handlers.reached) == before


def test_a_smuggled_second_request_is_not_served(live):
    inner = signed()
    outer = b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(inner)
    answer = live.raw(outer + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, 1.0)
    assert 200 not in statuses(answer)


def ended(client, more):
    """Whether the other side has closed, although there is more to come."""
    try:
        client.sendall(more)
        return client.recv(100) == b""
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def test_slow_heads_are_closed(live, monkeypatch):
    monkeypatch.setattr(strict, "HEAD_TIMEOUT_S", 0.3)
    with live.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\n")
        client.settimeout(0.05)
        eventually(lambda: ended(client, b"X-A: b\r\n"))
    with live.connect() as client:  # one that says nothing at all
        assert client.recv(100) == b""


def test_the_interim_response_comes_before_the_body(live):
    data = signed(extra=b"Expect: 100-continue\r\n")
    with live.connect() as client:
        client.sendall(data.removesuffix(b"hello"))
        assert client.recv(1000).startswith(b"HTTP/1.1 100 Continue\r\n\r\n")
        client.sendall(b"hello")
        assert client.recv(1000).startswith(b"HTTP/1.1 200")


def test_no_interim_response_for_a_stranger(live):
    data = signed(extra=b"Expect: 100-continue\r\n").replace(b"Signature=", b"Signature=0", 1)
    with live.connect() as client:
        client.sendall(data.removesuffix(b"hello"))
        assert client.recv(1000).startswith(b"HTTP/1.1 4")


def test_a_refused_upload_is_not_read_for_ever(live):
    head = b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n"
    sent = 0
    with live.connect() as client:
        client.sendall(head)
        try:
            while sent < 200 << 20:
                sent += client.send(b"x" * (1 << 16))
        except ConnectionError:
            pass
    assert sent < 100 << 20
    assert live.is_well()
