"""KMS's errors, in its words. None says what a key is made of, nor that another agency has one.

Source: https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html and each operation's.
"""

from bastide.kernel.errors import ServiceError


def no_key(text: str) -> ServiceError:
    return ServiceError("NotFoundException", f"Key '{text}' does not exist")


def no_alias(text: str) -> ServiceError:
    return ServiceError("NotFoundException", f"Alias {text} is not found.")


def disabled(arn: str) -> ServiceError:
    return ServiceError("DisabledException", f"{arn} is disabled.")


def pending_deletion(arn: str) -> ServiceError:
    return ServiceError("KMSInvalidStateException", f"{arn} is pending deletion.")


def not_pending(arn: str) -> ServiceError:
    return ServiceError("KMSInvalidStateException", f"{arn} is not pending deletion.")


def shredded() -> ServiceError:
    """The agency's key for the key's label was destroyed, and this one with it."""
    return ServiceError("KeyUnavailableException", "The key was destroyed: nothing opens it again.")


def wrong_usage(arn: str, usage: str, operation: str) -> ServiceError:
    return ServiceError(
        "InvalidKeyUsageException",
        f"{arn} key usage is {usage} which is not valid for {operation}.",
    )


def wrong_algorithm(algorithm: str, spec: str) -> ServiceError:
    return ServiceError(
        "InvalidKeyUsageException", f"Algorithm {algorithm} is incompatible with key spec {spec}."
    )


def not_a_ciphertext() -> ServiceError:
    return ServiceError("InvalidCiphertextException", "The ciphertext does not open.")


def another_key() -> ServiceError:
    return ServiceError(
        "IncorrectKeyException",
        "The key ID in the request does not identify a CMK that can perform this operation.",
    )


def key_out_of_reach() -> ServiceError:
    """Of a ciphertext that another agency's key made, or one that is gone: the same for both."""
    return ServiceError(
        "AccessDeniedException",
        "The ciphertext refers to a customer master key that does not exist, does not exist in "
        "this region, or you are not allowed to access.",
        status=400,
    )


def invalid(message: str) -> ServiceError:
    return ServiceError("ValidationException", message)


def dry_run() -> ServiceError:
    return ServiceError(
        "DryRunOperationException",
        "The request would have succeeded, but the DryRun option is set.",
    )
