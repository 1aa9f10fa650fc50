"""What an instance type means on this machine: processors and memory.

Sizes: https://aws.amazon.com/sagemaker/pricing/ (instance product details). A job never gets
more than the machine has.
"""

import re
from dataclasses import dataclass

from bastide.kernel.errors import ServiceError

GIB = 1024**3
_NAME = re.compile(r"ml\.([cmrt])([0-9])[a-z]*\.(?:(medium|large|xlarge)|([0-9]{1,2})xlarge)")
_GIB_PER_CPU = {"c": 2, "m": 4, "r": 8}
_T_SIZES = {"medium": (2, 4), "large": (2, 8), "xlarge": (4, 16), "2xlarge": (8, 32)}


@dataclass(frozen=True, slots=True)
class Size:
    cpus: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Machine:
    """The most that one job may have of this machine; None: not known, no cap."""

    cpus: float | None = None
    memory_bytes: int | None = None

    def fit(self, wanted: Size) -> Size:
        cpus = wanted.cpus if self.cpus is None else min(wanted.cpus, self.cpus)
        memory = wanted.memory_bytes
        return Size(cpus, memory if self.memory_bytes is None else min(memory, self.memory_bytes))


def size_of(instance_type: str) -> Size:
    """ValidationException for types with accelerators, and for those that are not known here."""
    match = _NAME.fullmatch(instance_type)
    if match is None:
        raise ServiceError(
            "ValidationException",
            f"The instance type {instance_type} is not available here. Use a general-purpose, "
            "compute- or memory-optimised type, such as ml.m5.large.",
        )
    family, word, times = match[1], match[3], match[4]
    if family == "t":
        cpus, gib = _T_SIZES.get(word or f"{times}xlarge", (8, 32))
        return Size(cpus, gib * GIB)
    count = {"medium": 1, "large": 2, "xlarge": 4}[word] if word else 4 * int(times)
    return Size(count, count * _GIB_PER_CPU[family] * GIB)
