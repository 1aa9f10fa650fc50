"""A region's name, partition and DNS suffix. The list itself comes from botocore, in `wire`."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Region:
    """`Region("us-gov-west-1", "aws-us-gov", "amazonaws.com")`."""

    name: str
    partition: str
    dns_suffix: str
