"""What a function is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Params = dict[str, Any]
LATEST = "$LATEST"  # the only version that there is


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """`asked` is its configuration as it was asked for, but for `env`, which is kept sealed.
    `statements`: of its resource policy. `revision` changes with whatever changes."""

    account: str
    label: str
    name: str
    arn: str
    created_ms: int
    updated_ms: int
    revision: str
    code_id: str
    code_sha256: str
    code_size: int
    asked: Mapping[str, Any]
    env: bytes
    statements: Sequence[Mapping[str, Any]] = ()
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Interpreted:
    """What code printed, why it failed, and all files that are there now."""

    output: str = ""
    error: str = ""
    timed_out: bool = False
    files: Mapping[str, bytes] = field(default_factory=dict)
