"""The three kinds of error (STYLE.md, 6).

ServiceError   the caller can act: it has one of AWS's codes and a message for a person
Unavailable    the world failed: answered as throttling or 503, may be tried again
anything else  our bug: logged with its cause, answered as an internal failure without detail
"""

from collections.abc import Mapping


class ServiceError(Exception):
    """What the caller did cannot be done. `code` is AWS's, e.g. `NoSuchKey`.

    `status` overrides the HTTP status that the service model gives to the code; `members` are
    further members of the modelled error shape (S3: `BucketName`, `Key`). `retry_after_s`: when
    the same call may succeed.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int | None = None,
        members: Mapping[str, object] | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.members: Mapping[str, object] = members or {}
        self.retry_after_s = retry_after_s


NOT_NOW = "The service is not available now. Try again."


class Unavailable(Exception):
    """Something outside this process failed; the same call may succeed later. `what` is for the
    region's own log: callers hear NOT_NOW, for it tells how busy others keep the region."""

    def __init__(self, what: str, retry_after_s: float = 1.0) -> None:
        super().__init__(what)
        self.what = what
        self.retry_after_s = retry_after_s


def unsupported(operation: str, what: str = "") -> ServiceError:
    """The honest answer for an operation, or a member of one, that is not there (DESIGN.md, 2)."""
    detail = f"{what} of {operation}" if what else operation
    return ServiceError("UnsupportedOperation", f"{detail} is not supported here.", status=501)


def invalid(message: str) -> ServiceError:
    """A value that cannot be, in the words of most of AWS's services."""
    return ServiceError("ValidationException", message)
