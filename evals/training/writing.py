"""Write arrays beside the detectors, and their digests into the manifest."""

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from bastide.guardrails.detect import weights

FOLDER = Path(weights.__file__).parent / "weights"


def write(arrays: dict[str, Any], **facts: Any) -> None:
    """The manifest keeps what it says of other arrays."""
    FOLDER.mkdir(exist_ok=True)
    path = FOLDER / "manifest.json"
    manifest = json.loads(path.read_text()) if path.exists() else {"arrays": {}}
    for name, array in arrays.items():
        np.save(FOLDER / f"{name}.npy", array, allow_pickle=False)
        data = (FOLDER / f"{name}.npy").read_bytes()
        manifest["arrays"][name] = {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    manifest |= facts
    path.write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    weights.manifest.cache_clear()
    weights.array.cache_clear()
