"""What is done with models, guardrails, knowledge bases and functions: one chapter each.

Above, it is as much like what is below as may be: the same names, the same words and more.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from typing import Any

from tests.knowledge_kit import base_request, bucket_source
from tests.ni.models import PROFILE, SMOL
from tests.ni.thinking import Answer, Cast, Chapter, Steps, Until

WORDS = ("convoy", "river", "bridge", "depot", "fuel", "north", "radio", "dawn")
SHARED = "The convoy of the north leaves its depot by the river"
SHORT: dict[str, Any] = {"maxTokens": 3, "temperature": 0.0}
BUCKET = "papers-box"
ARN = f"arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/{SMOL}"
PAGES_MAX = 6
ENDS = ("COMPLETE", "FAILED")  # of an ingestion
MESSAGES = {"blockedInputMessaging": "No.", "blockedOutputsMessaging": "No."}


def said(text: str) -> list[dict[str, Any]]:
    return [{"role": "user", "content": [{"text": text}]}]


def pages(service: str, name: str, **asked: Any) -> Steps:
    """A list, one thing at a time, and then whole."""
    size, token, next_ = ("MaxItems", "Marker", "NextMarker") if service == "lambda" else (
        "maxResults", "nextToken", "nextToken"
    )  # fmt: skip
    answer: Answer = yield service, name, {**asked, size: 1}
    for _ in range(PAGES_MAX):
        if next_ not in answer:
            break
        answer = yield service, name, {**asked, size: 1, token: answer[next_]}
    yield service, name, asked


def zipped(source: str, name: str = "app.py") -> bytes:
    """The same bytes at any time."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        archive.writestr(zipfile.ZipInfo(name), source)
    return data.getvalue()


# Guardrails.


def _guardrail(name: str, *words: str) -> tuple[str, str, dict[str, Any]]:
    policy = {"wordsConfig": [{"text": word} for word in words]}
    return "bedrock", "create_guardrail", {"name": name, **MESSAGES, "wordPolicyConfig": policy}


def _rules_begin(it: Cast) -> Steps:
    answer = yield _guardrail("rules", it.random("word").choice(WORDS))
    it.known["rules"], it.known["rules-arn"] = answer["guardrailId"], answer["guardrailArn"]
    yield "bedrock", "create_guardrail_version", {"guardrailIdentifier": it.known["rules"]}


def _rules_above(it: Cast, label: str) -> Steps:
    for name in ("rules", "rules-above"):
        answer = yield _guardrail(name, "fuel")
        it.above["rules"] = answer.get("guardrailId", it.above.get("rules", ""))
    yield "bedrock", "create_guardrail_version", {"guardrailIdentifier": it.above["rules"]}
    yield _judged(it.known["rules"], "fuel at dawn")
    yield "bedrock", "update_guardrail", {
        "guardrailIdentifier": it.known["rules"], "name": "changed", **MESSAGES,
    }  # fmt: skip


def _judged(rules: str, text: str) -> tuple[str, str, dict[str, Any]]:
    return "bedrock-runtime", "apply_guardrail", {
        "guardrailIdentifier": rules, "guardrailVersion": "1", "source": "INPUT",
        "content": [{"text": {"text": text}}],
    }  # fmt: skip


def _rules_below(it: Cast) -> Steps:
    own, hidden = it.known["rules"], it.hidden("rules", "abc123def456")
    yield "bedrock", "list_guardrails", {}
    yield from pages("bedrock", "list_guardrails", guardrailIdentifier=own)
    for each in (own, hidden):
        yield "bedrock", "get_guardrail", {"guardrailIdentifier": each}
        yield _judged(each, " ".join(WORDS))
        yield "bedrock", "list_guardrails", {"guardrailIdentifier": each}
    yield from tagged("bedrock", it.known["rules-arn"], "resourceARN")
    for name in ("rules", "rules-above"):
        answer = yield _guardrail(name, "dawn")
    _, _, stricter = _guardrail("rules", it.random("word").choice(WORDS), "added")
    yield "bedrock", "update_guardrail", {"guardrailIdentifier": own, **stricter}
    yield "bedrock", "create_guardrail_version", {"guardrailIdentifier": own}
    for each in (hidden, answer.get("guardrailId", "none")):
        yield "bedrock", "delete_guardrail", {"guardrailIdentifier": each}


def tagged(service: str, arn: str, member: str) -> Steps:
    """Tags: a list of pairs for Bedrock's models, a map elsewhere."""
    tags: Any = {"colour": "red"}
    if member == "resourceARN":
        tags = [{"key": "colour", "value": "red"}]
    upper = service == "lambda"
    yield service, "tag_resource", {member: arn, "Tags" if upper else "tags": tags}
    name = "list_tags" if upper else "list_tags_for_resource"
    yield service, name, {member: arn}
    yield service, "untag_resource", {member: arn, "TagKeys" if upper else "tagKeys": ["colour"]}
    yield service, name, {member: arn}


# Models and profiles.


def _profile(name: str) -> tuple[str, str, dict[str, Any]]:
    return "bedrock", "create_inference_profile", {
        "inferenceProfileName": name, "clientRequestToken": f"token-{name}",
        "modelSource": {"copyFrom": ARN},
    }  # fmt: skip


def _talks(text: str, model: str = SMOL) -> Steps:
    more = {"modelId": model, "messages": said(text), "inferenceConfig": SHORT}
    body = json.dumps(
        {"messages": [{"role": "user", "content": text}], "max_tokens": 3, "temperature": 0}
    )
    yield "bedrock-runtime", "converse", more
    yield "bedrock-runtime", "converse_stream", more
    yield "bedrock-runtime", "count_tokens", {
        "modelId": model, "input": {"converse": {"messages": said(text)}},
    }  # fmt: skip
    for name in ("invoke_model", "invoke_model_with_response_stream"):
        yield "bedrock-runtime", name, {"modelId": model, "body": body}


def _models_begin(it: Cast) -> Steps:
    answer = yield _profile("mine")
    it.known["profile"] = answer["inferenceProfileArn"]
    yield from _talks(f"{SHARED} at {it.random('talk').choice(WORDS)}.")


def _models_above(it: Cast, label: str) -> Steps:
    for name in ("mine", "above"):
        answer = yield _profile(name)
        if "inferenceProfileArn" in answer:
            it.above["profile"] = answer["inferenceProfileArn"]
    for word in WORDS[:3]:
        yield from _talks(f"{SHARED} at {word}, says the ambassador.")
    yield from _talks(f"{SHARED} at noon.", it.known["profile"])


def _models_below(it: Cast) -> Steps:
    made_up = it.arn("bedrock", "application-inference-profile/abc123def456")
    hidden = it.hidden("profile", made_up)
    for text in (f"{SHARED} at convoy, says the ambassador.", f"{SHARED} at noon."):
        yield from _talks(text)
        yield from _talks(text, it.known["profile"])
    for one in (it.known["profile"], hidden, PROFILE):
        yield "bedrock", "get_inference_profile", {"inferenceProfileIdentifier": one}
    yield from _talks("Count.", hidden)
    yield "bedrock", "list_inference_profiles", {"typeEquals": "APPLICATION"}
    yield "bedrock", "list_foundation_models", {}
    yield "bedrock", "get_foundation_model", {"modelIdentifier": SMOL}
    for name in ("mine", "above"):
        yield _profile(name)
    for one in (hidden, it.known["profile"]):
        yield "bedrock", "delete_inference_profile", {"inferenceProfileIdentifier": one}


# Knowledge bases.


def handed(place: Mapping[str, Any], name: str, text: str) -> tuple[str, str, dict[str, Any]]:
    """A passage for a data source that takes them so."""
    custom = {
        "customDocumentIdentifier": {"id": name}, "sourceType": "IN_LINE",
        "inlineContent": {"type": "TEXT", "textContent": {"data": text}},
    }  # fmt: skip
    return "bedrock-agent", "ingest_knowledge_base_documents", {
        **place,
        "documents": [{"content": {"dataSourceType": "CUSTOM", "custom": custom}}],
    }  # fmt: skip


def _named(it: Cast, name: str, document: str) -> tuple[str, str, dict[str, Any]]:
    which = {"dataSourceType": "CUSTOM", "custom": {"id": document}}
    return "bedrock-agent", name, {**it.known["hand"], "documentIdentifiers": [which]}


def _synced(it: Cast) -> Steps:
    answer = yield "bedrock-agent", "start_ingestion_job", it.known["source"]
    job = {**it.known["source"], "ingestionJobId": answer["ingestionJob"]["ingestionJobId"]}
    step = "bedrock-agent", "get_ingestion_job", job
    yield Until(step, lambda answer: answer["ingestionJob"]["status"] in ENDS)
    return job


def _indexed(it: Cast, document: str) -> Until:
    step = _named(it, "get_knowledge_base_documents", document)
    return Until(step, lambda answer: answer["documentDetails"][0]["status"] == "INDEXED")


def _bases_begin(it: Cast) -> Steps:
    where = {"LocationConstraint": "us-gov-west-1"}
    yield "s3", "create_bucket", {"Bucket": BUCKET, "CreateBucketConfiguration": where}
    text = f"{SHARED} at {it.random('paper').choice(WORDS)}.".encode()
    yield "s3", "put_object", {"Bucket": BUCKET, "Key": "plan.txt", "Body": text}
    answer = yield "bedrock-agent", "create_knowledge_base", base_request(it.worker, "papers")
    it.known["base"] = answer["knowledgeBase"]["knowledgeBaseId"]
    base = {"knowledgeBaseId": it.known["base"]}
    source = bucket_source(it.known["base"], BUCKET)
    answer = yield "bedrock-agent", "create_data_source", source
    it.known["source"] = {**base, "dataSourceId": answer["dataSource"]["dataSourceId"]}
    answer = yield "bedrock-agent", "create_data_source", {
        **base, "name": "by-hand", "dataSourceConfiguration": {"type": "CUSTOM"},
    }  # fmt: skip
    it.known["hand"] = {**base, "dataSourceId": answer["dataSource"]["dataSourceId"]}
    yield from _synced(it)
    yield handed(it.known["hand"], "note", f"{SHARED} in spring.")
    yield _indexed(it, "note")


def _bases_above(it: Cast, label: str) -> Steps:
    name = label.replace("/", "-")
    for key in ("plan.txt", f"{name}.txt"):
        text = f"{SHARED} at midnight, says the ambassador at {label}.".encode()
        yield "s3", "put_object", {"Bucket": BUCKET, "Key": key, "Body": text}
    for title in ("papers", "above"):
        answer = yield "bedrock-agent", "create_knowledge_base", base_request(it.worker, title)
        if "knowledgeBase" in answer:
            it.above["base"] = answer["knowledgeBase"]["knowledgeBaseId"]
    yield from _synced(it)
    for document in ("note", "above"):
        yield handed(it.known["hand"], document, f"{SHARED} in winter, at {label}.")
        yield _indexed(it, document)
    yield _found(it.known["base"])


def _found(base: str) -> tuple[str, str, dict[str, Any]]:
    query = {"knowledgeBaseId": base, "retrievalQuery": {"text": "When does the convoy leave?"}}
    return "bedrock-agent-runtime", "retrieve", query


def _bases_below(it: Cast) -> Steps:
    own, hidden = it.known["base"], it.hidden("base", "ABCDEFGHIK")
    for each in (own, hidden):
        yield "bedrock-agent", "get_knowledge_base", {"knowledgeBaseId": each}
        yield "bedrock-agent", "list_data_sources", {"knowledgeBaseId": each}
        yield _found(each)
    for name in ("get_data_source", "list_ingestion_jobs"):
        yield "bedrock-agent", name, it.known["source"]
    for source in (it.known["source"], it.known["hand"]):
        yield from pages("bedrock-agent", "list_knowledge_base_documents", **source)
    for document in ("note", "above"):
        yield _named(it, "get_knowledge_base_documents", document)
        yield _named(it, "delete_knowledge_base_documents", document)
    yield "bedrock-agent", "list_knowledge_bases", {}
    yield _ranked()
    for title in ("papers", "above"):
        yield "bedrock-agent", "create_knowledge_base", base_request(it.worker, title)
    yield from _bases_changed(it, hidden)
    for each in (hidden, own):
        yield "bedrock-agent", "delete_knowledge_base", {"knowledgeBaseId": each}


def _bases_changed(it: Cast, hidden: str) -> Steps:
    """Named as what is above, and gone."""
    own = it.known["base"]
    for each in (hidden, own):
        changed = {"knowledgeBaseId": each, **base_request(it.worker, "changed")}
        yield "bedrock-agent", "update_knowledge_base", changed
    yield "bedrock-agent", "stop_ingestion_job", (yield from _synced(it))
    yield "bedrock-agent", "update_data_source", {
        **bucket_source(own, BUCKET), **it.known["source"], "name": "renamed",
    }  # fmt: skip
    yield "bedrock-agent", "delete_data_source", it.known["hand"]


def _ranked() -> tuple[str, str, dict[str, Any]]:
    arn = "arn:aws-us-gov:bedrock:us-gov-west-1::foundation-model/bastide.minilm-l6-v2-v1:0"
    texts = (f"{SHARED} at dawn.", "Fish swim.")
    return "bedrock-agent-runtime", "rerank", {
        "queries": [{"type": "TEXT", "textQuery": {"text": "When does the convoy leave?"}}],
        "sources": [
            {"type": "INLINE",
             "inlineDocumentSource": {"type": "TEXT", "textDocument": {"text": text}}}
            for text in texts
        ],
        "rerankingConfiguration": {
            "type": "BEDROCK_RERANKING_MODEL",
            "bedrockRerankingConfiguration": {"modelConfiguration": {"modelArn": arn}},
        },
    }  # fmt: skip


# Functions.

COUNTS = """
count = 0
def handler(event, context):
    global count
    count += 1
    return {"count": count, "event": event}
"""


def _function(it: Cast, name: str) -> tuple[str, str, dict[str, Any]]:
    return "lambda", "create_function", {
        "FunctionName": name, "Runtime": "python3.11", "Handler": "app.handler",
        "Role": it.worker, "Timeout": 10, "Code": {"ZipFile": zipped(COUNTS)},
    }  # fmt: skip


def _invoked(name: str, word: str) -> tuple[str, str, dict[str, Any]]:
    return "lambda", "invoke", {"FunctionName": name, "Payload": json.dumps({"word": word})}


def _functions_begin(it: Cast) -> Steps:
    yield _function(it, "counts")
    yield _invoked("counts", it.random("event").choice(WORDS))


def _functions_above(it: Cast, label: str) -> Steps:
    for name in ("counts", "above"):
        yield _function(it, name)
    for name in ("counts", "above"):
        yield _invoked(name, "ambassador")


def _let(name: str) -> tuple[str, str, dict[str, Any]]:
    return "lambda", "add_permission", {
        "FunctionName": name, "StatementId": "agents", "Action": "lambda:InvokeFunction",
        "Principal": "bedrock.amazonaws.com",
    }  # fmt: skip


def _functions_below(it: Cast) -> Steps:
    yield from pages("lambda", "list_functions")
    for name in ("counts", "above"):
        which = {"FunctionName": name}
        yield _invoked(name, "dawn")
        for look in ("get_function_configuration", "get_policy", "get_function"):
            yield "lambda", look, which
        yield _let(name)
        yield "lambda", "get_policy", which
        yield "lambda", "remove_permission", {**which, "StatementId": "agents"}
        yield from tagged("lambda", it.arn("lambda", f"function:{name}"), "Resource")
        yield "lambda", "update_function_configuration", {**which, "Timeout": 5}
        yield "lambda", "update_function_code", {**which, "ZipFile": zipped(COUNTS + "# two\n")}
        yield "lambda", "delete_function", which
    yield _function(it, "above")


CHAPTERS: dict[str, Chapter] = {
    "guardrails": Chapter(_rules_begin, _rules_above, _rules_below),
    "models": Chapter(_models_begin, _models_above, _models_below),
    "bases": Chapter(_bases_begin, _bases_above, _bases_below),
    "functions": Chapter(_functions_begin, _functions_above, _functions_below),
}
