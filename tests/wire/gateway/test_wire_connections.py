"""Who holds connections for nothing, and how they end; nobody holds them all. Time is skipped."""

import contextlib
import logging
import select
import socket
import ssl

import pytest

from bastide.kernel.clock import SystemClock
from bastide.kernel.shares import Shares
from bastide.wire import arrival, door, strict, tls
from bastide.wire.sources import source_of
from tests.waiting import eventually
from tests.wire.gateway.kit import CATALOGUE, REGION, Request, World
from tests.wire.gateway.live import Live, SkippingLoop, is_whole, statuses

UNSENT = b"PUT /b/k HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n"


@pytest.fixture
def live():
    made = Live(World(allow_plain=True), make_loop=SkippingLoop)
    yield made
    made.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    names = tls.host_names(REGION, CATALOGUE)
    return tls.ensure(tmp_path_factory.mktemp("tls"), names, REGION, SystemClock())


@pytest.fixture(params=["asyncio", "uvloop"])
def secure(files, request):
    options = {"make_loop": SkippingLoop} if request.param == "asyncio" else {}
    made = Live(World(clock=SystemClock()), files.certificate, files.key, **options)
    made.context = ssl.create_default_context(cafile=files.ca)
    yield made
    made.close()


def answer_of(sock: socket.socket) -> bytes:
    """One whole answer of known length."""
    sock.settimeout(10)
    found = b""
    while not is_whole(found) and (part := sock.recv(1 << 16)):
        found += part
    return found


def is_over(sock: socket.socket) -> bool:
    sock.settimeout(10)
    with contextlib.suppress(ConnectionError):
        while sock.recv(1 << 16):
            pass
    return True


def put(size: int) -> bytes:
    return Request("PUT", "/bucket/key", [], b"x" * size).sign().wire()


def skip_until_told(live, sock: socket.socket, seconds: float) -> None:
    """On a busy machine the server may begin to wait only after the first skip."""
    for _ in range(100):
        live.loop.skip(seconds)
        if select.select([sock], [], [], 0.1)[0]:
            return
    raise AssertionError("nothing was told")


def test_an_answer_before_the_body_ends_the_connection(live):
    with live.connect() as sock:
        sock.sendall(UNSENT)
        answer = answer_of(sock)
        assert statuses(answer) == [403]
        assert b"\r\nconnection: close\r\n" in answer
        assert sock.recv(1) == b"", "the answer's end is told at once"
        sock.sendall(b"x" * 50)  # and read on for a while, so that no reset takes it away
        live.loop.skip(strict.LINGER_S + 0.1)
        eventually(lambda: not live.server.server_state.connections)


def test_what_comes_after_a_refused_body_is_no_request(live):
    before = len(live.world.auditor.events)
    with live.connect() as sock:
        sock.sendall(UNSENT)
        assert statuses(answer_of(sock)) == [403]
        with contextlib.suppress(ConnectionError):
            sock.sendall(b"x" * 100 + put(5))
        assert is_over(sock)
    assert len(live.world.auditor.events) == before + 1
    assert live.world.handlers.reached == []


def test_a_request_that_came_whole_keeps_its_connection(live):
    with live.connect() as sock:
        for _ in range(2):
            sock.sendall(UNSENT + b"x" * 100)
            assert b"connection: close" not in answer_of(sock)


def test_a_body_that_stands_still_is_refused(live):
    for data in (put(100_000)[:-1], Request("POST", "/", [], b"{}" * 50, "sts").sign().wire()[:-1]):
        with live.connect() as sock:
            live.world.handlers.reached.clear()
            before = live.world.credentials.finds
            sock.sendall(data)
            eventually(lambda was=before: live.world.credentials.finds > was)
            skip_until_told(live, sock, arrival.PATIENCE_S + 0.1)
            answer = answer_of(sock)
            assert statuses(answer) == [400], answer
            assert b"RequestTimeout" in answer
            assert is_over(sock)
    assert live.world.handlers.bodies == []


def test_a_head_that_stands_still_is_hung_up_on(live):
    for head in (b"", b"GET / HTTP/1.1\r\nHost:", put(1)[:-1] + b"x" + b"GET / HT"):
        with live.connect() as sock:
            sock.sendall(head)
            if head.startswith(b"PUT"):
                assert statuses(answer_of(sock)) == [200]
            eventually(lambda: any(c.timer for c in list(live.server.server_state.connections)))
            live.loop.skip(strict.HEAD_TIMEOUT_S + 0.1)
            assert is_over(sock)
            eventually(lambda: not live.server.server_state.connections)


def test_an_answer_that_nobody_reads_is_given_up(live):
    with live.connect() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.sendall(Request("GET", f"/bucket/{1 << 30}").sign().wire())
        assert sock.recv(9) == b"HTTP/1.1 "
        eventually(lambda: any(c.stall for c in list(live.server.server_state.connections)))
        live.loop.skip(strict.STALL_S + 0.1)
        eventually(lambda: live.world.handlers.closed == ["get_object"])
        eventually(lambda: not live.server.server_state.connections)


def test_a_handshake_that_stands_still_is_hung_up_on(files):
    live = Live(World(), files.certificate, files.key, make_loop=SkippingLoop)
    with live.connect() as sock:
        eventually(lambda: live.server._shares.free < door_size(live))
        live.loop.skip(door.HANDSHAKE_TIMEOUT_S + 0.1)
        assert is_over(sock)
        eventually(lambda: live.server._shares.free == door_size(live))
    live.close()


def test_what_is_no_tls_lets_go_of_its_place(secure):
    for rubbish in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00" + b"x" * 600, b""):
        with secure.connect() as sock:
            sock.sendall(rubbish)
            sock.shutdown(socket.SHUT_WR)
            assert is_over(sock)
        eventually(lambda: secure.server._shares.free == door_size(secure))


def door_size(live) -> int:
    return live.server.connections_max


def test_no_address_holds_every_connection():
    live = Live(World(allow_plain=True), make_loop=SkippingLoop, connections_max=12)
    with contextlib.ExitStack() as kept:
        held = []
        for _ in range(20):
            sock = kept.enter_context(live.connect("127.0.0.2"))
            with contextlib.suppress(ConnectionError):
                sock.sendall(UNSENT)
                held.append(bool(sock.recv(1)))
        assert sum(held) == 6
        assert live.is_well()  # another address: the listener goes on
        live.loop.skip(strict.LINGER_S + 0.1)
        eventually(lambda: live.server._shares.free == 12)
        with live.connect("127.0.0.2") as sock:
            sock.sendall(UNSENT)
            assert sock.recv(9) == b"HTTP/1.1 "
    live.close()


def test_shares():
    shares = Shares(12)
    assert sum(shares.take("a") for _ in range(20)) == 6
    assert sum(shares.take("b") for _ in range(20)) == 3
    assert shares.take("c")
    for _ in range(6):
        shares.give_back("a")
    assert sum(shares.take("b") for _ in range(20)) == 2
    shares.give_back("b", 5)
    shares.give_back("c")
    assert (shares.free, dict(shares._held)) == (12, {})


@pytest.mark.parametrize(
    ("address", "source"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::/64"),
        ("", ""),
    ],
)
def test_sources(address, source):
    assert source_of(address) == source


def test_idle_clients_do_not_hold_up_a_stop(secure, caplog):
    """TLS clients that say nothing never answer its farewell."""
    with secure.connect() as raw, secure.context.wrap_socket(raw, server_hostname="localhost"):
        eventually(lambda: secure.server.server_state.connections)
        with caplog.at_level(logging.ERROR):
            stop(secure)
    assert "timeout graceful shutdown exceeded" not in caplog.text


def test_a_head_goes_out_with_its_body_as_one_record(secure):
    with (
        secure.connect() as raw,
        secure.context.wrap_socket(raw, server_hostname="localhost") as sock,
    ):
        sock.settimeout(10)
        for _ in range(3):
            sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert is_whole(sock.recv(1 << 16))  # which reads one record, and no more


def test_a_request_in_flight_ends_before_a_stop(secure):
    secure.world.auditor.holds = True
    with (
        secure.connect() as raw,
        secure.context.wrap_socket(raw, server_hostname="localhost") as sock,
    ):
        sock.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        eventually(lambda: secure.world.auditor.held)
        secure.server.should_exit = True
        eventually(lambda: not secure.server.servers[0].is_open)
        secure.world.auditor.held.pop().set_result(1)
        answer = answer_of(sock)
        assert statuses(answer) == [403]
        assert b"connection: close" in answer
    stop(secure)


def stop(live) -> None:
    live.server.should_exit = True
    live.thread.join(20)
    assert not live.thread.is_alive()
