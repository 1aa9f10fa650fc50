"""Knowledge bases by boto3: made, filled from a bucket and by hand, asked, changed, and gone."""

import json
import subprocess

import pytest
from botocore.exceptions import ClientError
from tests import unsafe_documents as unsafe
from tests.clients import client_python
from tests.knowledge_kit import base_request, bucket_source, live_base
from tests.sound_documents import page, slide, workbook
from tests.waiting import eventually

CATS = b"Cats sleep for most of the day and hunt at dusk."
TIDES = b"The moon raises two tides in the ocean on every day."
BUCKET = "library-papers"
PAPERS = 40  # in a job that is killed


@pytest.fixture(scope="module")
def base(region):
    region.cli("models", "pull", "minilm-l6-v2")
    return live_base(region, "library", BUCKET)


def test_a_bucket_is_read_and_found_again(region, base):
    s3 = region.client("s3", "library")
    s3.put_object(Bucket=BUCKET, Key="cats.txt", Body=CATS)
    s3.put_object(Bucket=BUCKET, Key="sea/tides.md", Body=TIDES)
    s3.put_object(Bucket=BUCKET, Key="broken.pdf", Body=b"%PDF-1.7 and no more")

    job = base.sync()
    assert job["status"] == "COMPLETE"
    counted = job["statistics"]
    assert (counted["numberOfDocumentsScanned"], counted["numberOfNewDocumentsIndexed"]) == (3, 2)
    assert counted["numberOfDocumentsFailed"] == 1
    assert "broken.pdf" in job["failureReasons"][0]

    best = base.found("what raises the tides of the ocean", numberOfResults=1)[0]
    assert best["content"]["text"] == TIDES.decode()
    assert best["location"]["s3Location"]["uri"] == f"s3://{BUCKET}/sea/tides.md"
    assert 0 < best["score"] <= 1

    s3.put_object(Bucket=BUCKET, Key="cats.txt", Body=CATS + b" They purr.")
    s3.delete_object(Bucket=BUCKET, Key="sea/tides.md")
    counted = base.sync()["statistics"]
    assert counted["numberOfModifiedDocumentsIndexed"] == 1
    assert counted["numberOfDocumentsDeleted"] == 1
    assert counted["numberOfNewDocumentsIndexed"] == 0
    assert [r["content"]["text"] for r in base.found("tides")] == [(CATS + b" They purr.").decode()]

    ids = {"knowledgeBaseId": base.base, "dataSourceId": base.source}
    jobs = base.agent.list_ingestion_jobs(**ids, maxResults=1)
    assert [each["status"] for each in jobs["ingestionJobSummaries"]] == ["COMPLETE"]
    older = base.agent.list_ingestion_jobs(**ids, nextToken=jobs["nextToken"])
    assert len(older["ingestionJobSummaries"]) == 1
    done = jobs["ingestionJobSummaries"][0]["ingestionJobId"]
    with pytest.raises(ClientError, match="ConflictException"):
        base.agent.stop_ingestion_job(**ids, ingestionJobId=done)


def test_answers_cite_what_they_rest_on(region, base):
    """A small model says little of sense, but nothing without its place."""
    region.cli("models", "pull", "smollm2-135m")
    model = (
        "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/bastide.smollm2-135m-instruct-v1:0"
    )
    generation = {"inferenceConfig": {"textInferenceConfig": {"maxTokens": 400, "temperature": 0}}}
    wanted = {
        "knowledgeBaseId": base.base,
        "modelArn": model,
        "generationConfiguration": generation,
    }
    about = {"type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": wanted}
    asked = {"input": {"text": "When do cats hunt?"}, "retrieveAndGenerateConfiguration": about}
    answer = base.runtime.retrieve_and_generate(**asked)
    assert answer["ResponseMetadata"]["HTTPHeaders"]["x-bastide-label"] == "U"
    streamed = base.runtime.retrieve_and_generate_stream(**asked, sessionId=answer["sessionId"])
    events = list(streamed["stream"])
    told = "".join(event["output"]["text"] for event in events if "output" in event)
    citations = [event["citation"]["citation"] for event in events if "citation" in event]
    both = ((answer["output"]["text"], answer["citations"]), (told, citations))
    for text, cited in both:
        assert text
        assert cited
        for citation in cited:
            part = citation["generatedResponsePart"]["textResponsePart"]
            assert text[part["span"]["start"] : part["span"]["end"]] == part["text"]
            for reference in citation["retrievedReferences"]:
                assert reference["location"]["s3Location"]["uri"] == f"s3://{BUCKET}/cats.txt"


def test_langchains_retriever_finds_the_same(region, base):
    """langchain-aws, unmodified, in its own venv."""
    program = """
import json, sys
from langchain_aws.retrievers import AmazonKnowledgeBasesRetriever as Retriever
found = Retriever(
    knowledge_base_id=sys.argv[1], endpoint_url=sys.argv[2], region_name=sys.argv[3],
    retrieval_config={"vectorSearchConfiguration": {"numberOfResults": 2}},
).invoke("When do cats hunt?")
print(json.dumps([[each.page_content, each.metadata["location"]] for each in found]))
"""
    env = region.environ() | region.agency("library") | {"AWS_ENDPOINT_URL": ""}
    words = [base.base, region.status["endpoint"], region.name]
    done = subprocess.run(
        [str(client_python("langchain")), "-c", program, *words],
        env=env, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    assert found[0].startswith("Cats sleep")
    assert found[1]["s3Location"]["uri"] == f"s3://{BUCKET}/cats.txt"


def test_documents_handed_in_one_by_one(base):
    custom = {"type": "CUSTOM"}
    made = base.agent.create_data_source(
        knowledgeBaseId=base.base, name="by-hand", dataSourceConfiguration=custom
    )
    ids = {"knowledgeBaseId": base.base, "dataSourceId": made["dataSource"]["dataSourceId"]}
    named = {"dataSourceType": "CUSTOM", "custom": {"id": "note-1"}}
    content = {
        "dataSourceType": "CUSTOM",
        "custom": {
            "customDocumentIdentifier": {"id": "note-1"},
            "sourceType": "IN_LINE",
            "inlineContent": {"type": "TEXT", "textContent": {"data": "Comets have icy cores."}},
        },
    }
    year = {"key": "year", "value": {"type": "NUMBER", "numberValue": 1986}}
    said = {"type": "IN_LINE_ATTRIBUTE", "inlineAttributes": [year]}
    base.agent.ingest_knowledge_base_documents(
        **ids, documents=[{"content": content, "metadata": said}]
    )

    def status():
        found = base.agent.get_knowledge_base_documents(**ids, documentIdentifiers=[named])
        return found["documentDetails"][0]["status"]

    eventually(lambda: status() == "INDEXED", 60)
    listed = base.agent.list_knowledge_base_documents(**ids)["documentDetails"]
    assert [each["identifier"] for each in listed] == [named]
    later = {"greaterThan": {"key": "year", "value": 1980}}
    (best,) = base.found("what are comets made of", filter=later)
    assert best["location"] == {"type": "CUSTOM", "customDocumentLocation": {"id": "note-1"}}
    assert base.found("comets", filter={"lessThan": {"key": "year", "value": 1980}}) == []
    base.agent.delete_knowledge_base_documents(**ids, documentIdentifiers=[named])
    eventually(lambda: status() == "NOT_FOUND", 60)
    assert base.found("what are comets made of", filter=later) == []


SEMANTIC = {
    "chunkingStrategy": "SEMANTIC",
    "semanticChunkingConfiguration": {
        "maxTokens": 200, "bufferSize": 0, "breakpointPercentileThreshold": 95,
    },
}  # fmt: skip
TURNS = (
    "Cats sleep for most of the day. A cat hunts mice at dusk. Kittens play with their mother's "
    "tail. Volcanoes throw out ash and gas. Molten rock flows down their sides as lava."
)
SOUND = {
    "a.pdf": page("The crane at pier five lifts forty tons."),
    "a.docx": unsafe.docx("The ferry leaves at noon."),
    "a.xlsx": workbook("Budget of the lighthouse"),
    "a.pptx": slide("Dredging of the channel"),
    "a.html": b"<p>The <b>customs</b> office is closed.</p>",
    "a.md": b"# Pilots\n\nPilots board at the outer buoy.",
    "a.csv": b"ship,berth\nAurora,seven\n",
    "a.json": b'{"tug": "Hercules"}',
    "turns.txt": TURNS.encode(),
}
SAID = {
    "a.md": {
        "year": {"value": {"type": "NUMBER", "numberValue": 1999}},
        "codename": {
            "value": {"type": "STRING", "stringValue": "Redwood"}, "includeForEmbedding": True,
        },
    },
    "a.html": {"year": 2020, "tags": ["office", "hours"]},
}  # fmt: skip
UNSAFE = {
    "broken.pdf": (b"%PDF-1.7 and no more", "broken PDF"),
    "locked.pdf": (unsafe.pdf(password="x"), "encrypted"),
    "locked.docx": (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "encrypted"),
    "loop.pdf": (unsafe.looping_pdf(), "broken PDF"),
    "pages.pdf": (unsafe.pdf_that_claims_pages(1_000_000), "broken PDF"),
    "bomb.docx": (unsafe.packed(50_000_000), "too large when it is unpacked"),
    "parts.xlsx": (unsafe.packed(10, entries=10_001), "too large when it is unpacked"),
    "deep.json": (unsafe.deep_json(100_000), "nests too deep"),
    "huge.txt": (b"a " * 3_000_000, "more than 5000000 characters"),
    "larger.txt": (bytes(50 * 1024 * 1024 + 1), "is larger than 52428800"),
}


@pytest.fixture(scope="module")
def mixed(region):
    """A bucket of documents of every kind, half of which mean harm, after its one job."""
    region.cli("models", "pull", "minilm-l6-v2")
    wanted = {"chunkingConfiguration": SEMANTIC}
    made = live_base(region, "readers", "mixed-papers", vectorIngestionConfiguration=wanted)
    s3 = region.client("s3", "readers")
    sidecars = {
        f"{key}.metadata.json": json.dumps({"metadataAttributes": said}).encode()
        for key, said in SAID.items()
    }
    unsound = {key: body for key, (body, _) in UNSAFE.items()}
    for key, body in {**SOUND, **sidecars, **unsound}.items():
        s3.put_object(Bucket="mixed-papers", Key=key, Body=body)
    return made, made.sync()


def test_documents_that_mean_harm_fail_each_with_its_reason_and_the_job_goes_on(mixed):
    base, job = mixed
    counted = job["statistics"]
    assert job["status"] == "COMPLETE"
    assert counted["numberOfNewDocumentsIndexed"] == len(SOUND)
    assert counted["numberOfDocumentsFailed"] == len(UNSAFE)
    told = dict(each.split(": ", 1) for each in job["failureReasons"])
    for key, (_, reason) in UNSAFE.items():
        assert reason in told[f"s3://mixed-papers/{key}"], key
    ids = {"knowledgeBaseId": base.base, "dataSourceId": base.source}
    listed = base.agent.list_knowledge_base_documents(**ids)["documentDetails"]
    states = {each["identifier"]["s3"]["uri"].rpartition("/")[2]: each for each in listed}
    assert {key for key, each in states.items() if each["status"] == "FAILED"} == set(UNSAFE)
    assert all(states[key]["statusReason"] for key in UNSAFE)


def test_each_kind_is_found_with_what_is_said_of_it(mixed):
    base, _ = mixed

    def best(text, **search):
        found = base.found(text, **search)[0]
        return found["location"]["s3Location"]["uri"].rpartition("/")[2], found

    for question, key in {
        "How much does the crane lift?": "a.pdf",
        "When does the ferry leave?": "a.docx",
        "What is the budget of the lighthouse?": "a.xlsx",
        "dredging of the channel": "a.pptx",
        "Is the customs office open?": "a.html",
        "Where do pilots board?": "a.md",
        "At which berth is the ship Aurora?": "a.csv",
        "the tug Hercules": "a.json",
    }.items():
        assert best(question)[0] == key, question
    before = {"filter": {"lessThan": {"key": "year", "value": 2000}}}
    key, found = best("office", **before)
    assert (key, found["metadata"]["year"], found["metadata"]["codename"]) == (
        "a.md", 1999, "Redwood"
    )  # fmt: skip
    listed = {"filter": {"listContains": {"key": "tags", "value": "hours"}}}
    assert best("pilots", **listed)[0] == "a.html"
    assert best("Redwood", overrideSearchType="SEMANTIC")[0] == "a.md", "it is in what is embedded"


def test_a_text_is_split_where_its_meaning_turns(mixed):
    """By the real model: what lies nearer to what is read from the text, not from a number."""
    base, _ = mixed
    found = base.found("cats and volcanoes", numberOfResults=100)
    pieces = [
        each["content"]["text"] for each in found if "turns.txt" in str(each["location"])
    ]  # fmt: skip
    assert sorted(pieces) == [TURNS[: TURNS.index("Volcanoes") - 1], TURNS[TURNS.index("Volc") :]]


def test_what_is_changed_and_what_goes(region, base):
    agent, ids = base.agent, {"knowledgeBaseId": base.base}
    role = agent.get_knowledge_base(**ids)["knowledgeBase"]["roleArn"]
    renamed = base_request(role, name="papers", description="Of the library.")
    agent.update_knowledge_base(**ids, **renamed)
    (listed,) = agent.list_knowledge_bases()["knowledgeBaseSummaries"]
    assert (listed["name"], listed["description"]) == ("papers", "Of the library.")
    with pytest.raises(ClientError, match="ConflictException"):
        agent.create_knowledge_base(**renamed)
    store = {"type": "PINECONE", "pineconeConfiguration": {
        "connectionString": "x", "credentialsSecretArn": f"arn:aws-us-gov:secretsmanager:us-gov-west-1:{'1' * 12}:secret:abcdef",  # noqa: E501
        "fieldMapping": {"textField": "t", "metadataField": "m"},
    }}  # fmt: skip
    with pytest.raises(ClientError, match="UnsupportedOperation"):
        agent.create_knowledge_base(**base_request(role, name="away", storageConfiguration=store))

    wanted = {**bucket_source(base.base, BUCKET), "name": "renamed"}
    agent.update_data_source(**wanted, dataSourceId=base.source)
    source = agent.get_data_source(**ids, dataSourceId=base.source)["dataSource"]
    assert (source["name"], source["status"]) == ("renamed", "AVAILABLE")
    agent.delete_data_source(**ids, dataSourceId=base.source)
    eventually(lambda: len(agent.list_data_sources(**ids)["dataSourceSummaries"]) == 1, 60)
    assert base.found("cats") == []
    agent.delete_knowledge_base(**ids)
    eventually(lambda: agent.list_knowledge_bases()["knowledgeBaseSummaries"] == [], 60)
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        base.found("cats")


def test_a_region_killed_during_a_job_goes_on_with_it(own_region):
    """kill -9: nothing is lost, and nothing counted twice."""
    own_region.cli("models", "pull", "minilm-l6-v2")
    base = live_base(own_region, "library", BUCKET)
    s3 = own_region.client("s3", "library")
    for n in range(PAPERS):
        s3.put_object(Bucket=BUCKET, Key=f"{n}.txt", Body=f"Paper {n} is about comets.".encode())
    ids = {"knowledgeBaseId": base.base, "dataSourceId": base.source}
    job = base.agent.start_ingestion_job(**ids)["ingestionJob"]["ingestionJobId"]

    def indexed():
        found = base.agent.get_ingestion_job(**ids, ingestionJobId=job)["ingestionJob"]
        return found["statistics"]["numberOfNewDocumentsIndexed"]

    eventually(lambda: indexed() > 1, 90)
    assert indexed() < PAPERS, "it is killed in the middle"
    own_region.kill()
    own_region.start()
    base.agent = own_region.client("bedrock-agent", "library")
    base.runtime = own_region.client("bedrock-agent-runtime", "library")
    ended = base.ended(job)
    assert ended["status"] == "COMPLETE"
    counted = ended["statistics"]
    assert (counted["numberOfDocumentsScanned"], counted["numberOfDocumentsFailed"]) == (
        PAPERS, 0,
    )  # fmt: skip
    assert counted["numberOfNewDocumentsIndexed"] == PAPERS
    _holds_the_bucket(own_region, base)


def _holds_the_bucket(region, base):
    """Bucket, list and index are of one mind: each document once, with all that it says."""
    s3 = region.client("s3", "library")
    texts = {}
    for each in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        body = s3.get_object(Bucket=BUCKET, Key=each["Key"])["Body"].read()
        texts[f"s3://{BUCKET}/{each['Key']}"] = body.decode()
    ids = {"knowledgeBaseId": base.base, "dataSourceId": base.source}
    pages = base.agent.get_paginator("list_knowledge_base_documents").paginate(**ids)
    listed = [each for page in pages for each in page["documentDetails"]]
    assert sorted(each["identifier"]["s3"]["uri"] for each in listed) == sorted(texts)
    assert {each["status"] for each in listed} == {"INDEXED"}
    found = base.found("comets", numberOfResults=100)
    told = [(each["location"]["s3Location"]["uri"], each["content"]["text"]) for each in found]
    assert sorted(told) == sorted(texts.items())
    again = base.sync()["statistics"]
    counts = ("NewDocumentsIndexed", "ModifiedDocumentsIndexed", "DocumentsDeleted")
    assert again["numberOfDocumentsScanned"] == len(texts)
    assert [again[f"numberOf{name}"] for name in counts] == [0, 0, 0], "nothing was left to do"
