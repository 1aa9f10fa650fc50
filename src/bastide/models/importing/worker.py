"""What runs in the cage: a folder of files in, what they are out, or the reason why they are not
taken. Weights that are not GGUF are written as it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from bastide.models.importing.convert import convert
from bastide.models.importing.facts import Asked, Facts, Judged, Refused
from bastide.models.importing.gate import judge

CARD_BYTES_MAX = 1 << 20
CARD_LINES_MAX = 500


def begin(settings: Mapping[str, Any]) -> Callable[[bytes], bytes]:
    def answer(question: bytes) -> bytes:
        asked = msgspec.msgpack.decode(question, type=Asked)
        try:
            judged = Judged(facts=facts_of(Path(asked.folder), Path(asked.out)))
        except Refused as error:
            judged = Judged(reason=str(error).encode(errors="replace").decode())
        return msgspec.msgpack.encode(judged)

    return answer


def facts_of(folder: Path, out: Path) -> Facts:
    """Raises Refused."""
    ready = sorted(folder.glob("*.gguf"))
    parts = sorted(folder.glob("*.safetensors"))
    if len(ready) > 1 or (ready and parts):
        raise Refused("There is more than one model: several GGUF files, or other weights beside.")
    if not ready and not parts:
        raise Refused("There are no weights: neither *.safetensors nor a *.gguf file.")
    if parts:
        convert(folder, out)
    facts = judge(ready[0] if ready else out, converted=bool(parts))
    said = licence_in(folder / "README.md")
    if facts.licence and said and facts.licence.lower() != said.lower():
        raise Refused("README.md and the GGUF file say different licences.")
    return msgspec.structs.replace(facts, licence=facts.licence or said)


def licence_in(card: Path) -> str:
    """What the lines between the first two `---` of a model card say after `license:`."""
    if not card.is_file():
        return ""
    with card.open("rb") as file:
        lines = file.read(CARD_BYTES_MAX).decode(errors="replace").splitlines()
    if not lines or lines[0].strip() != "---":
        return ""
    for line in lines[1:CARD_LINES_MAX]:
        if line.strip() == "---":
            return ""
        name, colon, value = line.partition(":")
        if colon and name == "license":
            return value.strip().strip("\"'")
    return ""
