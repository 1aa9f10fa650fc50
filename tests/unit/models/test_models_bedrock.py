"""bedrock's answers about models: lists, filters, profiles, aliases, and who may ask."""

from dataclasses import replace

import msgspec
import pytest
from tests.inference_kit import ACCOUNT, OTHER, call, embedding_entry, entry, gguf, models_at
from tests.labels_kit import US

from bastide.kernel.errors import ServiceError
from bastide.models.foundation_models import FoundationModels
from bastide.models.inference_profiles import InferenceProfiles
from bastide.models.model import LocalFile

TINY = "test.tiny-v1:0"
CLAUDE = "anthropic.claude-3-5-sonnet-20240620-v1:0"
ARN = "arn:aws-us-gov:bedrock:us-gov-west-1:"


class NoneOfItsOwn:
    """An agency that made no inference profile."""

    def find(self, who, identifier):
        return None


@pytest.fixture
def models(tmp_path):
    file = tmp_path / "m.gguf"
    file.write_bytes(gguf())
    entries = {
        "tiny": entry(gguf(), LocalFile(path=str(file))),
        "absent": entry(gguf(), model_id="test.absent-v1:0"),
    }
    made = models_at(
        tmp_path, entries, site_aliases={CLAUDE: "tiny", "a.lost-v1:0": "absent"},
        remote_ids=("site.llama-70b-v1:0",),
    )  # fmt: skip
    list(made.pull("tiny"))
    return made


def ids(answer):
    return [row["modelId"] for row in answer["modelSummaries"]]


def test_list(models):
    api = FoundationModels(models=models)
    answer = api.list_foundation_models(call(), {})
    assert ids(answer) == ["site.llama-70b-v1:0", "test.tiny-v1:0", CLAUDE]
    alias = answer["modelSummaries"][-1]
    assert alias["modelName"] == "Tiny", "an alias says whose answer it is"
    assert alias["modelArn"] == f"{ARN}:foundation-model/{CLAUDE}"


@pytest.mark.parametrize(
    ("filters", "count"),
    [
        ({"byProvider": "test"}, 2),
        ({"byProvider": "Nobody"}, 0),
        ({"byOutputModality": "TEXT"}, 3),
        ({"byOutputModality": "EMBEDDING"}, 0),
        ({"byInferenceType": "ON_DEMAND"}, 3),
        ({"byInferenceType": "PROVISIONED"}, 0),
        ({"byCustomizationType": "FINE_TUNING"}, 0),
    ],
)
def test_filters(models, filters, count):
    assert (
        len(ids(FoundationModels(models=models).list_foundation_models(call(), filters))) == count
    )


def test_an_embedding_model_is_listed_as_one(tmp_path):
    weights, tokenizer = tmp_path / "m.onnx", tmp_path / "t.json"
    weights.write_bytes(b"weights")
    tokenizer.write_bytes(b"{}")
    made = embedding_entry(
        b"weights", b"{}", LocalFile(path=str(weights)), beside=(LocalFile(path=str(tokenizer)),)
    )
    models = models_at(tmp_path, {"v": made}, remote_ids=("site.llama-70b-v1:0",))
    list(models.pull("v"))
    api = FoundationModels(models=models)
    found = api.list_foundation_models(call(), {"byOutputModality": "EMBEDDING"})
    assert ids(found) == ["test.vectors-v1:0"]
    assert found["modelSummaries"][0]["responseStreamingSupported"] is False
    assert ids(api.list_foundation_models(call(), {"byOutputModality": "TEXT"})) == [
        "site.llama-70b-v1:0"
    ]


def test_get(models):
    api = FoundationModels(models=models)
    for name in ("test.tiny-v1:0", f"{ARN}:foundation-model/test.tiny-v1:0"):
        found = api.get_foundation_model(call(), {"modelIdentifier": name})["modelDetails"]
        assert found["modelId"] == "test.tiny-v1:0"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("test.none-v1:0", "ResourceNotFoundException"),
        ("test.absent-v1:0", "ResourceNotFoundException"),
        ("x", "ValidationException"),
        ("arn:aws:bedrock:us-east-1::foundation-model/test.tiny-v1:0", "ValidationException"),
    ],
)
def test_get_what_is_not_there(models, name, code):
    with pytest.raises(ServiceError) as caught:
        FoundationModels(models=models).get_foundation_model(call(), {"modelIdentifier": name})
    assert caught.value.code == code


def test_resolve(models):
    tiny = models.resolve("test.tiny-v1:0", US.lowest)
    for name in (CLAUDE, f"us.{CLAUDE}", "us-gov.test.tiny-v1:0"):
        assert models.resolve(name, US.lowest) is tiny
    for name in ("tiny", "a.lost-v1:0", "test.absent-v1:0", "us-gov.us-gov.test.tiny-v1:0", ""):
        assert models.resolve(name, US.lowest) is None
    with pytest.raises(ServiceError, match="provided model identifier is invalid"):
        models.called(call(), "no.such-v1:0")


def test_aliases_are_kept(models, tmp_path):
    made = models.alias("meta.llama3-8b-instruct-v1:0", "tiny")
    assert made == {"alias": "meta.llama3-8b-instruct-v1:0", "model": "test.tiny-v1:0"}
    again = models_at(tmp_path)
    assert again.resolve("meta.llama3-8b-instruct-v1:0", US.lowest).name == "tiny"
    rows = {row["name"]: row for row in models.rows()}
    assert "meta.llama3" in rows["tiny"]["aliases"]
    assert rows["absent"]["admitted"] is False


@pytest.mark.parametrize(
    ("alias", "model"),
    [
        (CLAUDE, "tiny"),  # bastide.toml says it
        ("test.absent-v1:0", "tiny"),  # a model of its own
        ("../x", "tiny"),
        ("a.b-v1:0", "absent"),
        ("a.b-v1:0", CLAUDE),  # aliases do not chain
    ],
)
def test_aliases_refused(models, alias, model):
    with pytest.raises(ServiceError):
        models.alias(alias, model)


@pytest.mark.parametrize(
    "identifier",
    [
        f"us-gov.{CLAUDE}",
        f"{ARN}{ACCOUNT}:inference-profile/us-gov.{CLAUDE}",
        f"{ARN}:foundation-model/us-gov.{CLAUDE}",
    ],
)
def test_policies_see_a_profile_and_what_is_behind_it(models, identifier):
    profile, behind = models.arns(call().region, call().principal, identifier)
    assert profile == f"{ARN}{ACCOUNT}:inference-profile/us-gov.{CLAUDE}"
    assert behind == (f"{ARN}:foundation-model/{CLAUDE}", f"{ARN}:foundation-model/test.tiny-v1:0")


@pytest.mark.parametrize(
    ("identifier", "behind"),
    [
        ("test.tiny-v1:0", [f"{ARN}:foundation-model/test.tiny-v1:0"]),
        (CLAUDE, [f"{ARN}:foundation-model/{CLAUDE}", f"{ARN}:foundation-model/test.tiny-v1:0"]),
        ("nobody.x", [f"{ARN}:foundation-model/nobody.x"]),
        (
            f"{ARN}{OTHER}:inference-profile/us-gov.x.y",
            [f"{ARN}{OTHER}:inference-profile/us-gov.x.y"],
        ),
    ],
)
def test_policies_see_the_model_that_answers(models, identifier, behind):
    assert models.arns(call().region, call().principal, identifier) == ("", tuple(behind))


def at(marking):
    plain = call()
    return replace(plain, principal=replace(plain.principal, session=US.parse(marking)))


def asked(models, who):
    """All that a session can learn of `test.tiny-v1:0` and its alias."""
    found = []
    for ask, request in (
        (FoundationModels(models=models).list_foundation_models, {}),
        (InferenceProfiles(models=models, own=NoneOfItsOwn()).list_inference_profiles, {}),
        (FoundationModels(models=models).get_foundation_model, {"modelIdentifier": CLAUDE}),
        (FoundationModels(models=models).get_foundation_model, {"modelIdentifier": TINY}),
        (InferenceProfiles(models=models, own=NoneOfItsOwn()).get_inference_profile,
         {"inferenceProfileIdentifier": f"us-gov.{TINY}"}),
        (lambda who, name: models.called(who, name), TINY),
        (lambda who, name: models.called(who, name), f"us-gov.{CLAUDE}"),
        (lambda who, name: models.arns(who.region, who.principal, name), CLAUDE),
    ):  # fmt: skip
        try:
            found.append(ask(who, request))
        except ServiceError as error:
            found.append((error.code, error.message))
    return found


def test_a_model_above_a_session_is_like_one_that_is_not_there(models):
    everybody = asked(models, at("U"))
    for card in list(models._by_id.values()):
        models._by_id[card.model_id] = msgspec.structs.replace(card, label="S")
    hidden = asked(models, at("U"))
    assert asked(models, at("S")) != hidden
    models._by_id.clear()
    assert asked(models, at("U")) == hidden != everybody
