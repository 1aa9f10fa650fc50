"""Receipts as a user gets them: an id and a salt in the answer's headers, a file, a verdict."""

import json

import pytest

SMOL = "bastide.smollm2-135m-instruct-v1:0"
ASKED = {
    "messages": [{"role": "user", "content": [{"text": "Say yes."}]}],
    "system": [{"text": "Be short."}],
}


@pytest.fixture
def runtime(trained_region):
    return trained_region.client("bedrock-runtime", "receipts", read_timeout=120)


def headers_of(answer):
    return answer["ResponseMetadata"]["HTTPHeaders"]


def verdict(region, tmp_path, answer, text, check=True, asked=ASKED):
    """What `bastide receipt verify` says, with the public key alone."""
    headers, receipt = headers_of(answer), tmp_path / "receipt.json"
    (tmp_path / "asked.json").write_text(json.dumps(asked))
    (tmp_path / "answer.txt").write_text(text)
    region.cli("receipt", "get", headers["x-bastide-receipt"], "--out", str(receipt))
    done = region.cli(
        "receipt", "verify", str(receipt), "--key", str(region.folder / "audit" / "audit.pub"),
        "--salt", headers["x-bastide-receipt-salt"], "--prompt", str(tmp_path / "asked.json"),
        "--answer", str(tmp_path / "answer.txt"), "--json", check=check,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_a_receipt_of_converse(trained_region, runtime, tmp_path):
    answer = runtime.converse(modelId=SMOL, inferenceConfig={"maxTokens": 4}, **ASKED)
    text = answer["output"]["message"]["content"][0]["text"]
    found = verdict(trained_region, tmp_path, answer, text)
    assert (found["ok"], found["opened"]) == (True, ["prompt", "answer"])
    said = found["receipt"]
    assert said["agency"] == trained_region.account("receipts")["account_id"]
    assert (said["model"], len(said["model_digest"])) == (SMOL, len("sha256:") + 64)
    assert said["input_tokens"] == answer["usage"]["inputTokens"]
    assert said["output_tokens"] == answer["usage"]["outputTokens"]
    assert said["energy_j"] > 0
    assert said["energy"].startswith("modelled: ")
    assert said["policy"].startswith("sha256:")
    assert not verdict(trained_region, tmp_path, answer, text + "!", check=False)["ok"]


def test_a_receipt_of_a_stream(trained_region, runtime, tmp_path):
    answer = runtime.converse_stream(modelId=SMOL, inferenceConfig={"maxTokens": 4}, **ASKED)
    deltas = [event["contentBlockDelta"] for event in answer["stream"]
              if "contentBlockDelta" in event]  # fmt: skip
    text = "".join(each["delta"]["text"] for each in deltas)
    found = verdict(trained_region, tmp_path, answer, text)
    assert (found["ok"], found["opened"]) == (True, ["prompt", "answer"])


def test_a_receipt_of_a_body_opens_on_both_bodies(trained_region, runtime, tmp_path):
    """What the caller kept is what went over the wire, in whichever family's words."""
    asked = {"inputText": "Say yes.", "textGenerationConfig": {"maxTokenCount": 4}}
    body = {"modelId": SMOL, "body": json.dumps(asked)}
    whole = runtime.invoke_model(**body)
    text = whole["body"].read().decode()
    streamed = runtime.invoke_model_with_response_stream(**body)
    parts = [event["chunk"]["bytes"].decode() for event in streamed["body"]]
    told = json.loads(text)["results"][0]["tokenCount"]
    told_last = json.loads(parts[-1])["totalOutputTextTokenCount"]
    for answer, kept, tokens in ((whole, text, told), (streamed, "".join(parts), told_last)):
        found = verdict(trained_region, tmp_path, answer, kept, asked=asked)
        assert (found["ok"], found["opened"]) == (True, ["prompt", "answer"])
        assert found["receipt"]["output_tokens"] == tokens
        assert 1 <= tokens <= 4, "the model may end before it has to"
        other = asked | {"inputText": "Say no."}
        assert not verdict(trained_region, tmp_path, answer, kept, False, other)["ok"]


def test_its_owner_and_nobody_else_looks_it_up(trained_region, runtime, tmp_path):
    answer = runtime.converse(modelId=SMOL, inferenceConfig={"maxTokens": 1}, **ASKED)
    event_id = headers_of(answer)["x-bastide-receipt"]
    wanted = [{"AttributeKey": "EventId", "AttributeValue": event_id}]
    text = trained_region.cli("receipt", "get", event_id).stdout  # also signs a checkpoint

    def looked(agency):
        client = trained_region.client("cloudtrail", agency)
        return client.lookup_events(LookupAttributes=wanted)["Events"]

    (event,) = looked("receipts")
    assert json.loads(event["CloudTrailEvent"])["additionalEventData"]["receipt"] == text
    assert looked("another") == []


def test_a_refused_call_has_none(trained_region, runtime):
    with pytest.raises(runtime.exceptions.ValidationException) as refused:
        runtime.converse(modelId=SMOL, messages=[{"role": "assistant", "content": [{"text": "a"}]}])
    assert "x-bastide-receipt" not in headers_of(refused.value.response)
    done = trained_region.cli("receipt", "get", "no-such-id", check=False)
    assert (done.returncode, "no such receipt" in done.stderr) == (1, True)


def test_the_log_as_events_of_ocsf(trained_region, tmp_path, sqlite_only):
    trained_region.client("iam", "receipts").list_users()
    file = tmp_path / "events.jsonl"
    told = trained_region.cli(
        "audit", "export", "--format", "ocsf", "--account",
        trained_region.account("receipts")["account_id"], "--out", str(file), "--json",
    )  # fmt: skip
    events = [json.loads(line) for line in file.read_text().splitlines()]
    assert json.loads(told.stdout)[0]["events"] == len(events)
    assert {event["class_uid"] for event in events} == {6003}
    assert "ListUsers" in {event["api"]["operation"] for event in events}


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # dead sockets
def test_a_receipt_of_a_stream_that_kill_9_broke_off(own_region, tmp_path):
    """Its first words were told, with the receipt's id; its end nobody saw."""
    region = own_region
    region.cli("models", "pull", "smollm2-135m")
    runtime = region.client("bedrock-runtime", "receipts", read_timeout=120)
    long = {"messages": [{"role": "user", "content": [{"text": "Count from 1 to 1000, slowly."}]}]}
    answer = runtime.converse_stream(modelId=SMOL, inferenceConfig={"maxTokens": 4000}, **long)
    assert next(iter(answer["stream"]))
    region.kill()
    region.start()
    event_id, receipt = headers_of(answer)["x-bastide-receipt"], tmp_path / "receipt.json"
    region.cli("receipt", "get", event_id, "--out", str(receipt))
    words = ("receipt", "verify", str(receipt), "--key", str(region.folder / "audit" / "audit.pub"))
    found = json.loads(region.cli(*words, "--json").stdout)
    said = found["receipt"]
    assert (found["ok"], said["id"], said["ended_ms"]) == (True, event_id, None)
    assert said["end"] == "lost: the region stopped before it was recorded"
    assert said["output_tokens"] is None
    assert said["model"].endswith(f"asked was {SMOL}")
    region.kill()
    region.start()
    region.cli("receipt", "get", event_id, "--out", str(tmp_path / "again.json"))
    assert (tmp_path / "again.json").read_text() == receipt.read_text()
    shown = region.cli("audit", "show", "--last", "1000", "--json").stdout
    assert shown.count("EndLost") == 1
    assert region.cli("audit", "verify").returncode == 0
