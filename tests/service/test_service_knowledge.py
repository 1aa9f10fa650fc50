"""Knowledge bases by boto3: made, filled from a bucket and by hand, asked, changed, and gone."""

import pytest
from botocore.exceptions import ClientError
from tests.knowledge_kit import base_request, bucket_source, live_base
from tests.waiting import eventually

CATS = b"Cats sleep for most of the day and hunt at dusk."
TIDES = b"The moon raises two tides in the ocean on every day."
BUCKET = "library-papers"


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
