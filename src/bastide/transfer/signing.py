"""A region's own signing keys, and the keys of the regions that it trusts to send.

An anchor is a small JSON file that a person carries from one region to the other. `ceiling` is
the highest label that the region may hold, by which the direction of a transfer is known.
"""

import base64
import binascii
import re
import stat
from dataclasses import dataclass
from pathlib import Path

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from bastide.db import durable
from bastide.transfer import dsse
from bastide.transfer.model import Refused

PRIVATE_ECDSA, PRIVATE_MLDSA = "p384.pem", "mldsa87.seed"
ANCHOR_BYTES_MAX = 64 << 10
_REGION = re.compile(r"[a-z][a-z0-9-]{2,63}")


class Anchor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A region's public keys, as they travel."""

    region: str
    ceiling: str
    ecdsa_p384: str
    ml_dsa_87: str

    def keys(self) -> dsse.PublicKeys:
        """Raises Refused."""
        try:
            return dsse.PublicKeys(
                ecdsa=ec.EllipticCurvePublicKey.from_encoded_point(
                    ec.SECP384R1(), base64.b64decode(self.ecdsa_p384, validate=True)
                ),
                mldsa=mldsa.MLDSA87PublicKey.from_public_bytes(
                    base64.b64decode(self.ml_dsa_87, validate=True)
                ),
            )
        except (ValueError, binascii.Error):
            raise Refused("the anchor holds no usable keys") from None


def anchor_of(region: str, ceiling: str, keys: dsse.PublicKeys) -> Anchor:
    return Anchor(
        region=region,
        ceiling=ceiling,
        ecdsa_p384=base64.b64encode(dsse.ecdsa_raw(keys.ecdsa)).decode(),
        ml_dsa_87=base64.b64encode(keys.mldsa.public_bytes_raw()).decode(),
    )


def read_anchor(data: bytes) -> Anchor:
    """Raises Refused for what is no anchor."""
    if len(data) > ANCHOR_BYTES_MAX:
        raise Refused("it is no anchor of a region: too large")
    try:
        anchor = msgspec.json.decode(data, type=Anchor)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused("it is no anchor of a region") from None
    if not _REGION.fullmatch(anchor.region):
        raise Refused("it is no anchor of a region: its name is none")
    anchor.keys()
    return anchor


def load_signer(folder: Path) -> dsse.Signer:
    """The signing keys that live in `folder`; made on first use."""
    durable.folder(folder)
    ecdsa_path, mldsa_path = folder / PRIVATE_ECDSA, folder / PRIVATE_MLDSA
    if not ecdsa_path.exists():
        pem = ec.generate_private_key(ec.SECP384R1()).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        )
        durable.create(ecdsa_path, pem)
    if not mldsa_path.exists():
        durable.create(mldsa_path, mldsa.MLDSA87PrivateKey.generate().private_bytes_raw())
    ecdsa = load_pem_private_key(_private(ecdsa_path), None)
    assert isinstance(ecdsa, ec.EllipticCurvePrivateKey)
    return dsse.Signer(
        ecdsa=ecdsa, mldsa=mldsa.MLDSA87PrivateKey.from_seed_bytes(_private(mldsa_path))
    )


def _private(path: Path) -> bytes:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise PermissionError(f"{path} may be read by others: chmod 600 {path}")
    return path.read_bytes()


@dataclass(frozen=True, slots=True)
class TrustStore:
    """The anchors of the regions whose bundles are taken, one file for each in `folder`."""

    folder: Path

    def add(self, anchor: Anchor) -> None:
        durable.folder(self.folder)
        durable.replace(self._path(anchor.region), msgspec.json.encode(anchor))

    def of(self, region: str) -> Anchor:
        """Raises Refused for a region that is not trusted."""
        try:
            anchor = read_anchor(self._path(region).read_bytes())
        except FileNotFoundError:
            raise Refused(f"region {region} is not trusted here") from None
        if anchor.region != region:
            raise Refused(f"the anchor of region {region} is another region's")
        return anchor

    def _path(self, region: str) -> Path:
        """A region's name comes out of a stranger's bundle: it never leaves the folder."""
        if not _REGION.fullmatch(region):
            raise Refused(f"{region[:64]!r} is no region's name")
        return self.folder / f"{region}.json"
