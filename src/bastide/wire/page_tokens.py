"""Tokens of pages, sealed at the door, in one way for all lists.

A handler says in its own words where the next page begins. What the caller is given of that, it
can neither read nor make up, nor use for another list, agency or label (decision 0042). The tokens
of S3 and CloudTrail, which are of one bucket and of one look-up, are sealed where they are made.
"""

import base64
from dataclasses import dataclass

from bastide.kernel.call import Call
from bastide.kernel.errors import ServiceError
from bastide.wire.ports import Sealer
from bastide.wire.types import Params

SIZE_MAX = 8192
_PURPOSE = "page-token"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Words:
    """A service's names for them: what a caller gives, what it is given, and what it hears when a
    token is not one that it was given."""

    given: str
    told: tuple[str, ...]
    code: str = "ValidationException"


_WORDS = {
    "sagemaker": _Words(given="NextToken", told=("NextToken",)),
    "bedrock": _Words(given="nextToken", told=("nextToken",)),
    "bedrock-agent": _Words(given="nextToken", told=("nextToken",)),
    "bedrock-agent-runtime": _Words(given="nextToken", told=("nextToken",)),
    "bedrock-agentcore-control": _Words(given="nextToken", told=("nextToken",)),
    "logs": _Words(
        given="nextToken",
        told=("nextToken", "nextForwardToken", "nextBackwardToken"),
        code="InvalidParameterException",
    ),
    "cloudwatch": _Words(given="NextToken", told=("NextToken",), code="InvalidParameterValue"),
    "iam": _Words(given="Marker", told=("Marker",), code="ValidationError"),
    "lambda": _Words(given="Marker", told=("NextMarker",), code="InvalidParameterValueException"),
    "kms": _Words(given="Marker", told=("NextMarker",), code="InvalidMarkerException"),
}


@dataclass(frozen=True, slots=True)
class PageTokens:
    sealer: Sealer

    def opened(self, call: Call, params: Params) -> Params:
        """The parameters as the handler knows them. Raises ServiceError."""
        words = _WORDS.get(call.service)
        token = params.get(words.given) if words else None
        if words is None or not token:
            return params
        try:
            if len(token) > SIZE_MAX:
                raise ValueError("too long")
            sealed = base64.b64decode(token, altchars=b"-_", validate=True)
            plain = self.sealer.open(_PURPOSE, sealed, _bound(call)).decode()
        except ValueError:
            message = f"The {words.given} is not one that was given for this."
            raise ServiceError(words.code, message, status=400) from None
        return {**params, words.given: plain}

    def sealed(self, call: Call, given: Params, opened: Params, answer: Params) -> Params:
        """The answer as it leaves. The place that the caller came from keeps the token that it
        came with: that a list of events has not grown is told by that."""
        words = _WORDS.get(call.service)
        plain = {name: answer[name] for name in words.told if answer.get(name)} if words else {}
        if words is None or not plain:
            return answer
        came = {opened.get(words.given): given.get(words.given)}
        return answer | {
            name: came.get(place) or self._sealed(call, place) for name, place in plain.items()
        }

    def _sealed(self, call: Call, place: str) -> str:
        sealed = self.sealer.seal(_PURPOSE, place.encode(), _bound(call))
        return base64.urlsafe_b64encode(sealed).decode()


def _bound(call: Call) -> bytes:
    return f"{call.operation}\n{call.account}\n{call.principal.session.text}".encode()
