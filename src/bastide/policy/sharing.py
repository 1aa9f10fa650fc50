"""What one agency may read of another's: the share that an alias stands for.

A bucket of another agency has no name here but its share's alias, in the form of S3's aliases of
access points: no bucket can be called so. An alias that shows nothing answers as one that was
never given, whatever is the reason. Policies see the bucket by its own ARN.

Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/access-points-naming.html
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

SUFFIX = "-s3alias"
LIST = "s3:ListBucket"
READS = frozenset({
    LIST, "s3:GetObject", "s3:GetObjectVersion", "s3:GetObjectTagging",
    "s3:GetObjectVersionTagging", "s3:GetObjectAttributes", "s3:GetObjectVersionAttributes",
})  # fmt: skip


def is_alias(bucket: str) -> bool:
    return bucket.endswith(SUFFIX)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """A bucket of the agency `owner`, as one session of another may see it. `policy`: the
    bucket's own."""

    owner: str
    bucket: str
    prefix: str
    policy: str | None

    def covers(
        self, action: str, resource: str, context: Mapping[str, str | Sequence[str]]
    ) -> bool:
        """Whether it is for this action on what the alias's ARN names."""
        key = resource.partition(":::")[2].partition("/")[2]
        asked = context.get("s3:prefix", "") if action == LIST else key
        return action in READS and isinstance(asked, str) and asked.startswith(self.prefix)

    def arn(self, resource: str) -> str:
        """The ARN that the owner knows, of what is named by the alias."""
        head, _, path = resource.partition(":::")
        _, slash, key = path.partition("/")
        return f"{head}:::{self.bucket}{slash}{key}"
