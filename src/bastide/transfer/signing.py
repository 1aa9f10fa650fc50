"""A region's own signing keys, and the keys of the regions that it trusts to send.

An anchor is a small JSON file that a person carries from one region to the other. `ceiling` is
the highest label that the region may hold, by which the direction of a transfer is known.
"""

import base64
import binascii
import re
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

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
from bastide.transfer.model import Refused, Statement, claimed_region, decoded

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


class Trust(Protocol):
    """Whose bundles are taken."""

    def of(self, region: str) -> Anchor:
        """Raises Refused for a region that is not trusted."""
        ...


def vouched(digest: str, envelope: bytes, *, trust: Trust, region: str, size_max: int) -> Statement:
    """What a trusted region says in the envelope of bundle `digest`, for `region`: all that can be
    known before a chunk is. No more of a stranger's statement is read than whose key to ask."""
    payload = dsse.unverified(envelope)
    if dsse.digest_of(payload) != digest:
        raise Refused("it is not the bundle that its name says")
    claimed = claimed_region(payload)
    statement = decoded(trust.of(claimed).keys().open(envelope))
    predicate = statement.predicate
    if predicate.origin.region != claimed:
        raise Refused("it names two regions that made it")
    if predicate.to != region:
        raise Refused(f"it is for region {predicate.to}")
    if claimed == region:
        raise Refused("it comes from this region itself")
    if predicate.size > size_max:
        raise Refused(f"it has {predicate.size} bytes, more than {size_max}")
    return statement


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

    def all(self) -> "Anchors":
        """What is given to a process that may not look here. A damaged one is left out: of its
        region nothing is taken, and `of` says why."""
        found = []
        for path in sorted(self.folder.glob("*.json")):
            with suppress(Refused, OSError):
                found.append(self.of(path.stem))
        return Anchors(found)

    def _path(self, region: str) -> Path:
        """A region's name comes out of a stranger's bundle: it never leaves the folder."""
        if not _REGION.fullmatch(region):
            raise Refused(f"{region[:64]!r} is no region's name")
        return self.folder / f"{region}.json"


@dataclass(frozen=True, slots=True)
class Anchors:
    """The anchors of the regions whose bundles are taken, for a process without that folder."""

    anchors: Sequence[Anchor]

    def encoded(self) -> bytes:
        return msgspec.json.encode(self.anchors)

    def of(self, region: str) -> Anchor:
        for anchor in self.anchors:
            if anchor.region == region:
                return anchor
        raise Refused(f"region {region[:64]!r} is not trusted here")


def read_anchors(data: bytes) -> Anchors:
    return Anchors(msgspec.json.decode(data, type=list[Anchor]))
