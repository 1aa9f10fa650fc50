"""The condition operators of IAM policies, each compiled once into a test of the context.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
"""

import base64
import binascii
import ipaddress
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bastide.policy.patterns import ArnPattern, Context, Pattern

Matcher = Callable[[str, Context], bool]
Order = Callable[[float, float], bool]
_NUMBER = re.compile(r"[+-]?(\d{1,30}(\.\d{0,30})?|\.\d{1,30})([eE][+-]?\d{1,2})?\Z", re.ASCII)
_EPOCH = re.compile(r"\d{1,12}(\.\d{1,9})?\Z", re.ASCII)


class BadCondition(ValueError):
    """A condition that can never be evaluated: it must not be stored."""


@dataclass(frozen=True, slots=True)
class Test:
    """One key under one operator. `each` is "", "all" or "any" for the two set qualifiers."""

    key: str
    matchers: tuple[Matcher, ...]
    negated: bool = False
    if_exists: bool = False
    each: str = ""
    must_be_absent: bool | None = None  # the operator Null

    def holds(self, context: Context) -> bool:
        value = context.get(self.key)
        if not value and value != "":
            value = None  # no values is no key
        if self.must_be_absent is not None:
            return (value is None) == self.must_be_absent
        if value is None:
            return self.if_exists or self.each == "all" or (self.negated and self.each != "any")
        if self.each:
            values = [value] if isinstance(value, str) else value
            found = (self._one(each, context) for each in values)
            return all(found) if self.each == "all" else any(found)
        return isinstance(value, str) and self._one(value, context)

    def _one(self, value: str, context: Context) -> bool:
        return any(matches(value, context) for matches in self.matchers) != self.negated


def _text(wanted: str, variables: bool) -> Matcher:
    return Pattern.of(wanted, variables=variables, wildcards=False).matches


def _text_any_case(wanted: str, variables: bool) -> Matcher:
    pattern = Pattern.of(wanted.lower(), variables=variables, wildcards=False)

    def matches(value: str, context: Context) -> bool:
        if pattern.glob is not None:
            return pattern.glob.matches(value.lower())
        lowered = {key: v.lower() for key, v in context.items() if isinstance(v, str)}
        return pattern.matches(value.lower(), lowered)

    return matches


def _text_like(wanted: str, variables: bool) -> Matcher:
    return Pattern.of(wanted, variables=variables).matches


def _arn(wanted: str, variables: bool) -> Matcher:
    return ArnPattern.of(wanted, variables=variables).matches


def number_of(text: str) -> float | None:
    return float(text) if _NUMBER.match(text) else None


def moment_of(text: str) -> float | None:
    """Seconds since 1970 of an ISO 8601 date, or of a number of seconds."""
    if _EPOCH.match(text):
        return float(text)
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return None


def _ordered(read: Callable[[str], float | None], order: Order) -> Callable[[str, bool], Matcher]:
    def compiled(wanted: str, variables: bool) -> Matcher:
        bound = read(wanted)
        if bound is None:
            raise BadCondition(f"{wanted!r} is not a value of this operator")

        def matches(value: str, context: Context) -> bool:
            found = read(value)
            return found is not None and order(found, bound)

        return matches

    return compiled


def _boolean(wanted: str, variables: bool) -> Matcher:
    if wanted.lower() not in ("true", "false"):
        raise BadCondition(f"{wanted!r} is not true or false")
    return lambda value, context: value.lower() == wanted.lower()


def _binary(wanted: str, variables: bool) -> Matcher:
    bound = _bytes(wanted)
    if bound is None:
        raise BadCondition(f"{wanted!r} is not base64")
    return lambda value, context: _bytes(value) == bound


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _address(wanted: str, variables: bool) -> Matcher:
    try:
        network = ipaddress.ip_network(wanted, strict=False)
    except ValueError as error:
        raise BadCondition(f"{wanted!r} is not an address or a CIDR range") from error

    def matches(value: str, context: Context) -> bool:
        try:
            return ipaddress.ip_address(value) in network
        except ValueError:
            return False

    return matches


_NUMERIC = {
    "Equals": operator.eq,
    "LessThan": operator.lt,
    "LessThanEquals": operator.le,
    "GreaterThan": operator.gt,
    "GreaterThanEquals": operator.ge,
}
_POSITIVE: dict[str, Callable[[str, bool], Matcher]] = {
    "StringEquals": _text,
    "StringEqualsIgnoreCase": _text_any_case,
    "StringLike": _text_like,
    "ArnEquals": _arn,
    "ArnLike": _arn,
    "Bool": _boolean,
    "BinaryEquals": _binary,
    "IpAddress": _address,
    **{f"Numeric{name}": _ordered(number_of, order) for name, order in _NUMERIC.items()},
    **{f"Date{name}": _ordered(moment_of, order) for name, order in _NUMERIC.items()},
}
_NEGATIVE = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
}
_EACH = {"ForAllValues": "all", "ForAnyValue": "any"}
_WITH_VARIABLES = ("String", "Arn")
OPERATORS = frozenset({*_POSITIVE, *_NEGATIVE, "Null"})


def compiled(name: str, key: str, wanted: Sequence[str], *, variables: bool) -> Test:
    """The test of `{name: {key: wanted}}`; BadCondition if it is not one."""
    qualifier, _, rest = name.rpartition(":")
    if qualifier and qualifier not in _EACH:
        raise BadCondition(f"Invalid Condition type : {name}.")
    plain = rest.removesuffix("IfExists")
    if plain not in OPERATORS or (plain == "Null" and (qualifier or rest != plain)):
        raise BadCondition(f"Invalid Condition type : {name}.")
    if plain == "Null":
        return Test(key.lower(), (), must_be_absent=_null(wanted))
    if not plain.startswith(_WITH_VARIABLES) and any("${" in value for value in wanted):
        raise BadCondition(f"{name} takes no policy variables.")
    compile_one = _POSITIVE[_NEGATIVE.get(plain, plain)]
    return Test(
        key.lower(),
        tuple(compile_one(value, variables) for value in wanted),
        negated=plain in _NEGATIVE,
        if_exists=rest != plain,
        each=_EACH.get(qualifier, ""),
    )


def _null(wanted: Sequence[str]) -> bool:
    values = {value.lower() for value in wanted}
    if values not in ({"true"}, {"false"}):
        raise BadCondition("The value of Null is true or false.")
    return values == {"true"}
