"""Provisioned throughput by boto3: engines that are really held, and really let go."""

import pytest
from botocore.exceptions import ClientError
from tests.service.test_service_bedrock import SMOL, ask, text_of
from tests.waiting import eventually

AGENCY = "reserver"


def held(site):
    return [row for row in site.control.get("/status")["engines"] if row["reservation"]]


def test_throughput_is_held_called_and_let_go(trained_region):
    bedrock = trained_region.client("bedrock", AGENCY)
    runtime = trained_region.client("bedrock-runtime", AGENCY, read_timeout=120)
    asked = {"provisionedModelName": "fast", "modelId": SMOL, "modelUnits": 1}
    with pytest.raises(ClientError, match="ServiceQuotaExceeded"):
        bedrock.create_provisioned_model_throughput(**{**asked, "modelUnits": 64})
    with pytest.raises(ClientError, match="commitmentDuration"):
        bedrock.create_provisioned_model_throughput(**asked, commitmentDuration="OneMonth")
    arn = bedrock.create_provisioned_model_throughput(**asked)["provisionedModelArn"]

    def status():
        return bedrock.get_provisioned_model_throughput(provisionedModelId=arn)["status"]

    eventually(lambda: status() != "Creating", limit_s=120)
    assert status() == "InService"
    (row,) = held(trained_region)
    answer = ask(runtime, arn)
    assert text_of(answer) == text_of(ask(runtime, SMOL))
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-bastide-model"] == SMOL
    (summary,) = bedrock.list_provisioned_model_throughputs()["provisionedModelSummaries"]
    assert (summary["provisionedModelName"], summary["modelUnits"]) == ("fast", 1)
    bedrock.update_provisioned_model_throughput(
        provisionedModelId=arn, desiredProvisionedModelName="faster"
    )
    bedrock.tag_resource(resourceARN=arn, tags=[{"key": "team", "value": "a"}])
    assert bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == [
        {"key": "team", "value": "a"}
    ]
    other = trained_region.client("bedrock-runtime", "demo")
    with pytest.raises(ClientError, match=r"AccessDenied|identifier is invalid"):
        ask(other, arn)
    bedrock.delete_provisioned_model_throughput(provisionedModelId="faster")
    eventually(lambda: held(trained_region) == [])
    with pytest.raises(ClientError, match=r"identifier is invalid|AccessDenied"):
        ask(runtime, arn)
    assert row["model"] == "smollm2-135m"
