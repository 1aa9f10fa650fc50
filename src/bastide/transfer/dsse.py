"""DSSE envelopes that two signatures of one region must both vouch for: ECDSA P-384 and ML-DSA-87.

The two stand together so that a bundle stays true when either kind of signature is broken.
Sources: https://github.com/secure-systems-lab/dsse/blob/master/protocol.md, FIPS 186-5, FIPS 204.
"""

import base64
import binascii
from dataclasses import dataclass
from hashlib import sha256

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bastide.transfer.model import Refused

PAYLOAD_TYPE = "application/vnd.in-toto+json"
BYTES_MIN = 4 * -(-4627 // 3)  # an ML-DSA-87 signature in base64
_HASH = ec.ECDSA(hashes.SHA384())


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keyid: str
    sig: str


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    payload_type: str
    payload: str
    signatures: list[_Signature]


def pae(payload_type: str, payload: bytes) -> bytes:
    """DSSE's pre-authentication encoding: what is signed."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeys:
    """A region's two public keys."""

    ecdsa: ec.EllipticCurvePublicKey
    mldsa: mldsa.MLDSA87PublicKey

    def ids(self) -> tuple[str, str]:
        return _key_id("ecdsa-p384", ecdsa_raw(self.ecdsa)), _key_id(
            "ml-dsa-87", self.mldsa.public_bytes_raw()
        )

    def open(self, envelope: bytes) -> bytes:
        """The payload, if exactly these two keys signed it. Raises Refused."""
        read = _read(envelope)
        signatures = {one.keyid: _decoded(one.sig) for one in read.signatures}
        ecdsa_id, mldsa_id = self.ids()
        if len(read.signatures) != 2 or set(signatures) != {ecdsa_id, mldsa_id}:
            raise Refused("it does not carry the two signatures of that region's keys")
        payload = _decoded(read.payload)
        signed = pae(PAYLOAD_TYPE, payload)
        try:
            self.ecdsa.verify(signatures[ecdsa_id], signed, _HASH)
            self.mldsa.verify(signatures[mldsa_id], signed)
        except InvalidSignature:
            raise Refused("a signature does not hold") from None
        return payload


@dataclass(frozen=True, slots=True, kw_only=True)
class Signer:
    """A region's two private keys."""

    ecdsa: ec.EllipticCurvePrivateKey
    mldsa: mldsa.MLDSA87PrivateKey

    @property
    def public(self) -> PublicKeys:
        return PublicKeys(ecdsa=self.ecdsa.public_key(), mldsa=self.mldsa.public_key())

    def sign(self, payload: bytes) -> bytes:
        """The envelope of a payload."""
        signed = pae(PAYLOAD_TYPE, payload)
        ecdsa_id, mldsa_id = self.public.ids()
        made = {
            ecdsa_id: self.ecdsa.sign(signed, _HASH),
            mldsa_id: self.mldsa.sign(signed),
        }
        signatures = [_Signature(keyid, _text(sig)) for keyid, sig in made.items()]
        return msgspec.json.encode(_Envelope(PAYLOAD_TYPE, _text(payload), signatures))


def unverified(envelope: bytes) -> bytes:
    """The payload of an envelope that nobody has vouched for yet: to learn whose keys to ask."""
    return _decoded(_read(envelope).payload)


def digest_of(payload: bytes) -> str:
    """A bundle's name. Not of its envelope: a signature can be written in more than one way."""
    return sha256(payload).hexdigest()


def ecdsa_raw(key: ec.EllipticCurvePublicKey) -> bytes:
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def _read(envelope: bytes) -> _Envelope:
    try:
        read = msgspec.json.decode(envelope, type=_Envelope)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Refused("it is no DSSE envelope") from None
    if read.payload_type != PAYLOAD_TYPE:
        raise Refused(f"its payload is no {PAYLOAD_TYPE}")
    return read


def _key_id(kind: str, raw: bytes) -> str:
    return f"{kind}:{sha256(raw).hexdigest()}"


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("it is no DSSE envelope") from None
