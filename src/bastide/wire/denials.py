"""How each protocol tells a sender that it is not believed.

The service is not known before the signature is, so its protocol is taken from the claim's scope,
else guessed from the request's looks: only the form of the answer depends on the guess.
"""

from dataclasses import dataclass
from datetime import datetime

from bastide.kernel.errors import ServiceError
from bastide.wire.mantle import NAME, dialect_at
from bastide.wire.types import RawRequest

QUERY_SERVICES = ("sts", "iam", "monitoring")


def protocol_of(raw: RawRequest, service: str = "") -> str:
    """The protocol in which a refusal is written."""
    if service == "s3":
        return "rest-xml"
    host = (raw.header("host") or "").split(".")[0]
    if service in ("", "bedrock", NAME) and (dialect := dialect_at(raw.raw_path, host)):
        return dialect
    if raw.header("x-amz-target") is not None:
        return "json"
    if raw.raw_path.startswith("/service/"):
        return "smithy-rpc-v2-cbor"
    form = (raw.header("content-type") or "").startswith("application/x-www-form-urlencoded")
    if service in QUERY_SERVICES or (not service and form):
        return "query"
    if service:
        return "rest-json"
    if (raw.header("content-type") or "").startswith("application/json"):
        return "rest-json"
    if host.startswith(("bedrock", "runtime", "metrics")) or raw.raw_path.startswith(
        ("/model/", "/foundation-models", "/inference-profiles", "/endpoints/")
    ):
        return "rest-json"
    return "rest-xml"


def refusals_for(raw: RawRequest, service: str = "") -> "Refusals":
    return Refusals(raw, service)


@dataclass(frozen=True, slots=True)
class Refusals:
    """The refusals of the protocol that a request is of; which that is, only a refusal asks."""

    raw: RawRequest
    service: str = ""

    @property
    def protocol(self) -> str:
        return protocol_of(self.raw, self.service)

    def _error(
        self, s3: str, query: str, other: str, message: str, status: int = 403
    ) -> ServiceError:
        code = {"rest-xml": s3, "query": query}.get(self.protocol, other)
        return ServiceError(code, message, status=status)

    def missing(self) -> ServiceError:
        return self._error(
            "AccessDenied",
            "MissingAuthenticationToken",
            "MissingAuthenticationTokenException",
            "Missing Authentication Token",
        )

    def version_2(self) -> ServiceError:
        return self._error(
            "InvalidRequest",
            "IncompleteSignature",
            "IncompleteSignature",
            "Signature version 2 is not accepted here: it rests on SHA-1. Please use "
            "AWS4-HMAC-SHA256; in boto3: Config(signature_version='s3v4').",
            400,
        )

    def malformed(self, message: str) -> ServiceError:
        return self._error(
            "AuthorizationHeaderMalformed",
            "IncompleteSignature",
            "IncompleteSignature",
            message,
            400,
        )

    def malformed_query(self, message: str) -> ServiceError:
        return self._error(
            "AuthorizationQueryParametersError",
            "IncompleteSignature",
            "IncompleteSignature",
            message,
            400,
        )

    def unknown_key(self) -> ServiceError:
        if self.protocol == "rest-xml":
            message = "The AWS Access Key Id you provided does not exist in our records."
        else:
            message = "The security token included in the request is invalid."
        return self._error(
            "InvalidAccessKeyId", "InvalidClientTokenId", "UnrecognizedClientException", message
        )

    def wrong_signature(self) -> ServiceError:
        return self._error(
            "SignatureDoesNotMatch",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            "The request signature we calculated does not match the signature you provided. "
            "Check your AWS Secret Access Key and signing method.",
        )

    def wrong_scope(self, message: str) -> ServiceError:
        return self._error(
            "AuthorizationHeaderMalformed",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            f"Credential should be scoped to a valid region and service: {message}",
            400 if self.protocol == "rest-xml" else 403,
        )

    def wrong_region(self, given: str, wanted: str) -> ServiceError:
        """S3's clients read from it where to go, and go there."""
        if self.protocol == "rest-xml":
            return ServiceError(
                "AuthorizationHeaderMalformed",
                f"The authorization header is malformed; the region '{given}' is wrong; "
                f"expecting '{wanted}'",
                status=400,
                members={"Region": wanted},
            )
        return self._error(
            "",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            f"Credential should be scoped to a valid region, not '{given}'; expecting '{wanted}'.",
        )

    def unsigned_header(self, name: str) -> ServiceError:
        return self._error(
            "AccessDenied",
            "SignatureDoesNotMatch",
            "InvalidSignatureException",
            f"There were headers present in the request which were not signed: {name[:128]}",
        )

    def skewed(self, when: datetime, now: datetime) -> ServiceError:
        message = (
            f"Signature expired: {when:%Y%m%dT%H%M%SZ} is more than 15 minutes from "
            f"{now:%Y%m%dT%H%M%SZ}"
        )
        if self.protocol == "rest-xml":
            message = "The difference between the request time and the current time is too large."
        return self._error(
            "RequestTimeTooSkewed", "SignatureDoesNotMatch", "InvalidSignatureException", message
        )

    def expired(self, when: datetime, now: datetime) -> ServiceError:
        if self.protocol == "rest-xml":
            return ServiceError("AccessDenied", "Request has expired", status=403)
        return self.skewed(when, now)
