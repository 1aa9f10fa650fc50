"""Certificates that strict verifiers take, under every name that clients use."""

import socket
import ssl
import threading
from datetime import timedelta

import pytest
from cryptography import x509

from bastide.kernel.clock import ManualClock
from bastide.wire import tls
from bastide.wire.server import make_server
from tests.wire.gateway.kit import CATALOGUE, REGION

NAMES = tls.host_names(REGION, CATALOGUE)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    from bastide.kernel.clock import SystemClock

    return tls.ensure(tmp_path_factory.mktemp("tls"), NAMES, REGION, SystemClock())


async def nothing(scope, receive, send): ...


def greet(files, name: str, **options) -> ssl.SSLSocket:
    """A handshake with the server's own context; the client verifies strictly."""
    server = make_server(nothing, certificate=files.certificate, key=files.key)
    client = ssl.create_default_context(cafile=str(files.ca))
    client.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    for key, value in options.items():
        setattr(client, key, value)
    ours, theirs = socket.socketpair()

    def answer():
        try:
            server.config.ssl.wrap_socket(theirs, server_side=True).close()
        except OSError:
            theirs.close()

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        return client.wrap_socket(ours, server_hostname=name)
    finally:
        thread.join(10)
        ours.close()


def test_every_name_is_accepted_by_a_strict_verifier(files):
    some = [name.replace("*", "my-bucket") for name in NAMES]
    for name in ["localhost", "127.0.0.1", "::1", "bucket.s3.localhost", *some]:
        with greet(files, name) as done:
            assert done.version() == "TLSv1.3"


@pytest.mark.parametrize("name", ["example.com", "a.b.s3.localhost", "s3.us-east-1.amazonaws.com"])
def test_other_names_are_not(files, name):
    with pytest.raises(ssl.SSLCertVerificationError):
        greet(files, name)


def test_old_clients(files):
    with greet(files, "localhost", maximum_version=ssl.TLSVersion.TLSv1_2) as done:
        assert "GCM" in done.cipher()[0]


def test_keys_are_for_their_owner_only(files):
    folder = files.key.parent
    assert folder.stat().st_mode & 0o777 == 0o700
    for name in ("server.key", "ca.key"):
        assert (folder / name).stat().st_mode & 0o777 == 0o600
    assert not list(folder.glob("*.new"))


def test_renewed_near_its_end_and_for_new_names(tmp_path):
    clock = ManualClock()

    def serial():
        made = tls.ensure(tmp_path, names, REGION, clock)
        found = x509.load_pem_x509_certificate(made.certificate.read_bytes())
        assert found.not_valid_after_utc > clock.now()
        return found.serial_number

    names = ["a.example"]
    first = serial()
    authority = (tmp_path / "ca.pem").read_bytes()
    assert serial() == first
    clock.advance(timedelta(days=tls.SERVER_DAYS - tls.RENEW_DAYS - 1).total_seconds())
    assert serial() == first
    clock.advance(timedelta(days=2).total_seconds())
    second = serial()
    assert second != first
    names.append("b.example")
    assert serial() != second
    assert (tmp_path / "ca.pem").read_bytes() == authority


def test_an_authority_near_its_end_is_replaced(tmp_path):
    clock = ManualClock()
    tls.ensure(tmp_path, [], REGION, clock)
    clock.advance(timedelta(days=tls.CA_DAYS - 100).total_seconds())
    made = tls.ensure(tmp_path, [], REGION, clock)
    authority = x509.load_pem_x509_certificate(made.ca.read_bytes())
    own = x509.load_pem_x509_certificate(made.certificate.read_bytes())
    assert own.not_valid_after_utc <= authority.not_valid_after_utc
    own.verify_directly_issued_by(authority)


def test_a_key_without_its_certificate_is_made_again(tmp_path):
    """Killed between the two renames: the key is not the certificate's."""
    clock = ManualClock()
    made = tls.ensure(tmp_path, [], REGION, clock)
    old = made.certificate.read_bytes()
    made.certificate.unlink()
    tls.ensure(tmp_path, [], REGION, clock)
    made.certificate.write_bytes(old)
    tls.ensure(tmp_path, [], REGION, clock)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made.certificate, made.key)
