"""What a session does not dominate changes nothing that it is told of what thinks, over HTTP, on a
real region with a real engine."""

import pytest

from tests.ni.chapters import CHAPTERS
from tests.ni.stage import Stage
from tests.ni.thinking import SERVICES, Cast, difference
from tests.walls_live import walled


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    live = walled(tmp_path_factory.mktemp("thinking"))
    for model in ("smollm2-135m", "minilm-l6-v2"):
        live.cli("models", "pull", model)
    yield Stage(live, services=SERVICES)
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
}  # fmt: skip


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_what_is_above_is_not_seen_below(stage, chapter):
    done: set[tuple[str, str]] = set()
    assert difference(stage, "few", {chapter: CHAPTERS[chapter]}, done) == ""
    for side in ("low", "high"):
        named = {name.partition(".")[2] for where, name in done if where == side}
        assert DONE[chapter] <= named, side


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_without_walls_each_chapter_sees_it(stage, chapter, monkeypatch):
    """What is done above is done below instead: who finds nothing then would find no leak."""
    monkeypatch.setattr(Cast, "high", lambda it, steps, label: it.low(steps))
    assert difference(stage, "planted", {chapter: CHAPTERS[chapter]}, set())
