"""A master key in a PKCS #11 token: it wraps and unwraps there, and never comes out.

https://docs.oasis-open.org/pkcs11/pkcs11-base/v3.0/pkcs11-base-v3.0.html. It is asked once at a
region's start and once for each new region key, so that a session is opened for each.
"""

import secrets
from dataclasses import dataclass
from typing import Any

import pkcs11
from pkcs11 import Attribute, GCMParams, KeyType, Mechanism, ObjectClass

from bastide.keys.master import NONCE_SIZE


class TokenError(Exception):
    """The token does not do what it should; the text says which and what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pkcs11Master:
    """`label` is the key's name in the token; it is made there on first use."""

    module: str
    token: str
    label: str
    pin: str

    def __repr__(self) -> str:
        return f"Pkcs11Master(token={self.token!r}, label={self.label!r})"

    @property
    def id(self) -> str:
        return f"pkcs11:{self.token}/{self.label}"

    def make(self, *, is_new: bool) -> "Pkcs11Master":
        """Make the key if it is not there; only where nothing was ever wrapped by another."""
        with self._session() as session:
            if _find(session, self.label) is not None:
                return self
            if not is_new:
                raise TokenError(f"The token {self.token} has no key {self.label} any more.")
            session.generate_key(
                KeyType.AES, 256, label=self.label, store=True,
                template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False},
            )  # fmt: skip
        return self

    def wrap(self, plain: bytes, aad: bytes) -> bytes:
        nonce = secrets.token_bytes(NONCE_SIZE)
        with self._session() as session:
            sealed: bytes = self._key(session).encrypt(
                plain, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, aad, 128)
            )
        return nonce + sealed

    def unwrap(self, wrapped: bytes, aad: bytes) -> bytes:
        nonce, sealed = wrapped[:NONCE_SIZE], wrapped[NONCE_SIZE:]
        try:
            with self._session() as session:
                plain: bytes = self._key(session).decrypt(
                    sealed, mechanism=Mechanism.AES_GCM, mechanism_param=GCMParams(nonce, aad, 128)
                )
        except (pkcs11.exceptions.EncryptedDataInvalid, pkcs11.exceptions.GeneralError):
            raise ValueError("tampered with, or wrapped by another master key") from None
        return plain

    def _session(self) -> "pkcs11.Session":
        try:
            library = pkcs11.lib(self.module)
            return library.get_token(token_label=self.token).open(rw=True, user_pin=self.pin)
        except (RuntimeError, pkcs11.exceptions.PKCS11Error) as error:
            raise TokenError(f"PKCS #11 token {self.token}: {type(error).__name__}") from error

    def _key(self, session: "pkcs11.Session") -> Any:
        found = _find(session, self.label)
        if found is None:
            raise TokenError(f"The token {self.token} has no key {self.label}.")
        return found


def _find(session: "pkcs11.Session", label: str) -> Any:
    """A key that encrypts: the library gives it its methods by what the token says it can do."""
    found = list(
        session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.LABEL: label})
    )
    if len(found) > 1:
        raise TokenError(f"The token has {len(found)} keys of the name {label}.")
    return found[0] if found else None
