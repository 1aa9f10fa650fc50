"""Amazon Resource Names: `arn:partition:service:region:account:resource`.

Source: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
"""

from dataclasses import dataclass

from bastide.kernel.regions import Region


@dataclass(frozen=True, slots=True)
class Arn:
    """One parsed ARN; `resource` is all that follows the fifth colon."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"


def parse(text: str) -> Arn | None:
    """The ARN in `text`, or None when it is not one."""
    parts = text.split(":", 5)
    if len(parts) != 6 or parts[0] != "arn" or not parts[1] or not parts[2] or not parts[5]:
        return None
    return Arn(*parts[1:])


def regional(region: Region, service: str, account: str, resource: str) -> str:
    """`arn:aws-us-gov:sagemaker:us-gov-west-1:123456789012:training-job/x`."""
    return f"arn:{region.partition}:{service}:{region.name}:{account}:{resource}"


def iam(region: Region, account: str, resource: str) -> str:
    """IAM's and STS's names carry no region: `arn:aws-us-gov:iam::123456789012:role/x`."""
    return f"arn:{region.partition}:iam::{account}:{resource}"


def s3(region: Region, bucket: str, key: str | None = None) -> str:
    """`arn:aws-us-gov:s3:::bucket/key`."""
    path = bucket if key is None else f"{bucket}/{key}"
    return f"arn:{region.partition}:s3:::{path}"
