"""A region whose site names a judge for the grey zone of its guardrails: an engine that follows a
script says no to what has `results above` in it, and else yes."""

import pytest
from tests.live import NAME, LiveRegion
from tests.scripted_model import GREETING, SCRIPTED, scripted_model

MESSAGES = {"blockedInputMessaging": "No question.", "blockedOutputsMessaging": "No answer."}
GREY = "There was blood on the knife."  # VIOLENCE 0.51
PLAIN = "The bread is on the table."
HARSH = "I will stab him and kill her."


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with scripted_model() as url:
        toml = f"""
[regions.{NAME}]
port = 0
[regions.{NAME}.guardrails]
judge_model = "{SCRIPTED}"
[regions.{NAME}.engines]
urls = {{ "{SCRIPTED}" = {{ url = "{url}", model = "scripted" }} }}
"""
        live = LiveRegion(tmp_path_factory.mktemp("judge"), toml=toml).start()
        yield live
        live.stop()


def test_a_text_near_the_line_is_what_the_model_says(site):
    violence = {"type": "VIOLENCE", "inputStrength": "MEDIUM", "outputStrength": "MEDIUM"}
    made = site.client("bedrock").create_guardrail(
        name="judged", **MESSAGES, contentPolicyConfig={"filtersConfig": [violence]}
    )
    runtime = site.client("bedrock-runtime", read_timeout=60)
    named = {"guardrailIdentifier": made["guardrailId"], "guardrailVersion": "DRAFT"}
    for text, stopped in (
        (GREY, True),
        (f"{GREY} So the results above say.", False),
        (PLAIN, False),
        (f"{HARSH} So the results above say.", True),  # it is never asked
    ):
        for source in ("INPUT", "OUTPUT"):
            found = runtime.apply_guardrail(
                **named, source=source, content=[{"text": {"text": text}}]
            )
            assert (found["action"] == "GUARDRAIL_INTERVENED") is stopped, text
        asked = {
            "modelId": SCRIPTED,
            "messages": [{"role": "user", "content": [{"text": text}]}],
            "guardrailConfig": named,
        }
        answer = runtime.converse(**asked)
        assert (answer["stopReason"] == "guardrail_intervened") is stopped
        said = answer["output"]["message"]["content"][0]["text"]
        assert said == ("No question." if stopped else GREETING)
        events = list(runtime.converse_stream(**asked)["stream"])
        deltas = [
            e["contentBlockDelta"]["delta"]["text"] for e in events if "contentBlockDelta" in e
        ]
        assert "".join(deltas) == said
