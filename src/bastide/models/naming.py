"""The ids by which clients name a model: bare, as inference profile, as ARN.

Source: https://docs.aws.amazon.com/bedrock/latest/userguide/inference-profiles-support.html
"""

import re

from bastide.kernel import arns
from bastide.kernel.regions import Region

APPLICATION = "application-inference-profile"
PROFILE_PREFIXES = ("us-gov", "us", "eu", "apac", "jp", "au", "ca", "global")
_MODEL_ID = re.compile(
    r"[a-z0-9-]{1,63}[.][a-z0-9-]{1,63}([a-z0-9-]{1,63}[.]){0,2}[a-z0-9-]{1,63}([:][a-z0-9-]{1,63}){0,2}"
)


def is_model_id(text: str) -> bool:
    """Does `text` have the form that botocore's model gives to `BedrockModelId`?"""
    return len(text) <= 140 and bool(_MODEL_ID.fullmatch(text))


def bare(identifier: str, region: Region, account: str) -> str | None:
    """The model or profile id in `identifier`, or None for the ARN of something else: of another
    region, of another account, or of a kind that is not served."""
    if not identifier.startswith("arn:"):
        return identifier
    found = arns.parse(identifier)
    here = (region.partition, "bedrock", region.name)
    if found is None or (found.partition, found.service, found.region) != here:
        return None
    kind, _, name = found.resource.partition("/")
    owner = {"foundation-model": "", "inference-profile": account}.get(kind)
    return name if name and owner == found.account else None


def without_profile(identifier: str) -> str | None:
    """`us-gov.a.b` → `a.b`; None when no profile's prefix stands there."""
    prefix, _, rest = identifier.partition(".")
    return rest if prefix in PROFILE_PREFIXES and "." in rest else None


def profile_prefix(region: Region) -> str:
    """The geography of the system-defined profiles of a region: `us-gov`, `us`, `eu`, …"""
    if region.partition == "aws-us-gov":
        return "us-gov"
    geography = region.name.partition("-")[0]
    if region.partition == "aws" and geography in PROFILE_PREFIXES:
        return geography
    return "global"


def model_arn(region: Region, model_id: str) -> str:
    return arns.regional(region, "bedrock", "", f"foundation-model/{model_id}")


def profile_arn(region: Region, account: str, profile_id: str) -> str:
    return arns.regional(region, "bedrock", account, f"inference-profile/{profile_id}")
