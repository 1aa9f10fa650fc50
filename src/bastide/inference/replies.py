"""What engines answer, read strictly, and what it means in Bedrock's words."""

from typing import Any

import msgspec

from bastide.inference.model import StopReason
from bastide.kernel.errors import ServiceError

TOO_LONG = "Input is too long for requested model."


class PromptDetails(msgspec.Struct, frozen=True):
    cached_tokens: int | None = None


class Usage(msgspec.Struct, frozen=True):
    prompt_tokens: int
    completion_tokens: int = 0
    prompt_tokens_details: PromptDetails | None = None

    @property
    def cached(self) -> int:
        details = self.prompt_tokens_details
        return (details.cached_tokens or 0) if details is not None else 0


class Verbose(msgspec.Struct, frozen=True):
    """llama.cpp's own account of why it stopped."""

    stop_type: str = ""
    stopping_word: str = ""


class Message(msgspec.Struct, frozen=True):
    content: str | None = None


class Score(msgspec.Struct, frozen=True):
    """How likely a token was to the engine; None where it computed no number."""

    token: str = ""
    logprob: float | None = None


class Scores(msgspec.Struct, frozen=True):
    content: list[Score] = []


class Choice(msgspec.Struct, frozen=True):
    """`stop_reason` is vLLM's: the stop string that was met. `logprobs`: when asked for."""

    message: Message
    finish_reason: str | None = None
    stop_reason: str | int | None = None
    logprobs: Scores | None = None


class Completion(msgspec.Struct, frozen=True):
    choices: list[Choice]
    usage: Usage
    verbose: Verbose = msgspec.field(default_factory=Verbose, name="__verbose")


class Delta(msgspec.Struct, frozen=True):
    content: str | None = None


class ChunkChoice(msgspec.Struct, frozen=True):
    delta: Delta
    finish_reason: str | None = None
    stop_reason: str | int | None = None


class Timings(msgspec.Struct, frozen=True):
    """llama.cpp's account of a stream so far."""

    cache_n: int = 0
    prompt_n: int = 0
    predicted_n: int = 0

    def usage(self) -> Usage:
        return Usage(
            prompt_tokens=self.cache_n + self.prompt_n,
            completion_tokens=self.predicted_n,
            prompt_tokens_details=PromptDetails(self.cache_n),
        )


class Chunk(msgspec.Struct, frozen=True):
    choices: list[ChunkChoice] = []
    usage: Usage | None = None
    timings: Timings | None = None
    error: dict[str, Any] | str | None = None
    verbose: Verbose | None = msgspec.field(default=None, name="__verbose")


class Count(msgspec.Struct, frozen=True):
    input_tokens: int


class _Failure(msgspec.Struct, frozen=True):
    type: str | None = None
    code: str | int | None = None
    message: str | None = None


class _Refusal(msgspec.Struct, frozen=True):
    error: _Failure


class End(msgspec.Struct, frozen=True, kw_only=True):
    """How an answer ended."""

    finish: str
    usage: Usage
    stop_sequence: str | None = None


def text_of(found: Completion) -> str:
    """llama.cpp shows a character that the limit cut in two as U+FFFD; its streams leave it out."""
    choice = found.choices[0]
    text = choice.message.content or ""
    return text.removesuffix("\ufffd") if choice.finish_reason == "length" else text


def end_of_completion(found: Completion) -> End:
    choice = found.choices[0]
    stop = _stop_sequence(choice.stop_reason, found.verbose)
    return End(finish=choice.finish_reason or "", usage=found.usage, stop_sequence=stop)


def _stop_sequence(stop_reason: str | int | None, verbose: Verbose | None) -> str | None:
    if verbose is not None and verbose.stop_type == "word":
        return verbose.stopping_word
    return stop_reason if isinstance(stop_reason, str) else None


class EndReader:
    """Gathers the end of a streamed answer from its last chunks."""

    def __init__(self) -> None:
        self._finish: str | None = None
        self._usage: Usage | None = None
        self._stop: str | None = None

    def read(self, chunk: Chunk) -> None:
        if chunk.usage is not None:
            self._usage = chunk.usage
        for choice in chunk.choices:
            if choice.finish_reason:
                self._finish = choice.finish_reason
                self._stop = _stop_sequence(choice.stop_reason, chunk.verbose)

    def end(self) -> End | None:
        """None when the stream broke off before it said how it ended."""
        if self._finish is None or self._usage is None:
            return None
        return End(finish=self._finish, usage=self._usage, stop_sequence=self._stop)


def stop_reason(end: End, tokens_max: int | None, *, local: bool) -> StopReason | None:
    """None for an end that a text answer cannot have."""
    match end.finish:
        case "stop":
            return StopReason.STOP_SEQUENCE if end.stop_sequence else StopReason.END_TURN
        case "length" if local and (tokens_max is None or end.usage.completion_tokens < tokens_max):
            return StopReason.CONTEXT_FULL
        case "length":
            return StopReason.MAX_TOKENS
        case "content_filter":
            return StopReason.CONTENT_FILTERED
    return None


def refusal(status: int, body: bytes) -> ServiceError:
    """AWS's error for an engine's HTTP error. Its text may quote the prompt: it stays here."""
    if status in (400, 413, 422):
        if _is_too_long(body):
            return ServiceError("ValidationException", TOO_LONG)
        return ServiceError("ValidationException", "The model cannot process this request.")
    if status == 429:
        return ServiceError("ThrottlingException", "Too many requests, please wait.")
    if status == 503:
        return ServiceError("ModelNotReadyException", "The model is not ready.")
    if status in (401, 403, 404):
        return ServiceError("ServiceUnavailableException", "The model's engine is unavailable.")
    members = {"originalStatusCode": status}
    return ServiceError("ModelErrorException", "The model failed.", members=members)


def _is_too_long(body: bytes) -> bool:
    try:
        found = msgspec.json.decode(body, type=_Refusal).error
    except msgspec.DecodeError:
        return False
    codes = (found.type, found.code)
    if "exceed_context_size_error" in codes or "context_length_exceeded" in codes:
        return True
    return "maximum context length" in (found.message or "")
