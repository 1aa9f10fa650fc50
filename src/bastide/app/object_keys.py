"""KMS keys for S3: what SSE-KMS asks of them, and what S3 says when they cannot be used."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bastide.kernel import arns
from bastide.kernel.call import Crossed, Principal
from bastide.kernel.errors import ServiceError
from bastide.kms import errors
from bastide.kms.aliases import alias_target
from bastide.kms.model import Key
from bastide.kms.specs import SYMMETRIC
from bastide.kms.vault import Vault
from bastide.policy.authorizer import PolicyAuthorizer

_ID = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class KmsObjectKeys:
    """The store's `ObjectKeys`. An object's own ARN is its encryption context, as on AWS.
    `crossed` records the use of another account's key, durably, in both accounts' trails."""

    vault: Vault
    access: PolicyAuthorizer
    crossed: Callable[[Principal, Crossed], None]

    def arn(self, who: Principal, name: str) -> str:
        own = arns.regional(self.vault.region, "kms", who.account, "")
        local = name.removeprefix(own)
        if local.startswith("alias/"):
            local = f"key/{alias_target(self.vault, who, local)}"
        if local.startswith("arn:"):
            return local  # another account's: nobody here may use it
        return own + (local if local.startswith("key/") else f"key/{local}")

    def could_be(self, who: Principal, key_arn: str) -> bool:
        own = arns.regional(self.vault.region, "kms", who.account, "key/")
        return key_arn.startswith(own) and bool(_ID.fullmatch(key_arn, len(own)))

    def check(self, who: Principal, action: str, key_arn: str, bucket: str, key: bytes) -> None:
        context = self._context(bucket, key)
        self.access.require_key(who, action, key_arn, context, self._via)
        key_id = key_arn.rpartition("/")[2]
        with _in_words_of_s3():
            if self.vault.seen(who, key_id) is None:  # what is above is not there, and no object's
                raise errors.no_key(key_id)

    def check_shared(
        self, who: Principal, owner: str, key_arn: str, bucket: str, key: bytes
    ) -> None:
        encryption = self._context(bucket, key)
        self.access.require_shared_key(who, owner, key_arn, encryption, self._via)
        self.crossed(who, Crossed(owner, key_arn))

    def check_service(
        self, service: Principal, action: str, key_arn: str, bucket: str, key: bytes
    ) -> None:
        context = self._context(bucket, key)
        if not self.access.permits_service_key(service, action, key_arn, context, self._via):
            raise ServiceError(
                "AccessDenied",
                f"{key.decode()}: {service.name} is not authorized to perform: {action} on "
                f"resource: {key_arn} because no key policy allows it",
                status=403,
            )
        with _in_words_of_s3():
            self._usable(service.account, key_arn.rpartition("/")[2])

    @property
    def _via(self) -> str:
        region = self.vault.region
        return f"s3.{region.name}.{region.dns_suffix}"

    def seal(self, account: str, key_arn: str, bucket: str, key: bytes, dek: bytes) -> bytes:
        with _in_words_of_s3():
            kms_key = self._usable(account, key_arn.rpartition("/")[2])
            return self.vault.seal(kms_key, dek, self._context(bucket, key))

    def open(self, account: str, bucket: str, key: bytes, sealed: bytes) -> bytes:
        with _in_words_of_s3():
            kms_key = self._usable(account, self.vault.sealing_key(sealed))
            return self.vault.open(kms_key, sealed, self._context(bucket, key))

    def _usable(self, account: str, key_id: str) -> Key:
        found = self.vault.find(account, key_id)
        if found is None:
            raise errors.no_key(key_id)
        self.vault.check_enabled(found)
        if found.spec != SYMMETRIC:
            raise errors.wrong_algorithm(SYMMETRIC, found.spec)
        return found

    def _context(self, bucket: str, key: bytes) -> dict[str, str]:
        return {"aws:s3:arn": arns.s3(self.vault.region, bucket, key.decode())}


@contextmanager
def _in_words_of_s3() -> Iterator[None]:
    try:
        yield
    except ServiceError as error:
        raise ServiceError(f"KMS.{error.code}", error.message, status=400) from error
