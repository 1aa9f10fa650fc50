"""Who sent this? SigV4 in a header, in the query, over chunks, in forms; bearer keys; no more.

Runs before routing: nothing of a request is believed until its sender is known. An unknown key
costs the same work as a known one, and both answer alike but for the code that AWS gives.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Literal
from urllib.parse import parse_qsl

from bastide.kernel.call import Principal
from bastide.wire import sigv4
from bastide.wire.denials import Refusals, refusals_for
from bastide.wire.form_data import missing
from bastide.wire.mantle import ANTHROPIC, NAME, dialect_at
from bastide.wire.payload import CHUNKED, Form
from bastide.wire.ports import Credentials
from bastide.wire.sigv4 import ALGORITHM, ChunkSigner, Scope
from bastide.wire.types import RawRequest

SKEW = timedelta(minutes=15)
EXPIRES_MAX_S = 7 * 24 * 3600
_EXPIRES = re.compile(r"[0-9]{1,6}\Z")
DUMMY_SECRET = "0" * 40
BEARER_SERVICES = frozenset({"bedrock", "bedrock-runtime", NAME})
_CREDENTIAL = re.compile(
    r"([A-Za-z0-9]{4,128})/([0-9]{8})/([a-z0-9-]{1,64})/([a-z0-9-]{1,64})/aws4_request\Z"
)
# The signature covers such a path normalised, while routing goes by the raw one.
_NOT_NORMAL = re.compile(r"//|/\.\.?(?:/|\Z)")
_HEX = re.compile(r"[0-9a-f]{64}\Z")
_WHEN = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2})([0-9]{2})([0-9]{2})Z")
_FIELD = re.compile(r"\s*([A-Za-z]+)=([^,\s]+)\s*\Z")


AuthType = Literal["REST-HEADER", "REST-QUERY-STRING", "POST"]  # as s3:authType has it


@dataclass(frozen=True, slots=True)
class Claim:
    """What a request says of its signature, not believed yet."""

    access_key_id: str
    scope: Scope
    signed: tuple[str, ...]
    signature: str
    when: str
    token: str | None
    expires_s: int | None = None  # presigned URLs only

    @property
    def is_presigned(self) -> bool:
        return self.expires_s is not None


@dataclass(frozen=True, slots=True)
class Sender:
    """A known sender. `form` is the payload's form or hash; `signer` follows signed chunks."""

    principal: Principal
    signing_name: str
    form: str
    signer: ChunkSigner | None = None
    is_bearer: bool = False
    auth_type: AuthType = "REST-HEADER"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authenticator:
    """`regions`: the scopes' regions by signing name, "" for all others."""

    credentials: Credentials
    services: frozenset[str]
    regions: dict[str, frozenset[str]]
    allow_plain: bool = False

    def claim(self, raw: RawRequest) -> Claim | None:
        """The claim in a request; None for a bearer key. ServiceError where there is none."""
        refuse = refusals_for(raw)
        header = raw.header("authorization")
        in_query = "X-Amz-Algorithm=" in raw.raw_query or "AWSAccessKeyId=" in raw.raw_query
        if _api_key(raw) is not None and header is None and not in_query:
            return None
        if header is not None:
            if in_query or _api_key(raw) is not None:
                raise refuse.malformed("Only one auth mechanism is allowed.")
            if header.startswith("Bearer "):
                return None
            if header.startswith("AWS "):
                raise refuse.version_2()
            if not header.startswith(ALGORITHM + " "):
                raise refuse.malformed("The authorization mechanism is not supported.")
            return _header_claim(raw, header, refuse)
        if "X-Amz-Algorithm=" in raw.raw_query:
            return _query_claim(raw, refuse)
        if "AWSAccessKeyId=" in raw.raw_query:
            raise refuse.version_2()
        raise refuse.missing()

    def bearer(self, raw: RawRequest, now: datetime) -> Sender:
        """The holder of a Bedrock API key."""
        refuse = refusals_for(raw)
        if not (raw.secure or self.allow_plain):
            raise refuse.malformed("A bearer key is taken over TLS only.")
        given = _api_key(raw) or (raw.header("authorization") or "").removeprefix("Bearer ")
        token = given.strip()
        principal = self.credentials.bearer(token, now) if 0 < len(token) <= 4096 else None
        if principal is None:
            raise refuse.unknown_key()
        return Sender(principal, "bedrock", "", is_bearer=True)

    def verify(self, raw: RawRequest, claim: Claim, body: bytes | None, now: datetime) -> Sender:
        """The sender, if the signature holds. `body` is needed where `needs_body` says so."""
        self._check(raw, claim, now, refusals_for(raw, claim.scope.service))
        return self.prove(raw, claim, body, now)

    def prove(self, raw: RawRequest, claim: Claim, body: bytes | None, now: datetime) -> Sender:
        """The same, of a claim that `admit` has let through."""
        refuse = refusals_for(raw, claim.scope.service)
        form = self._form(raw, claim, body, refuse)
        principal, key = self._holder(claim, _string_to_sign(raw, claim, form), now, refuse)
        signer = None
        if form in (Form.SIGNED_CHUNKS, Form.SIGNED_CHUNKS_TRAILER):
            signer = ChunkSigner(key, claim.when, claim.scope, claim.signature)
        auth_type: AuthType = "REST-QUERY-STRING" if claim.is_presigned else "REST-HEADER"
        return Sender(principal, claim.scope.service, form, signer, auth_type=auth_type)

    def poster(self, raw: RawRequest, fields: Mapping[str, str], now: datetime) -> Sender:
        """Who signed the policy of an S3 form; whether the policy holds is not known by that."""
        refuse = refusals_for(raw, "s3")
        claim = _form_claim(fields, refuse)
        if claim.scope.service != "s3":
            raise refuse.wrong_scope("a form is for s3.")
        self._check(raw, claim, now, refuse)
        if not (raw.secure or self.allow_plain):
            raise refuse.malformed("An unsigned payload is taken over TLS only.")
        principal, _ = self._holder(claim, fields["policy"], now, refuse)
        return Sender(principal, "s3", Form.UNSIGNED, auth_type="POST")

    def _holder(
        self, claim: Claim, text: str, now: datetime, refuse: Refusals
    ) -> tuple[Principal, bytes]:
        """Whose key signed `text`, and what the day's signing key is."""
        found = self.credentials.find(claim.access_key_id, claim.token, now)
        key = sigv4.signing_key(found.secret if found else DUMMY_SECRET, claim.scope)
        matches = hmac.compare_digest(sigv4.sign(key, text), claim.signature)
        if found is None:
            raise refuse.unknown_key()
        if not matches:
            raise refuse.wrong_signature()
        return found.principal, key

    def admit(self, raw: RawRequest, claim: Claim, now: datetime) -> None:
        """Refuse what is refused whatever its body: before a stranger's body is held at all, and
        after the same work as one whose key is known."""
        self._check(raw, claim, now, refusals_for(raw, claim.scope.service))
        if self.credentials.find(claim.access_key_id, claim.token, now) is None:
            self.prove(raw, claim, b"", now)

    def _check(self, raw: RawRequest, claim: Claim, now: datetime, refuse: Refusals) -> None:
        self._check_scope(claim, refuse)
        self._check_time(claim, now, refuse)
        _check_signed_headers(raw, claim, refuse)
        if claim.scope.service != "s3" and _NOT_NORMAL.search(raw.raw_path):
            raise refuse.malformed("The path has empty or dot segments.")

    def _check_scope(self, claim: Claim, refuse: Refusals) -> None:
        scope = claim.scope
        if scope.service not in self.services:
            raise refuse.wrong_scope(f"The service {scope.service} is not served here.")
        allowed = self.regions.get(scope.service, frozenset()) | self.regions[""]
        if scope.region not in allowed:
            raise refuse.wrong_region(scope.region, " or ".join(sorted(allowed)))
        if claim.when[:8] != scope.date:
            raise refuse.wrong_scope("The scope's date is not that of X-Amz-Date.")

    def _check_time(self, claim: Claim, now: datetime, refuse: Refusals) -> None:
        try:
            when = _instant(claim.when)
        except ValueError as error:
            raise refuse.malformed("X-Amz-Date must be in the ISO8601 basic format.") from error
        if when - now > SKEW:
            raise refuse.skewed(when, now)
        if claim.expires_s is None and now - when > SKEW:
            raise refuse.skewed(when, now)
        if claim.expires_s is not None and now - when > timedelta(seconds=claim.expires_s):
            raise refuse.expired(when, now)

    def _form(self, raw: RawRequest, claim: Claim, body: bytes | None, refuse: Refusals) -> str:
        """The payload's form or hash that was signed; a closed list."""
        given = raw.header("x-amz-content-sha256")
        if given is None and claim.is_presigned:
            is_s3 = claim.scope.service == "s3"
            given = Form.UNSIGNED if is_s3 else hashlib.sha256(body or b"").hexdigest()
        if given is None:
            if claim.scope.service == "s3":
                raise refuse.malformed("Missing required header for this request: "
                                       "x-amz-content-sha256")  # fmt: skip
            return hashlib.sha256(body or b"").hexdigest()
        if _HEX.match(given):
            return given
        if given not in frozenset(Form):
            raise refuse.malformed("x-amz-content-sha256 must be UNSIGNED-PAYLOAD, a STREAMING- "
                                   "form, or a valid sha256 value.")  # fmt: skip
        if given in CHUNKED and claim.scope.service != "s3":
            raise refuse.malformed("Chunked payloads are for S3.")
        signed_chunks = (Form.SIGNED_CHUNKS, Form.SIGNED_CHUNKS_TRAILER)
        if given not in signed_chunks and not (raw.secure or self.allow_plain):
            raise refuse.malformed("An unsigned payload is taken over TLS only.")
        return given


def _instant(text: str) -> datetime:
    """`20261122T101112Z`, without the cost of strptime. ValueError for all else."""
    match = _WHEN.fullmatch(text)
    if match is None:
        raise ValueError(text)
    year, month, day, hour, minute, second = match.groups()
    return datetime(
        int(year), int(month), int(day), int(hour), int(minute), int(second), tzinfo=UTC
    )


def needs_body(raw: RawRequest, claim: Claim) -> bool:
    """Whether the signature covers a body whose hash the request does not name."""
    return claim.scope.service != "s3" and raw.header("x-amz-content-sha256") is None


def _header_claim(raw: RawRequest, header: str, refuse: Refusals) -> Claim:
    fields = {}
    for part in header.removeprefix(ALGORITHM).split(","):
        match = _FIELD.match(part)
        if match is None or match.group(1) in fields:
            raise refuse.malformed("The Authorization header is malformed.")
        fields[match.group(1)] = match.group(2)
    if fields.keys() != {"Credential", "SignedHeaders", "Signature"}:
        raise refuse.malformed("Authorization needs Credential, SignedHeaders and Signature.")
    when = raw.header("x-amz-date")
    if when is None:
        raise refuse.malformed("Authorization header requires existence of an 'X-Amz-Date' header.")
    claim = _claim(fields["Credential"], fields["SignedHeaders"], fields["Signature"], when, refuse)
    token = raw.header("x-amz-security-token")
    return claim if token is None else replace(claim, token=token)


def _api_key(raw: RawRequest) -> str | None:
    """Where Anthropic's own client has its key."""
    is_there = dialect_at(raw.raw_path) == ANTHROPIC
    return raw.header("x-api-key") if is_there else None


def _query_claim(raw: RawRequest, refuse: Refusals) -> Claim:
    try:
        pairs = parse_qsl(raw.raw_query, keep_blank_values=True, max_num_fields=1000)
    except ValueError as error:
        raise refuse.malformed_query("Too many query fields.") from error
    query = {}
    for name, value in pairs:
        if name.startswith("X-Amz-") and name in query:
            raise refuse.malformed_query(f"{name} is given twice.")
        query[name] = value
    names = ("X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date")
    if query.get("X-Amz-Algorithm") != ALGORITHM or not all(query.get(name) for name in names):
        raise refuse.malformed_query("Query-string authentication version 4 requires the "
                                     "X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, "
                                     "X-Amz-Date, X-Amz-SignedHeaders, and X-Amz-Expires "
                                     "parameters.")  # fmt: skip
    expires = query.get("X-Amz-Expires", "900")
    if not _EXPIRES.match(expires) or not 0 < int(expires) <= EXPIRES_MAX_S:
        raise refuse.malformed_query("X-Amz-Expires must be less than a week (in seconds).")
    credential, signed, signature, when = (query[name] for name in names)
    claim = _claim(credential, signed, signature, when, refuse)
    return replace(claim, token=query.get("X-Amz-Security-Token"), expires_s=int(expires))


def _form_claim(fields: Mapping[str, str], refuse: Refusals) -> Claim:
    """The signature is of the policy, which says itself until when it holds."""
    if "awsaccesskeyid" in fields or "signature" in fields:
        raise refuse.version_2()
    names = ("policy", "x-amz-algorithm", "x-amz-credential", "x-amz-signature", "x-amz-date")
    if not any(name in fields for name in names):
        raise refuse.missing()
    for name in names:
        if not fields.get(name):
            raise missing(name)
    if fields["x-amz-algorithm"] != ALGORITHM:
        raise refuse.malformed(f"x-amz-algorithm must be {ALGORITHM}.")
    _, _, credential, signature, when = (fields[name] for name in names)
    claim = _claim(credential, "host", signature, when, refuse)
    token = fields.get("x-amz-security-token")
    return replace(claim, token=token, expires_s=EXPIRES_MAX_S)


def _claim(credential: str, signed: str, signature: str, when: str, refuse: Refusals) -> Claim:
    match = _CREDENTIAL.match(credential)
    if match is None:
        raise refuse.malformed("The Credential is malformed; expecting "
                               "\"KEYID/YYYYMMDD/REGION/SERVICE/aws4_request\".")  # fmt: skip
    key_id, date, region, service = match.groups()
    names = tuple(signed.split(";"))
    if list(names) != sorted(set(names)) or not _HEX.match(signature):
        raise refuse.malformed("SignedHeaders or Signature is malformed.")
    return Claim(key_id, Scope(date, region, service), names, signature, when, None)


def _check_signed_headers(raw: RawRequest, claim: Claim, refuse: Refusals) -> None:
    """Every header that could change what is done must be under the signature."""
    if "host" not in claim.signed:
        raise refuse.malformed("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    for name, _ in raw.headers:
        if name.startswith("x-amz-") and name not in claim.signed:
            if claim.is_presigned and name == "x-amz-content-sha256":
                continue
            raise refuse.unsigned_header(name)


def _string_to_sign(raw: RawRequest, claim: Claim, form: str) -> str:
    headers = sigv4.canonical_headers(raw.headers, claim.signed)
    canonical = sigv4.canonical_request(
        raw.method,
        sigv4.canonical_path(raw.raw_path, is_s3=claim.scope.service == "s3"),
        sigv4.canonical_query(raw.raw_query, "X-Amz-Signature" if claim.is_presigned else ""),
        headers if headers is not None else "",
        claim.signed,
        form,
    )
    return sigv4.string_to_sign(claim.when, claim.scope, canonical)
