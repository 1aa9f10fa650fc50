"""The receipt of an inference as it comes about: what the end of the call will say of it."""

import base64
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from bastide.kernel.call import Call, Principal
from bastide.kernel.receipts import (
    ID_HEADER,
    SALT_HEADER,
    SALT_SIZE,
    Inference,
    begin_commitment,
    commitment,
    committed,
)

NOT_OURS = "absent: the engine is not one of this region's"
NO_GUARDRAIL = "absent: no guardrail was applied"


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    """What answers. `cores` of this machine at most work for it; 0: it runs elsewhere."""

    name: str
    digest: str
    cores: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipts:
    """What all receipts of a region have in common; joined in `app/`."""

    label_of: Callable[[Call], str]
    policy_of: Callable[[Principal], str]
    watts_per_core: float

    def begin(self, call: Call, model: Model, prompt: bytes) -> "Draft":
        return Draft(self, call, model, prompt)

    def of_bodies(self, call: Call, prompt: bytes) -> "Bodies":
        return Bodies(call, prompt)


class Draft:
    """One receipt, until the answer is whole."""

    def __init__(self, receipts: Receipts, call: Call, model: Model, prompt: bytes) -> None:
        self._receipts, self._call, self._model = receipts, call, model
        self._salt = secrets.token_bytes(SALT_SIZE)
        self._prompt = commitment(self._salt, prompt)
        self._answer = begin_commitment(self._salt)

    def promise(self) -> None:
        """Name the receipt in the answer's headers. The salt is told here, and kept nowhere."""
        headers = self._call.notes.headers
        headers[ID_HEADER] = self._call.notes.event_id
        headers[SALT_HEADER] = base64.b64encode(self._salt).decode()

    def add(self, part: bytes | bytearray) -> None:
        """The next part of the answer."""
        self._answer.update(part)

    def end(self, seconds: float, tokens: tuple[int, int] | None = None) -> None:
        """The answer is whole: the record of the call's end carries the rest. `tokens`: of the
        prompt and of the answer, where the engine counts them."""
        joules, said = self._energy(seconds)
        counted = tokens or (None, None)
        self._call.notes.inference = Inference(
            model=self._model.name,
            model_digest=self._model.digest,
            prompt=self._prompt,
            answer=committed(self._answer),
            label=self._receipts.label_of(self._call),
            policy=self._receipts.policy_of(self._call.principal),
            guardrail=self._call.notes.audit.get("guardrail", NO_GUARDRAIL),
            input_tokens=counted[0],
            output_tokens=counted[1],
            energy_j=joules,
            energy=said,
        )

    def _energy(self, seconds: float) -> tuple[float | None, str]:
        """No meter tells callers of one machine apart, so it is a model, and says so."""
        cores, watts = self._model.cores, self._receipts.watts_per_core
        if not cores:
            return None, NOT_OURS
        model = f"{seconds:.3f} s of the call x {cores:g} cores x {watts:g} W"
        said = f"modelled: {model}, which is too much where calls share the cores"
        return round(seconds * cores * watts, 3), said


class Bodies:
    """Prompt and answer of an inference as the bytes that its caller sent and got. Who asks a
    conversation for a call of another shape says them over what the draft said, so that a receipt
    opens on what its caller kept. To be made when the receipt is promised."""

    def __init__(self, call: Call, prompt: bytes) -> None:
        self._notes = call.notes
        salt = base64.b64decode(call.notes.headers.get(SALT_HEADER, ""))
        self._prompt = commitment(salt, prompt)
        self._answer = begin_commitment(salt)

    def add(self, part: bytes) -> None:
        self._answer.update(part)

    def end(self) -> None:
        """After the draft's own end. A call without a draft has no receipt."""
        found = self._notes.inference
        if found is not None:
            answer = committed(self._answer)
            self._notes.inference = replace(found, prompt=self._prompt, answer=answer)
