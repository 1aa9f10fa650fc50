"""Our own small models' weights: arrays, never a pickle, each admitted by the digest that the
manifest names."""

import hashlib
import io
from functools import cache
from importlib.resources import files
from typing import Any

import msgspec
import numpy as np

_FOLDER = files("bastide.guardrails.detect") / "weights"


class WeightsRefused(Exception):
    """An array is not the one that the manifest names."""


@cache
def manifest() -> dict[str, Any]:
    read: dict[str, Any] = msgspec.json.decode((_FOLDER / "manifest.json").read_bytes())
    return read


@cache
def array(name: str) -> Any:
    return admitted((_FOLDER / f"{name}.npy").read_bytes(), manifest()["arrays"][name]["sha256"])


def admitted(data: bytes, sha256: str) -> Any:
    if hashlib.sha256(data).hexdigest() != sha256:
        raise WeightsRefused("An array of weights is not the one that its manifest names.")
    return np.load(io.BytesIO(data), allow_pickle=False)
