"""Encrypt, decrypt and data keys.

https://docs.aws.amazon.com/kms/latest/APIReference/API_Encrypt.html. The encryption context is
additional authenticated data: without the very same one nothing opens.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.serialization import load_der_private_key

from bastide.kernel.call import Call
from bastide.kernel.operation import operation
from bastide.kms import ciphertext, errors
from bastide.kms.keys import GRANT_TOKENS
from bastide.kms.model import Key, Params, Usage
from bastide.kms.specs import SPECS, SYMMETRIC
from bastide.kms.vault import Vault

DATA_KEY_SIZES = {"AES_256": 32, "AES_128": 16}
_OAEP = {"RSAES_OAEP_SHA_1": hashes.SHA1, "RSAES_OAEP_SHA_256": hashes.SHA256}


@dataclass(frozen=True, slots=True, kw_only=True)
class Encryption:
    vault: Vault

    @operation(
        "KeyId", "Plaintext", "EncryptionContext", "EncryptionAlgorithm", "DryRun",
        accepted=GRANT_TOKENS,
    )  # fmt: skip
    def encrypt(self, call: Call, req: Params) -> Params:
        key = self.vault.usable(call, req["KeyId"], Usage.CRYPT)
        algorithm = _algorithm(key, req.get("EncryptionAlgorithm"))
        encryption = req.get("EncryptionContext") or {}
        _check_dry_run(req)
        return {
            "CiphertextBlob": self._sealed(key, algorithm, req["Plaintext"], encryption),
            "KeyId": self.vault.arn(key),
            "EncryptionAlgorithm": algorithm,
        }

    @operation(
        "CiphertextBlob", "EncryptionContext", "KeyId", "EncryptionAlgorithm", "DryRun",
        accepted=GRANT_TOKENS,
    )  # fmt: skip
    def decrypt(self, call: Call, req: Params) -> Params:
        key = self._opening(call, _blob(req), req.get("KeyId"))
        algorithm = _algorithm(key, req.get("EncryptionAlgorithm"))
        encryption = req.get("EncryptionContext") or {}
        plain = self._opened(key, algorithm, req["CiphertextBlob"], encryption)
        _check_dry_run(req)
        return {
            "Plaintext": plain,
            "KeyId": self.vault.arn(key),
            "EncryptionAlgorithm": algorithm,
        }

    @operation(
        "CiphertextBlob", "SourceEncryptionContext", "SourceKeyId", "DestinationKeyId",
        "DestinationEncryptionContext", "SourceEncryptionAlgorithm",
        "DestinationEncryptionAlgorithm", "DryRun",
        accepted=GRANT_TOKENS,
    )  # fmt: skip
    def re_encrypt(self, call: Call, req: Params) -> Params:
        source = self._opening(call, _blob(req), req.get("SourceKeyId"))
        target = self.vault.usable(call, req["DestinationKeyId"], Usage.CRYPT)
        of_source = _algorithm(source, req.get("SourceEncryptionAlgorithm"))
        of_target = _algorithm(target, req.get("DestinationEncryptionAlgorithm"))
        plain = self._opened(
            source, of_source, req["CiphertextBlob"], req.get("SourceEncryptionContext") or {}
        )
        _check_dry_run(req)
        return {
            "CiphertextBlob": self._sealed(
                target, of_target, plain, req.get("DestinationEncryptionContext") or {}
            ),
            "SourceKeyId": self.vault.arn(source),
            "KeyId": self.vault.arn(target),
            "SourceEncryptionAlgorithm": of_source,
            "DestinationEncryptionAlgorithm": of_target,
        }

    @operation(
        "KeyId", "EncryptionContext", "NumberOfBytes", "KeySpec", "DryRun", accepted=GRANT_TOKENS
    )
    def generate_data_key(self, call: Call, req: Params) -> Params:
        plain, answer = self._data_key(call, req)
        return {**answer, "Plaintext": plain}

    @operation(
        "KeyId", "EncryptionContext", "NumberOfBytes", "KeySpec", "DryRun", accepted=GRANT_TOKENS
    )
    def generate_data_key_without_plaintext(self, call: Call, req: Params) -> Params:
        return self._data_key(call, req)[1]

    @operation("NumberOfBytes")
    def generate_random(self, call: Call, req: Params) -> Params:
        size = req.get("NumberOfBytes")
        if size is None:
            raise errors.invalid("NumberOfBytes is required.")
        return {"Plaintext": self.vault.ids.token(size)}

    def _data_key(self, call: Call, req: Params) -> tuple[bytes, Params]:
        key = self.vault.usable(call, req["KeyId"], Usage.CRYPT)
        if key.spec != SYMMETRIC:
            raise errors.wrong_algorithm("of data keys", key.spec)
        size, spec = req.get("NumberOfBytes"), req.get("KeySpec")
        if (size is None) == (spec is None):
            raise errors.invalid("Please specify either number of bytes or key spec.")
        plain = self.vault.ids.token(DATA_KEY_SIZES[spec] if spec else int(size or 0))
        _check_dry_run(req)
        sealed = self.vault.seal(key, plain, req.get("EncryptionContext") or {})
        return plain, {"CiphertextBlob": sealed, "KeyId": self.vault.arn(key)}

    def _opening(self, call: Call, blob: bytes, named: str | None) -> Key:
        """The key that is to open a ciphertext. One of symmetric keys says so itself; what it says
        is proved when it opens."""
        if named is None:
            raise errors.not_a_ciphertext()
        head = ciphertext.head_of(blob)
        found = self.vault.seen(call.principal, self.vault.id_of(call, named))
        if found is None and head is not None and named.endswith(head.key_id):
            raise errors.key_out_of_reach()
        key = self.vault.usable(call, named, Usage.CRYPT)
        if key.spec == SYMMETRIC and head is not None and head.key_id != key.id:
            raise errors.another_key()
        return key

    def _sealed(
        self, key: Key, algorithm: str, plain: bytes, encryption: Mapping[str, str]
    ) -> bytes:
        if key.spec == SYMMETRIC:
            return self.vault.seal(key, plain, encryption)
        public = self._private(key).public_key()
        try:
            return public.encrypt(plain, _oaep(algorithm))
        except ValueError:  # longer than one block of RSA takes
            raise errors.invalid("The plaintext is too long for the key.") from None

    def _opened(
        self, key: Key, algorithm: str, blob: bytes, encryption: Mapping[str, str]
    ) -> bytes:
        if key.spec == SYMMETRIC:
            return self.vault.open(key, blob, encryption)
        try:
            return self._private(key).decrypt(blob, _oaep(algorithm))
        except ValueError:
            raise errors.not_a_ciphertext() from None

    def _private(self, key: Key) -> rsa.RSAPrivateKey:
        private = load_der_private_key(self.vault.secret(key), None)
        assert isinstance(private, rsa.RSAPrivateKey)
        return private


def _oaep(algorithm: str) -> padding.OAEP:
    digest = _OAEP[algorithm]
    return padding.OAEP(mgf=padding.MGF1(digest()), algorithm=digest(), label=None)


def _algorithm(key: Key, given: str | None) -> str:
    chosen = given or SYMMETRIC
    if chosen not in SPECS[key.spec].algorithms[key.usage]:
        raise errors.wrong_algorithm(chosen, key.spec)
    return chosen


def _blob(req: Params) -> bytes:
    """The model lets it be left out, for a form of DryRun that is not honoured here."""
    found: bytes = req.get("CiphertextBlob") or b""
    if not found:
        raise errors.invalid("CiphertextBlob is required.")
    return found


def _check_dry_run(req: Params) -> None:
    if req.get("DryRun"):
        raise errors.dry_run()
