"""S3's errors, with the members that its clients read.

Source: https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from bastide.kernel.errors import ServiceError


def no_such_bucket(name: str) -> ServiceError:
    return ServiceError(
        "NoSuchBucket",
        "The specified bucket does not exist",
        status=404,
        members={"BucketName": name},
    )


def no_such_key(key: str) -> ServiceError:
    return ServiceError(
        "NoSuchKey", "The specified key does not exist.", status=404, members={"Key": key}
    )


def no_such_version(key: str, version_id: str) -> ServiceError:
    return ServiceError(
        "NoSuchVersion",
        "The specified version does not exist.",
        status=404,
        members={"Key": key, "VersionId": version_id},
    )


def no_such_upload(upload_id: str) -> ServiceError:
    return ServiceError(
        "NoSuchUpload",
        "The specified upload does not exist. The upload ID may be invalid, or the upload may "
        "have been aborted or completed.",
        status=404,
        members={"UploadId": upload_id},
    )


def key_destroyed() -> ServiceError:
    """What S3 says of an object whose KMS key is gone."""
    return ServiceError(
        "KMS.NotFoundException",
        "The key that this object was encrypted with was destroyed.",
        status=400,
    )


def key_changed() -> ServiceError:
    """The same of one that was being written: by now there may be another key."""
    return ServiceError(
        "ServiceUnavailable",
        "The key of this object was destroyed while it was written. Please try again.",
        status=503,
    )


def access_denied() -> ServiceError:
    return ServiceError("AccessDenied", "Access Denied", status=403)


def no_acls() -> ServiceError:
    """Every bucket is BucketOwnerEnforced."""
    return ServiceError(
        "AccessControlListNotSupported", "The bucket does not allow ACLs", status=400
    )


def invalid_storage_class() -> ServiceError:
    return ServiceError(
        "InvalidStorageClass", "The storage class you specified is not valid", status=400
    )


def no_such_policy(name: str) -> ServiceError:
    return ServiceError(
        "NoSuchBucketPolicy",
        "The bucket policy does not exist",
        status=404,
        members={"BucketName": name},
    )


def invalid_argument(message: str, name: str = "", value: str = "") -> ServiceError:
    members = {"ArgumentName": name, "ArgumentValue": value} if name else {}
    return ServiceError("InvalidArgument", message, status=400, members=members)


def invalid_request(message: str) -> ServiceError:
    return ServiceError("InvalidRequest", message, status=400)


def malformed_xml() -> ServiceError:
    return ServiceError(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
        status=400,
    )


def precondition_failed(condition: str) -> ServiceError:
    return ServiceError(
        "PreconditionFailed",
        "At least one of the pre-conditions you specified did not hold",
        status=412,
        members={"Condition": condition},
    )


def not_modified() -> ServiceError:
    return ServiceError("NotModified", "Not Modified", status=304)


def method_not_allowed(method: str) -> ServiceError:
    return ServiceError(
        "MethodNotAllowed",
        "The specified method is not allowed against this resource.",
        status=405,
        members={"Method": method, "ResourceType": "DeleteMarker"},
    )


def invalid_range(requested: str, size: int) -> ServiceError:
    return ServiceError(
        "InvalidRange",
        "The requested range is not satisfiable",
        status=416,
        members={"RangeRequested": requested, "ActualObjectSize": str(size)},
    )


def bad_digest(message: str) -> ServiceError:
    return ServiceError("BadDigest", message, status=400)
