"""Kubernetes resource quantities: "500m", "2", "1.5Gi", "128e6". Pure.

The grammar is that of k8s.io/apimachinery's resource.Quantity: a decimal number, then a binary
suffix, a decimal suffix or a decimal exponent. What is finer than the unit asked for is rounded up,
as Kubernetes does, so that no request becomes nothing.
"""

from __future__ import annotations

import re
from fractions import Fraction
from math import ceil

from cubelet.rpc.validate import INT64_MAX, bad

_CHARACTERS_MAX = 64
_GRAMMAR = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+))"
    r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,3}))?"
)
_FACTORS = {
    "n": Fraction(1, 10**9),
    "u": Fraction(1, 10**6),
    "m": Fraction(1, 10**3),
    "k": Fraction(10**3),
    "M": Fraction(10**6),
    "G": Fraction(10**9),
    "T": Fraction(10**12),
    "P": Fraction(10**15),
    "E": Fraction(10**18),
    "Ki": Fraction(2**10),
    "Mi": Fraction(2**20),
    "Gi": Fraction(2**30),
    "Ti": Fraction(2**40),
    "Pi": Fraction(2**50),
    "Ei": Fraction(2**60),
}


def positive(field: str, text: str, *, unit: Fraction) -> int:
    """How many `unit`s the quantity is, rounded up; more than none, and an int64.

    Anything else is refused with INVALID_ARGUMENT, naming `field`.
    """
    count = ceil(parse(field, text) / unit)
    if count <= 0:
        raise bad(field, text, "use a quantity above 0")
    if count > INT64_MAX:
        raise bad(field, text, "use a smaller quantity")
    return count


def parse(field: str, text: str) -> Fraction:
    """The quantity's exact value."""
    found = _GRAMMAR.fullmatch(text) if len(text) <= _CHARACTERS_MAX else None
    if found is None:
        raise bad(field, text, "use a Kubernetes quantity, such as 500m, 2 or 512Mi")
    number = Fraction(found["number"])
    if found["exponent"] is not None:
        return number * Fraction(10) ** int(found["exponent"])
    return number * _FACTORS.get(found["suffix"], Fraction(1))
