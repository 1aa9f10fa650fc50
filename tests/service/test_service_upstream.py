"""One region of ours as the upstream of another: as Bedrock, and as Anthropic's API."""

import json

import pytest
from tests.live import NAME, LiveRegion
from tests.service.test_service_bedrock import COUNT, SMOL, ask, joined, said, stream_of, text_of

FAR, CLAUDE = "anthropic.claude-far-v1:0", "anthropic.claude-near-v1:0"
AGENCY = "111111111111"
TOOL = {
    "toolSpec": {
        "name": "count",
        "inputSchema": {
            "json": {
                "type": "object",
                "properties": {"to": {"type": "integer", "maximum": 9}},
                "required": ["to"],
            }
        },
    }
}


def reaching(home, far, *, air_gapped=False):
    """A region whose agency 111111111111 may send prompts to the region `far`."""
    keys = far.agency("demo")
    (home / "aws.keys").write_text(
        f"{keys['AWS_ACCESS_KEY_ID']}\n{keys['AWS_SECRET_ACCESS_KEY']}\n"
    )
    (home / "anthropic.key").write_text(keys["AWS_BEARER_TOKEN_BEDROCK"])
    url, ca = far.status["endpoint"], keys["AWS_CA_BUNDLE"]
    toml = f"""
[regions.{NAME}]
port = 0
air_gapped = {json.dumps(air_gapped)}
egress = [{{ agency = "{AGENCY}", up_to = "U", models = ["*"] }}]
[regions.{NAME}.upstreams."{FAR}"]
kind = "bedrock"
url = "{url}"
model = "{SMOL}"
region = "{far.name}"
key_file = "{home}/aws.keys"
ca_file = "{ca}"
[regions.{NAME}.upstreams."{CLAUDE}"]
kind = "anthropic"
url = "{url}/anthropic"
model = "{SMOL}"
key_file = "{home}/anthropic.key"
ca_file = "{ca}"
"""
    return LiveRegion(home, toml=toml)


@pytest.fixture(scope="module")
def near(tmp_path_factory, trained_region):
    live = reaching(tmp_path_factory.mktemp("near"), trained_region).start()
    live.control.post("/agencies", {"name": "demo", "account_id": AGENCY})
    yield live
    live.stop()


@pytest.mark.parametrize("model", [FAR, CLAUDE])
def test_a_model_of_the_other_region_answers(near, trained_region, model):
    runtime = near.client("bedrock-runtime", read_timeout=120)
    answer = ask(runtime, model)
    assert text_of(answer) == text_of(ask(trained_region.client("bedrock-runtime"), SMOL))
    events = list(stream_of(runtime, model))
    assert joined(events) == text_of(answer)
    assert events[-1]["metadata"]["usage"] == answer["usage"]
    counted = runtime.count_tokens(modelId=model, input={"converse": {"messages": said(COUNT)}})
    assert counted["inputTokens"] == answer["usage"]["inputTokens"]
    forced = runtime.converse(
        modelId=model,
        messages=said(COUNT),
        toolConfig={"tools": [TOOL], "toolChoice": {"tool": {"name": "count"}}},
        inferenceConfig={"maxTokens": 60},
    )
    assert forced["stopReason"] == "tool_use"
    use = next(
        block["toolUse"] for block in forced["output"]["message"]["content"] if "toolUse" in block
    )
    assert use["input"]["to"] <= 9
    record = json.loads(near.cli("audit", "show", "--operation", "Converse", "--json").stdout)
    assert any("left_for" in json.dumps(one) for one in record)


def test_for_another_agency_it_is_not_there(near):
    near.agency("other")
    runtime, bedrock = (near.client(name, "other") for name in ("bedrock-runtime", "bedrock"))
    with pytest.raises(runtime.exceptions.ValidationException, match="identifier is invalid"):
        ask(runtime, FAR)
    listed = [row["modelId"] for row in bedrock.list_foundation_models()["modelSummaries"]]
    assert not {FAR, CLAUDE} & set(listed)
    own = near.client("bedrock").list_foundation_models()["modelSummaries"]
    assert {FAR, CLAUDE} <= {row["modelId"] for row in own}


def test_an_air_gapped_region_does_not_start_with_one(tmp_path, trained_region):
    live = reaching(tmp_path, trained_region, air_gapped=True)
    (tmp_path / "bastide.toml").write_text(live.toml)
    done = live.cli("up", check=False)
    assert done.returncode != 0
    assert "is air-gapped: air_gapped" in done.stdout + done.stderr
