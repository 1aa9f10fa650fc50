"""Each region's own certificate authority, and its server certificate with all its names.

Source of the profile: RFC 5280; strict verifiers want key identifiers and critical key usage.
"""

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from botocore.loaders import Loader
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bastide.kernel.clock import Clock
from bastide.kernel.regions import Region
from bastide.wire.model import SERVICES, Catalogue

CA_DAYS = 3650
SERVER_DAYS = 397
RENEW_DAYS = 30
ADDRESSES = ("127.0.0.1", "::1")
LOCAL = ("localhost", "*.localhost", "*.s3.localhost")


@dataclass(frozen=True, slots=True)
class Certificates:
    """Where the files are: the CA's certificate for clients, the server's pair."""

    ca: Path
    certificate: Path
    key: Path


def host_names(region: Region, catalogue: Catalogue) -> list[str]:
    """Every name under which AWS's clients look for a service of this region."""
    names: list[str] = []
    for name in SERVICES:
        prefix = catalogue.service(name).endpoint_prefix
        first, _, rest = prefix.partition(".")
        for one in (prefix, f"{first}-fips.{rest}" if rest else f"{first}-fips"):
            names.append(f"{one}.{region.name}.{region.dns_suffix}")
    for bucket in ("s3", "s3-fips"):
        names.append(f"*.{bucket}.{region.name}.{region.dns_suffix}")
    partition = {"aws": "", "aws-us-gov": ".us-gov"}.get(region.partition, f".{region.name}")
    names += [f"{one}{partition}.{region.dns_suffix}" for one in ("iam", "sts")]
    names.append(f"bedrock-mantle.{region.name}.api.aws")
    return list(dict.fromkeys(names))


def global_region(region: Region) -> str:
    """The region in whose name IAM's requests of this partition are signed."""
    for partition in Loader().load_data("partitions")["partitions"]:
        if partition["id"] == region.partition:
            return str(partition["outputs"]["implicitGlobalRegion"])
    return region.name


def hosts_lines(region: Region, catalogue: Catalogue, address: str) -> list[str]:
    """Lines of /etc/hosts for the private-DNS mode; wildcards need a zone instead."""
    names = host_names(region, catalogue)
    lines = [f"{address} {name}" for name in names if not name.startswith("*")]
    return lines + [f"# zone: {name} A {address}" for name in names if name.startswith("*")]


def ensure(folder: Path, names: Sequence[str], region: Region, clock: Clock) -> Certificates:
    """The region's certificates, made or renewed where they are missing, old or too narrow."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    files = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    now = clock.now()
    ca_key_file = folder / "ca.key"
    if not _is_pair(files.ca, ca_key_file, now + timedelta(days=SERVER_DAYS)):
        _make_ca(files.ca, ca_key_file, region, now)
    if not _is_good(files, names, now):
        _make_server(files, ca_key_file, names, now)
    return files


def _is_pair(path: Path, key_path: Path, until: datetime) -> bool:
    """Both are there and belong together, which a kill between two writes can prevent; and the
    certificate outlives `until`."""
    if not path.exists() or not key_path.exists():
        return False
    found = x509.load_pem_x509_certificate(path.read_bytes())
    key = serialization.load_pem_private_key(key_path.read_bytes(), None)
    return found.public_key() == key.public_key() and found.not_valid_after_utc > until


def _is_good(files: Certificates, names: Sequence[str], now: datetime) -> bool:
    if not _is_pair(files.certificate, files.key, now + timedelta(days=RENEW_DAYS)):
        return False
    found = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    held = set(alternative.get_values_for_type(x509.DNSName))
    return {*names, *LOCAL} <= held and _is_issued_by(found, files.ca)


def _is_issued_by(found: x509.Certificate, ca: Path) -> bool:
    try:
        found.verify_directly_issued_by(x509.load_pem_x509_certificate(ca.read_bytes()))
    except (ValueError, InvalidSignature):
        return False
    return True


def _make_ca(path: Path, key_path: Path, region: Region, now: datetime) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Bastide"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Bastide {region.name} CA"),
        ]
    )
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        _builder(name, name, key, now, CA_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(identifier, critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    _write(key_path, _pem(key), 0o600)
    _write(path, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _make_server(
    files: Certificates, ca_key_file: Path, names: Sequence[str], now: datetime
) -> None:
    ca = x509.load_pem_x509_certificate(files.ca.read_bytes())
    ca_key = serialization.load_pem_private_key(ca_key_file.read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    alternative: list[x509.GeneralName] = [
        x509.DNSName(name) for name in dict.fromkeys([*LOCAL, *names])
    ]
    alternative += [x509.IPAddress(ipaddress.ip_address(one)) for one in ADDRESSES]
    ca_identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        _builder(subject, ca.subject, key, now, SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternative), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier),
            critical=False,
        )
        .sign(ca_key, hashes.SHA256())
    )
    _write(files.key, _pem(key), 0o600)
    _write(files.certificate, certificate.public_bytes(serialization.Encoding.PEM), 0o644)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    days: int,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=days))
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _write(path: Path, data: bytes, mode: int) -> None:
    """Whole or not at all, durable, with its mode from the first moment."""
    aside = path.with_suffix(path.suffix + ".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    aside.rename(path)
