"""What a session does not dominate changes nothing that it is told of what thinks, over HTTP, on a
real region with a real engine."""

import pytest

from tests.ni.rehearsal import CHAPTERS, below
from tests.ni.stage import ENGINES, Stage, digest
from tests.ni.thinking import Cast, Played, difference
from tests.scripted_model import scripted_model
from tests.walls_live import walled


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    with scripted_model(digest) as url:
        live = walled(tmp_path_factory.mktemp("thinking"), settings=ENGINES.format(url=url))
        for model in ("smollm2-135m", "minilm-l6-v2"):
            live.cli("models", "pull", model)
        yield Stage(live)
        live.stop()


# What a chapter is about: done on both sides, and not refused there.
DONE = {
    "guardrails": {"create_guardrail", "apply_guardrail"},
    "models": {
        "converse", "converse_stream", "invoke_model", "invoke_model_with_response_stream",
        "count_tokens", "create_inference_profile",
    },
    "bases": {"start_ingestion_job", "ingest_knowledge_base_documents", "retrieve"},
    "functions": {"create_function", "invoke"},
    "answers": {"ingest_knowledge_base_documents", "retrieve_and_generate"},
    "agents": {"create_agent", "prepare_agent", "create_agent_alias", "invoke_agent",
               "get_agent_memory"},
    "runtimes": {"create_agent_runtime", "invoke_agent_runtime"},
    "throughput": {"create_provisioned_model_throughput", "converse"},
    "logging": {"converse", "list_objects_v2"},
    "people": {"get_user", "get_caller_identity"},
    "keys": {"create_key", "create_grant", "encrypt"},
    "boxes": {"create_bucket", "put_object"},
    "trails": {"create_trail", "create_log_group"},
    "imports": {"create_model_import_job", "get_model_import_job"},
}  # fmt: skip


# What a chapter does below is answered once at least, but for this.
REFUSED = {
    "bases": {"stop_ingestion_job"},  # it has ended
    "imports": {"get_imported_model", "delete_imported_model"},  # none was brought
    "keys": {"schedule_key_deletion", "cancel_key_deletion"},  # that takes two officers
    "boxes": {
        # Nothing of that kind is kept here, and nobody owns what lies there but the bucket's owner.
        "get_bucket_cors", "get_bucket_lifecycle_configuration", "get_bucket_replication",
        "get_bucket_website", "get_object_lock_configuration", "put_bucket_acl", "put_object_acl",
    },
}  # fmt: skip


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_is_above_is_not_seen_below(stage, chapter):
    played = Played()
    assert difference(stage, "few", {chapter: CHAPTERS[chapter]}, played) == ""
    for side in ("low", "high"):
        named = {name.partition(".")[2] for name in played.on(side)}
        assert DONE[chapter] <= named, f"{side}: {played.refused}"
    refused = {name.partition(".")[2] for name in below(CHAPTERS[chapter]) - played.on("low")}
    assert refused == REFUSED.get(chapter, set())


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_without_walls_each_chapter_sees_it(stage, chapter, monkeypatch):
    """What is done above is done below instead: who finds nothing then would find no leak."""
    monkeypatch.setattr(Cast, "high", lambda it, steps, label: it.low(steps))
    assert difference(stage, "planted", {chapter: CHAPTERS[chapter]}, Played())
