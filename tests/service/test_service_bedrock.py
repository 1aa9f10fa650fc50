"""Bedrock by boto3 over TLS: what is answered, what is refused, and who has to wait for whom."""

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import boto3
import pytest
from botocore.exceptions import ClientError, EventStreamError
from tests.live import NAME, LiveRegion, cache_home
from tests.waiting import eventually

from bastide.cli.control import CommandFailed

SMOL = "bastide.smollm2-135m-instruct-v1:0"
SECOND = "site.second-v1:0"
WELL_KNOWN = "anthropic.claude-sonnet-4-6"
COUNT = "Count from 1 to 10, with commas."
LONG = {"maxTokens": 400, "temperature": 0.0}
WAIT_S = 60.0
REQUESTS = 8  # of the second model in a minute
# The four places and the room for one model of two; the alias is the site's own.
TOML = f"""
[regions.{NAME}]
port = 0
[regions.{NAME}.aliases]
"{WELL_KNOWN}" = "smollm2-135m"
[regions.{NAME}.engines]
memory_budget_mib = 500
[regions.{NAME}.quotas.models."{SECOND}"]
requests_per_minute = {REQUESTS}
"""


@pytest.fixture(scope="module")
def site(trained_region, tmp_path_factory):
    """A region with the same weights under two ids, and memory for one of them at a time."""
    live = LiveRegion(tmp_path_factory.mktemp("bedrock"), toml=TOML)
    shelf = live.folder / "models"
    shelf.mkdir(parents=True)
    weights = cache_home() / "models" / "smollm2-135m" / "model.gguf"
    card = json.loads((weights.parent / "card.json").read_text())
    live.start()
    own = live.home / "own.gguf"
    own.write_bytes(weights.read_bytes())
    incoming = shelf / "incoming"
    incoming.mkdir()
    (incoming / f"{card['sha256']}.gguf").symlink_to(own)
    live.cli("models", "pull", "smollm2-135m")
    live.cli(
        "models", "add", str(own), "--model-id", SECOND, "--sha256", card["sha256"],
        "--licence", "Apache-2.0",
    )  # fmt: skip
    yield live
    live.stop()


@pytest.fixture(scope="module")
def runtime(site):
    return site.client("bedrock-runtime", read_timeout=120, max_pool_connections=64)


def said(*turns):
    roles = ("user", "assistant")
    return [{"role": roles[n % 2], "content": [{"text": t}]} for n, t in enumerate(turns)]


def ask(runtime, model=SMOL, text=COUNT, **more):
    config = {"maxTokens": 16, "temperature": 0.0, **more.pop("config", {})}
    return runtime.converse(
        modelId=model, messages=said(text), **{"inferenceConfig": config, **more}
    )


def stream_of(runtime, model=SMOL, text=COUNT, **more):
    config = {"maxTokens": 16, "temperature": 0.0, **more.pop("config", {})}
    return runtime.converse_stream(
        modelId=model, messages=said(text), **{"inferenceConfig": config, **more}
    )["stream"]


def text_of(answer):
    return "".join(block["text"] for block in answer["output"]["message"]["content"])


def joined(events):
    return "".join(
        event["contentBlockDelta"]["delta"]["text"]
        for event in events
        if "contentBlockDelta" in event
    )


def engines_of(site):
    return site.control.get("/status")["engines"]


def test_an_answer_and_its_figures(site, runtime):
    began = time.monotonic()
    answer = ask(runtime, system=[{"text": "You are brief."}])
    took_ms = (time.monotonic() - began) * 1000
    assert text_of(answer).startswith("1, 2, 3")
    assert answer["stopReason"] == "max_tokens"
    assert 0 < answer["metrics"]["latencyMs"] <= took_ms
    usage = answer["usage"]
    assert usage["outputTokens"] == 16
    assert usage["totalTokens"] == usage["inputTokens"] + 16
    counted = runtime.count_tokens(
        modelId=SMOL,
        input={"converse": {"messages": said(COUNT), "system": [{"text": "You are brief."}]}},
    )
    assert counted["inputTokens"] == usage["inputTokens"]
    assert text_of(ask(runtime, system=[{"text": "You are brief."}])) == text_of(answer)


def test_the_events_of_a_stream(runtime):
    events = list(stream_of(runtime))
    names = [next(iter(event)) for event in events]
    deltas = len(names) - 4
    assert deltas > 2
    assert names == [
        "messageStart", *["contentBlockDelta"] * deltas, "contentBlockStop", "messageStop",
        "metadata",
    ]  # fmt: skip
    whole = ask(runtime)
    assert joined(events) == text_of(whole)
    assert events[-2]["messageStop"]["stopReason"] == whole["stopReason"]
    assert events[-1]["metadata"]["usage"] == whole["usage"]
    assert events[-1]["metadata"]["metrics"]["latencyMs"] > 0


def test_the_turns_before_count(runtime):
    """Whether it answers well is the model's affair; that it was asked is ours."""
    last = "What is my name?"
    turns = said("My name is Ada.", "Hello Ada.", last)
    config = {"maxTokens": 16, "temperature": 0.0}
    answer = runtime.converse(modelId=SMOL, messages=turns, inferenceConfig=config)
    counted = runtime.count_tokens(modelId=SMOL, input={"converse": {"messages": turns}})
    assert answer["usage"]["inputTokens"] == counted["inputTokens"]
    assert text_of(answer) != text_of(ask(runtime, text=last))


@pytest.mark.parametrize("stop", ["5", "5, 6", ", 7", "3, 4, 5, 6"])
def test_stop_sequences_never_show(runtime, stop):
    more = {"config": {"stopSequences": [stop], "maxTokens": 40}}
    more["additionalModelResponseFieldPaths"] = ["/stop_sequence"]
    answer = ask(runtime, **more)
    assert text_of(answer) == "1, 2, 3, 4, 5, 6, 7, 8, 9, 10".partition(stop)[0]
    assert answer["stopReason"] == "stop_sequence"
    assert answer["additionalModelResponseFields"] == {"stop_sequence": stop}
    events = list(stream_of(runtime, **more))
    assert joined(events) == text_of(answer)
    assert events[-2]["messageStop"] == {
        "stopReason": "stop_sequence", "additionalModelResponseFields": {"stop_sequence": stop},
    }  # fmt: skip


def test_sampling(runtime):
    seeded = {"additionalModelRequestFields": {"seed": 7, "top_k": 40}}
    config = {"temperature": 1.0, "topP": 0.9, "maxTokens": 24}
    one, same = (
        text_of(ask(runtime, text="Name a thing.", config=config, **seeded)) for _ in range(2)
    )
    assert one == same
    others = {
        text_of(
            ask(
                runtime,
                text="Name a thing.",
                config=config,
                additionalModelRequestFields={"seed": seed},
            )
        )
        for seed in range(4)
    }
    assert len(others) > 1
    narrow = {"temperature": 1.0, "topP": 0.0, "maxTokens": 16}
    assert text_of(ask(runtime, config=narrow)) == text_of(ask(runtime))


def arn(kind, name, account=""):
    return f"arn:aws-us-gov:bedrock:{NAME}:{account}:{kind}/{name}"


def test_every_way_to_name_a_model(site, runtime):
    account = site.account("demo")["account_id"]
    for name in (
        f"us-gov.{SMOL}", f"us.{SMOL}", f"global.{SMOL}", arn("foundation-model", SMOL),
        arn("inference-profile", f"us-gov.{SMOL}", account), WELL_KNOWN, f"global.{WELL_KNOWN}",
        arn("foundation-model", WELL_KNOWN),
        arn("inference-profile", f"us-gov.{WELL_KNOWN}", account),
    ):  # fmt: skip
        answer = ask(runtime, model=name, config={"maxTokens": 1})
        headers = answer["ResponseMetadata"]["HTTPHeaders"]
        assert headers["x-bastide-model"] == SMOL, name
        stream = runtime.converse_stream(
            modelId=name, messages=said("x"), inferenceConfig={"maxTokens": 1}
        )
        assert stream["ResponseMetadata"]["HTTPHeaders"]["x-bastide-model"] == SMOL
        list(stream["stream"])
    shown = json.loads(
        site.cli("audit", "show", "--operation", "Converse", "--last", "2", "--json").stdout
    )
    assert '"model": "' + SMOL in json.dumps(shown)


@pytest.mark.parametrize(
    "name",
    [
        "no.such-v1:0", f"xx.{SMOL}", arn("foundation-model", "no.such-v1:0"),
        arn("inference-profile", f"us-gov.{SMOL}", "999999999999"),
        f"arn:aws:bedrock:us-east-1::foundation-model/{SMOL}",
        arn("provisioned-model", "abcdefghijkl", "111111111111"),
    ],
)  # fmt: skip
def test_models_that_are_not_there(runtime, name):
    for one in (ask, stream_of):
        with pytest.raises(runtime.exceptions.ClientError) as caught:
            one(runtime, model=name)
        assert caught.value.response["Error"]["Code"] in (
            "ValidationException", "ResourceNotFoundException", "AccessDeniedException",
        )  # fmt: skip


@pytest.mark.parametrize(
    ("messages", "why"),
    [
        ([], "must start with a user message"),
        (said("a", "b")[1:], "must start with a user message"),
        (said("a") * 2, "must alternate"),
        (said("a", "b "), "cannot end with trailing whitespace"),
        (said("  "), "is blank"),
        ([{"role": "user", "content": []}], "is empty"),
        (said("word " * 3000), "Input is too long for requested model."),
    ],
)
def test_conversations_that_are_none(runtime, messages, why):
    for operation in (runtime.converse, runtime.converse_stream):
        with pytest.raises(runtime.exceptions.ValidationException, match=why):
            operation(modelId=SMOL, messages=messages)


IMAGE = {"image": {"format": "png", "source": {"bytes": b"x"}}}
DOCUMENT = {"document": {"format": "xls", "name": "d", "source": {"bytes": b"x"}}}
VIDEO = {"video": {"format": "mp4", "source": {"bytes": b"x"}}}


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({"messages": [{"role": "user", "content": [{"text": "a"}, IMAGE]}]}, "image"),
        ({"messages": [{"role": "user", "content": [{"text": "a"}, DOCUMENT]}]}, "document"),
        ({"messages": [{"role": "user", "content": [VIDEO]}]}, "video"),
        ({"toolConfig": {"tools": [{"systemTool": {"name": "nova_grounding"}}]}}, "systemTool"),
        ({"promptVariables": {"a": {"text": "b"}}}, "promptVariables"),
        ({"performanceConfig": {"latency": "optimized"}}, "performanceConfig"),
        ({"serviceTier": {"type": "priority"}}, "serviceTier"),
        ({"additionalModelRequestFields": {"thinking": {"type": "enabled"}}}, "thinking"),
        ({"outputConfig": {"effort": "high"}}, "outputConfig.effort"),
    ],
)
def test_what_is_not_honoured_is_refused_by_name(runtime, more, named):
    for operation in (runtime.converse, runtime.converse_stream):
        with pytest.raises(ClientError, match=named) as caught:
            operation(**{"modelId": SMOL, "messages": said("a"), **more})
        assert caught.value.response["Error"]["Code"] == "UnsupportedOperation"
        assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501


def test_what_is_accepted_is_said_back(runtime):
    answer = ask(
        runtime,
        performanceConfig={"latency": "standard"},
        serviceTier={"type": "default"},
        requestMetadata={"team": "a"},
        config={"maxTokens": 1},
    )
    assert answer["performanceConfig"] == {"latency": "standard"}
    assert answer["serviceTier"] == {"type": "default"}


def test_foundation_models(site):
    bedrock = site.client("bedrock")
    rows = bedrock.list_foundation_models()["modelSummaries"]
    assert {row["modelId"] for row in rows} == {SMOL, SECOND, WELL_KNOWN}
    chosen = bedrock.list_foundation_models(byProvider="Hugging Face")["modelSummaries"]
    assert {row["modelId"] for row in chosen} == {SMOL, WELL_KNOWN}
    for filters, there in (
        ({"byOutputModality": "TEXT"}, 3), ({"byOutputModality": "IMAGE"}, 0),
        ({"byInferenceType": "ON_DEMAND"}, 3), ({"byInferenceType": "PROVISIONED"}, 0),
        ({"byCustomizationType": "FINE_TUNING"}, 0), ({"byProvider": "nobody"}, 0),
    ):  # fmt: skip
        assert len(bedrock.list_foundation_models(**filters)["modelSummaries"]) == there, filters
    for name in (SMOL, arn("foundation-model", SMOL), WELL_KNOWN):
        found = bedrock.get_foundation_model(modelIdentifier=name)["modelDetails"]
        assert found["modelName"] == "SmolLM2 135M"
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
        bedrock.get_foundation_model(modelIdentifier="no.such-v1:0")
    with pytest.raises(bedrock.exceptions.ValidationException):
        bedrock.get_foundation_model(modelIdentifier="Not A Model")


def test_inference_profiles(site):
    bedrock = site.client("bedrock")
    pages = bedrock.get_paginator("list_inference_profiles").paginate(
        PaginationConfig={"PageSize": 1}
    )
    rows = [row for page in pages for row in page["inferenceProfileSummaries"]]
    assert [row["inferenceProfileId"] for row in rows] == sorted(
        f"us-gov.{name}" for name in (SMOL, SECOND, WELL_KNOWN)
    )
    for row in rows:
        for name in (row["inferenceProfileId"], row["inferenceProfileArn"]):
            found = bedrock.get_inference_profile(inferenceProfileIdentifier=name)
            assert found["inferenceProfileArn"] == row["inferenceProfileArn"]
            assert found["type"] == "SYSTEM_DEFINED"
    with pytest.raises(bedrock.exceptions.ResourceNotFoundException):
        bedrock.get_inference_profile(inferenceProfileIdentifier="us-gov.no.such-v1:0")
    with pytest.raises(bedrock.exceptions.ValidationException):
        bedrock.list_inference_profiles(nextToken="!")


def client_of_user(site, name, policy):
    iam = site.client("iam")
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return boto3.client(
        "bedrock-runtime",
        endpoint_url=site.status["endpoint"],
        verify=site.agency("demo").get("AWS_CA_BUNDLE"),
        region_name=site.name,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
    )


def test_an_inference_profile_of_its_own_answers_under_its_own_policy(site, runtime):
    bedrock, tags = site.client("bedrock"), [{"key": "cost-centre", "value": "7"}]
    arn = bedrock.create_inference_profile(
        inferenceProfileName="team",
        modelSource={"copyFrom": f"arn:aws-us-gov:bedrock:{site.name}::foundation-model/{SMOL}"},
        tags=tags,
    )["inferenceProfileArn"]
    listed = bedrock.list_inference_profiles(typeEquals="APPLICATION")
    assert [one["inferenceProfileArn"] for one in listed["inferenceProfileSummaries"]] == [arn]
    assert bedrock.list_tags_for_resource(resourceARN=arn)["tags"] == tags
    answer = ask(runtime, model=arn)
    headers = answer["ResponseMetadata"]["HTTPHeaders"]
    assert headers["x-bastide-model"] == SMOL
    allowed = {"Effect": "Allow", "Action": "bedrock:*", "Resource": "*"}
    denied = {
        "Effect": "Deny",
        "Action": "bedrock:InvokeModel",
        "Resource": "*",
        "Condition": {"StringEquals": {"aws:ResourceTag/cost-centre": "7"}},
    }
    policy = {"Version": "2012-10-17", "Statement": [allowed, denied]}
    limited = client_of_user(site, "nina", policy)
    assert ask(limited)["output"]
    with pytest.raises(limited.exceptions.AccessDeniedException):
        ask(limited, model=arn)
    bedrock.delete_inference_profile(inferenceProfileIdentifier=arn)
    with pytest.raises(runtime.exceptions.ValidationException):
        ask(runtime, model=arn)


def test_an_engine_that_dies_in_a_stream(site, runtime, tmp_path):
    """What was produced until then is what is billed, and what its receipt says."""
    answer = runtime.converse_stream(
        modelId=SMOL, messages=said("Tell a very long story."), inferenceConfig=LONG
    )
    stream = iter(answer["stream"])
    heard = [next(stream) for _ in range(4)]
    (row,) = engines_of(site)
    os.kill(row["pid"], signal.SIGKILL)
    with pytest.raises(EventStreamError, match="modelStreamErrorException"):
        heard.extend(stream)
    answer["stream"].close()
    eventually(lambda: engines_of(site) == [], WAIT_S)
    assert text_of(ask(runtime)).startswith("1, 2, 3")
    receipt_id = answer["ResponseMetadata"]["HTTPHeaders"]["x-bastide-receipt"]
    file, key = tmp_path / "receipt.json", site.folder / "audit" / "audit.pub"
    site.cli("receipt", "get", receipt_id, "--out", str(file))
    shown = site.cli("receipt", "verify", str(file), "--key", str(key), "--json").stdout
    billed = json.loads(shown)["receipt"]
    pieces = sum("contentBlockDelta" in event for event in heard)
    assert 0 < pieces <= billed["output_tokens"] < LONG["maxTokens"]
    assert billed["input_tokens"] > 0
    assert billed["end"] == "broke off: ModelStreamErrorException"


def test_one_model_makes_room_for_another_but_not_while_it_works(site, runtime):
    ask(runtime)
    stream = iter(stream_of(runtime, text="Tell a very long story.", config=LONG))
    next(stream)
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(ask, runtime, SECOND)
        eventually(lambda: len(engines_of(site)) == 2, WAIT_S)
        events = list(stream)
        assert "metadata" in events[-1]
        assert text_of(other.result(WAIT_S)).startswith("1, 2, 3")
    assert [row["model"] for row in engines_of(site)] == ["site.second-v1-0"]


def test_who_goes_away_frees_the_place_at_once(site, runtime):
    """What is asked for takes the engine a minute: nobody waits for that."""
    told = {"text": "Tell a very long story.", "config": {"maxTokens": 1500, "temperature": 0.0}}
    streams = [stream_of(runtime, **told) for _ in range(4)]
    for stream in streams:
        next(iter(stream))
    eventually(lambda: sum(row["requests"] for row in engines_of(site)) == 4, WAIT_S)
    for stream in streams:
        stream.close()
    eventually(lambda: sum(row["requests"] for row in engines_of(site)) == 0, 5)
    assert text_of(ask(runtime)).startswith("1, 2, 3")


def test_many_streams_share_four_places_fairly(site, runtime):
    """One agency's thirty streams are not all served before another's two."""
    ask(runtime)
    other = site.client("bedrock-runtime", "other", read_timeout=120)
    ended, door = [], threading.Lock()

    def one(client, name):
        events = list(stream_of(client))
        with door:
            ended.append(name)
        return events[-2]["messageStop"]["stopReason"]

    with ThreadPoolExecutor(32) as pool:
        big = [pool.submit(one, runtime, "big") for _ in range(30)]
        eventually(
            lambda: sum(row["requests"] + row["waiting"] for row in engines_of(site)) >= 28, WAIT_S
        )
        small = [pool.submit(one, other, "small") for _ in range(2)]
        assert {future.result(WAIT_S) for future in big + small} == {"max_tokens"}
    last_small = max(place for place, name in enumerate(ended) if name == "small")
    assert last_small < len(ended) / 2


def test_a_quota_throttles_and_says_when_to_come_again(site):
    thrifty = site.client("bedrock-runtime", "thrifty", read_timeout=120)

    def ask_for(times):
        for _ in range(times):
            ask(thrifty, SECOND, config={"maxTokens": 1})

    with pytest.raises(thrifty.exceptions.ThrottlingException) as caught:
        ask_for(REQUESTS + 2)
    assert 0 < int(caught.value.response["ResponseMetadata"]["HTTPHeaders"]["retry-after"]) <= 60
    other = site.client("bedrock-runtime", "other", read_timeout=120)
    assert ask(other, SECOND, config={"maxTokens": 1})["output"], "another agency has its own"


def test_aliases_by_command(site, runtime):
    made = site.cli("models", "alias", "amazon.nova-lite-v1:0", SECOND, "--json")
    assert json.loads(made.stdout) == {"alias": "amazon.nova-lite-v1:0", "model": SECOND}
    answer = ask(runtime, model="us.amazon.nova-lite-v1:0", config={"maxTokens": 1})
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-bastide-model"] == SECOND
    for alias, target in (
        ("amazon.nova-pro-v1:0", "no.such-v1:0"),  # of nothing
        (SMOL, SECOND),  # a model of its own
        (WELL_KNOWN, SECOND),  # bastide.toml says otherwise
        ("amazon.nova-pro-v1:0", "amazon.nova-lite-v1:0"),  # of an alias
        ("amazon.nova-pro-v1:0", "amazon.nova-pro-v1:0"),  # of itself
        ("Not An Id", SECOND),
    ):
        with pytest.raises(CommandFailed):
            site.control.post("/models-alias", {"alias": alias, "model": target})
    rows = {row["name"]: row for row in json.loads(site.cli("models", "list", "--json").stdout)}
    assert rows["site.second-v1-0"]["aliases"] == "amazon.nova-lite-v1:0"
    assert rows["smollm2-135m"]["admitted"]
    assert not rows["qwen2.5-coder-1.5b"]["admitted"]
    site.kill()
    site.start()
    after = site.client("bedrock-runtime", read_timeout=120)
    answer = ask(after, model="us.amazon.nova-lite-v1:0", config={"maxTokens": 1})
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-bastide-model"] == SECOND


def test_no_engine_outlives_its_region(site):
    ask(site.client("bedrock-runtime", read_timeout=120))
    (row,) = engines_of(site)
    site.kill()
    eventually(lambda: not os.path.exists(f"/proc/{row['pid']}"), WAIT_S)
    site.start()
    assert engines_of(site) == []
    assert text_of(ask(site.client("bedrock-runtime", read_timeout=120))).startswith("1, 2, 3")
