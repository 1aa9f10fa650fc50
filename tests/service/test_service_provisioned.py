"""Provisioned throughput by boto3: engines that are really held, and really let go."""

import contextlib

import pytest
from botocore.exceptions import ClientError
from tests.live import NAME, LiveRegion
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


class Reserved:
    """A region in whose memory two engines of the small model have room, and no third; one is held
    for an agency."""

    def __init__(self, live, cost_mib):
        self.live, self.plain = live, live.toml
        self.budget(int(cost_mib * 2.5))
        self.live.start()
        self.first = self.reserve("one")
        self.settled("one", self.first)

    def budget(self, mib):
        more = f"[regions.{NAME}.engines]\nmemory_budget_mib = {mib}\nreservable_mib = {mib}\n"
        self.live.toml = self.plain + more

    def client(self, agency, service="bedrock"):
        return self.live.client(service, agency, read_timeout=120)

    def reserve(self, agency):
        return self.client(agency).create_provisioned_model_throughput(
            provisionedModelName="pt", modelId=SMOL, modelUnits=1
        )["provisionedModelArn"]

    def shown(self, agency, arn):
        return self.client(agency).get_provisioned_model_throughput(provisionedModelId=arn)

    def settled(self, agency, arn):
        eventually(lambda: self.shown(agency, arn)["status"] in ("InService", "Failed"), 120)
        return self.shown(agency, arn)

    def places(self):
        return {row["reservation"] for row in held(self.live) if row["state"] == "ready"}

    @contextlib.contextmanager
    def busy(self):
        """Somebody else uses the engine that is not held."""
        asked = {"modelId": SMOL, "messages": [{"role": "user", "content": [{"text": "Tell me."}]}]}
        stream = self.client("two", "bedrock-runtime").converse_stream(
            **asked, inferenceConfig={"maxTokens": 2000}
        )["stream"]
        next(iter(stream))
        try:
            yield
        finally:
            stream.close()


@pytest.fixture(scope="module")
def reserved(tmp_path_factory, new_toml, trained_region):
    ask(trained_region.client("bedrock-runtime", AGENCY, read_timeout=120), SMOL)
    rows = trained_region.control.get("/status")["engines"]
    cost_mib = next(row["memory_mib"] for row in rows if row["model"] == "smollm2-135m")
    live = LiveRegion(tmp_path_factory.mktemp("reserved"), toml=new_toml())
    yield Reserved(live, cost_mib)
    live.stop()


def id_of(arn):
    return arn.rpartition("/")[2]


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_it_is_held_again_after_the_region_ended(reserved, end):
    """Also one that waited for memory then: it has it first, before anybody asks for an engine."""
    with reserved.busy():
        second = reserved.reserve("three")
        assert reserved.shown("three", second)["status"] == "Creating"
        assert reserved.places() == {id_of(reserved.first)}
        getattr(reserved.live, end)()
    reserved.live.start()
    for agency, arn in (("one", reserved.first), ("three", second)):
        found = reserved.settled(agency, arn)
        assert (found["status"], found["modelUnits"]) == ("InService", 1)
        assert text_of(ask(reserved.client(agency, "bedrock-runtime"), arn))
    assert reserved.places() == {id_of(reserved.first), id_of(second)}
    with pytest.raises(ClientError, match="ServiceUnavailable"):  # all that there is is held
        ask(reserved.client("two", "bedrock-runtime"), SMOL)
    reserved.client("three").delete_provisioned_model_throughput(provisionedModelId=second)
    eventually(lambda: reserved.places() == {id_of(reserved.first)})
    assert text_of(ask(reserved.client("two", "bedrock-runtime"), SMOL))


def test_what_is_not_there_after_a_start_is_refused(reserved):
    """The last test here: the site has given its memory to something else."""
    reserved.live.stop()
    reserved.budget(100)
    reserved.live.start()
    found = reserved.settled("one", reserved.first)
    assert (found["status"], found["modelUnits"]) == ("Failed", 0)
    assert "is not there" in found["failureMessage"]
    assert held(reserved.live) == []
    with pytest.raises(ClientError, match="ModelNotReady"):
        ask(reserved.client("one", "bedrock-runtime"), reserved.first)
