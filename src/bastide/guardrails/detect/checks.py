"""Check digits: what tells a number of its kind from any other."""

from bastide.guardrails.detect.tokens import digits_of

_VIN = dict(
    zip(
        "ABCDEFGHJKLMNPRSTUVWXYZ",
        (1, 2, 3, 4, 5, 6, 7, 8, 1, 2, 3, 4, 5, 7, 9, 2, 3, 4, 5, 6, 7, 8, 9),
        strict=True,
    )
)
_VIN_WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)
_UTR_WEIGHTS = (6, 7, 8, 9, 10, 5, 4, 3, 2)
_UTR_DIGITS = (2, 1, 9, 8, 7, 6, 5, 4, 3, 2, 1)


def luhn(text: str) -> bool:
    digits = digits_of(text)
    doubled = [sum(divmod(2 * digit, 10)) for digit in digits[-2::-2]]
    return len(set(digits)) > 1 and (sum(digits[-1::-2]) + sum(doubled)) % 10 == 0


def vin(text: str) -> bool:
    """A vehicle's number: its ninth place checks the others (in North America; elsewhere it need
    not)."""
    values = [int(char) if char.isdigit() else _VIN.get(char, -1) for char in text.upper()]
    if len(values) != len(_VIN_WEIGHTS) or -1 in values:
        return False
    rest = sum(value * weight for value, weight in zip(values, _VIN_WEIGHTS, strict=True)) % 11
    return text[8].upper() == ("X" if rest == 10 else str(rest))


def utr(text: str) -> bool:
    """A British taxpayer's reference: its first digit checks the other nine."""
    digits = digits_of(text)
    if len(digits) != 10:
        return False
    rest = sum(d * w for d, w in zip(digits[1:], _UTR_WEIGHTS, strict=True)) % 11
    return digits[0] == _UTR_DIGITS[rest]


def card(text: str) -> bool:
    return 12 <= len(digits_of(text)) <= 19 and text[0] in "23456" and luhn(text)


def ssn(text: str) -> bool:
    """No number was ever given out with an area of 000 or 666, or with a part of only zeros."""
    digits = "".join(char for char in text if char.isdigit())
    return digits[:3] not in ("000", "666") and digits[3:5] != "00" and digits[5:] != "0000"
