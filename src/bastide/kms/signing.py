"""Signatures and message authentication codes.

https://docs.aws.amazon.com/kms/latest/APIReference/API_Sign.html
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed
from cryptography.hazmat.primitives.serialization import load_der_private_key, load_der_public_key

from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.kernel.operation import operation
from bastide.kms import errors
from bastide.kms.keys import GRANT_TOKENS
from bastide.kms.model import Key, Params, Usage
from bastide.kms.specs import SPECS
from bastide.kms.vault import Vault

_DIGESTS: Mapping[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
    "256": hashes.SHA256,
    "384": hashes.SHA384,
    "512": hashes.SHA512,
}
_MESSAGE = ("KeyId", "Message", "MessageType", "SigningAlgorithm", "DryRun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    vault: Vault

    @operation(*_MESSAGE, accepted=GRANT_TOKENS)
    def sign(self, call: Call, req: Params) -> Params:
        key = self._key(call, req)
        algorithm, digest = _digested(req)
        private = load_der_private_key(self.vault.secret(key), None)
        if isinstance(private, ec.EllipticCurvePrivateKey):
            signature = private.sign(req["Message"], ec.ECDSA(digest))
        else:
            assert isinstance(private, rsa.RSAPrivateKey)
            signature = private.sign(req["Message"], _padding(algorithm), digest)
        return {**self._said(key, req), "Signature": signature}

    @operation(*_MESSAGE, "Signature", accepted=GRANT_TOKENS)
    def verify(self, call: Call, req: Params) -> Params:
        key = self._key(call, req)
        algorithm, digest = _digested(req)
        public = load_der_public_key(self.vault.version(key, key.version).public)
        try:
            if isinstance(public, ec.EllipticCurvePublicKey):
                public.verify(req["Signature"], req["Message"], ec.ECDSA(digest))
            else:
                assert isinstance(public, rsa.RSAPublicKey)
                public.verify(req["Signature"], req["Message"], _padding(algorithm), digest)
        except InvalidSignature:
            raise ServiceError(
                "KMSInvalidSignatureException", "The signature does not verify."
            ) from None
        return {**self._said(key, req), "SignatureValid": True}

    @operation("KeyId", accepted=GRANT_TOKENS)
    def get_public_key(self, call: Call, req: Params) -> Params:
        key = self.vault.key(call, req["KeyId"])
        self.vault.check_enabled(key)
        public = self.vault.version(key, key.version).public
        if not public:
            raise ServiceError(
                "UnsupportedOperationException", f"{key.spec} keys have no public part."
            )
        member = "SigningAlgorithms" if key.usage is Usage.SIGN else "EncryptionAlgorithms"
        return {
            "KeyId": self.vault.arn(key),
            "PublicKey": public,
            "CustomerMasterKeySpec": key.spec,
            "KeySpec": key.spec,
            "KeyUsage": key.usage.value,
            member: list(SPECS[key.spec].algorithms[key.usage]),
        }

    @operation("KeyId", "Message", "MacAlgorithm", "DryRun", accepted=GRANT_TOKENS)
    def generate_mac(self, call: Call, req: Params) -> Params:
        key = self._mac_key(call, req)
        return {**_mac_said(self.vault.arn(key), req), "Mac": self._mac(key, req)}

    @operation("KeyId", "Message", "MacAlgorithm", "Mac", "DryRun", accepted=GRANT_TOKENS)
    def verify_mac(self, call: Call, req: Params) -> Params:
        key = self._mac_key(call, req)
        if not hmac.compare_digest(self._mac(key, req), req["Mac"]):
            raise ServiceError("KMSInvalidMacException", "The HMAC does not verify.")
        return {**_mac_said(self.vault.arn(key), req), "MacValid": True}

    def _key(self, call: Call, req: Params) -> Key:
        key = self.vault.usable(call, req["KeyId"], Usage.SIGN)
        _check_algorithm(key, req["SigningAlgorithm"])
        if req.get("DryRun"):
            raise errors.dry_run()
        return key

    def _mac_key(self, call: Call, req: Params) -> Key:
        key = self.vault.usable(call, req["KeyId"], Usage.MAC)
        _check_algorithm(key, req["MacAlgorithm"])
        if req.get("DryRun"):
            raise errors.dry_run()
        return key

    def _mac(self, key: Key, req: Params) -> bytes:
        digest = f"sha{req['MacAlgorithm'].rpartition('_')[2]}"
        return hmac.digest(self.vault.secret(key), req["Message"], digest)

    def _said(self, key: Key, req: Params) -> Params:
        return {"KeyId": self.vault.arn(key), "SigningAlgorithm": req["SigningAlgorithm"]}


def _mac_said(arn: str, req: Params) -> Params:
    return {"KeyId": arn, "MacAlgorithm": req["MacAlgorithm"]}


def _check_algorithm(key: Key, algorithm: str) -> None:
    if algorithm not in SPECS[key.spec].algorithms[key.usage]:
        raise errors.wrong_algorithm(algorithm, key.spec)


def _digested(req: Params) -> tuple[str, hashes.HashAlgorithm | Prehashed]:
    """The algorithm, and how its digest comes about: a caller may have made it."""
    algorithm = req["SigningAlgorithm"]
    digest = _DIGESTS[algorithm.rpartition("_")[2]]()
    if (req.get("MessageType") or "RAW") == "RAW":
        return algorithm, digest
    if len(req["Message"]) != digest.digest_size:
        raise errors.invalid(f"Digest is invalid length for algorithm {algorithm}.")
    return algorithm, Prehashed(digest)


def _padding(algorithm: str) -> padding.PKCS1v15 | padding.PSS:
    if "PKCS1" in algorithm:
        return padding.PKCS1v15()
    digest = _DIGESTS[algorithm.rpartition("_")[2]]()
    return padding.PSS(mgf=padding.MGF1(digest), salt_length=digest.digest_size)
