"""What each key spec is: how its secret is made, what it may be used for, its algorithms.

Source: https://docs.aws.amazon.com/kms/latest/developerguide/symm-asymm-choose-key-spec.html
Secrets are raw bytes for symmetric keys and PKCS #8 for the others; public keys are SPKI.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from bastide.kernel.ids import Ids
from bastide.kms.model import Usage

SYMMETRIC = "SYMMETRIC_DEFAULT"
_RSA_SIGN = tuple(
    f"RSASSA_{padding}_SHA_{bits}" for padding in ("PKCS1_V1_5", "PSS") for bits in (256, 384, 512)
)
_RSA_CRYPT = ("RSAES_OAEP_SHA_1", "RSAES_OAEP_SHA_256")
_CURVES: Mapping[str, type[ec.EllipticCurve]] = {
    "ECC_NIST_P256": ec.SECP256R1,
    "ECC_NIST_P384": ec.SECP384R1,
    "ECC_NIST_P521": ec.SECP521R1,
}


@dataclass(frozen=True, slots=True)
class Spec:
    """`algorithms` by what the key may be used for; the first is the default where one is."""

    algorithms: Mapping[Usage, tuple[str, ...]]
    secret_size: int = 0

    @property
    def default_usage(self) -> Usage | None:
        """Where there is none, a caller must say what the key is for."""
        return Usage.CRYPT if self.secret_size and Usage.CRYPT in self.algorithms else None


SPECS: Mapping[str, Spec] = {
    SYMMETRIC: Spec({Usage.CRYPT: (SYMMETRIC,)}, secret_size=32),
    **{
        f"RSA_{bits}": Spec({Usage.SIGN: _RSA_SIGN, Usage.CRYPT: _RSA_CRYPT})
        for bits in (2048, 3072, 4096)
    },
    "ECC_NIST_P256": Spec({Usage.SIGN: ("ECDSA_SHA_256",)}),
    "ECC_NIST_P384": Spec({Usage.SIGN: ("ECDSA_SHA_384",)}),
    "ECC_NIST_P521": Spec({Usage.SIGN: ("ECDSA_SHA_512",)}),
    **{
        f"HMAC_{bits}": Spec({Usage.MAC: (f"HMAC_SHA_{bits}",)}, secret_size=bits // 8)
        for bits in (224, 256, 384, 512)
    },
}


def made(spec: str, ids: Ids) -> tuple[bytes, bytes]:
    """A new secret, and what is public of it."""
    size = SPECS[spec].secret_size
    if size:
        return ids.token(size), b""
    private: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    if spec in _CURVES:
        private = ec.generate_private_key(_CURVES[spec]())
    else:
        private = rsa.generate_private_key(65537, int(spec.removeprefix("RSA_")))
    secret = private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    public = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return secret, public
