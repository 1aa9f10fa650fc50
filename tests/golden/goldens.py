"""How a golden file is held against what is true now."""

import os
from pathlib import Path


def check(path: Path, text: str) -> None:
    if os.environ.get("UPDATE_GOLDEN"):
        path.write_text(text)
    assert path.read_text() == text, "run UPDATE_GOLDEN=1 and review the difference"
