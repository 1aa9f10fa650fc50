"""What is done with answers of knowledge bases and with agents: one chapter each.

What is long is asked of a model that says a digest of its prompt: what reaches it from above is
seen in that. The smallest real one is asked beside it.
"""

from typing import Any

from tests.knowledge_kit import base_request
from tests.ni.chapters import ARN, SHARED, WORDS, handed, pages, tagged
from tests.ni.models import SMOL
from tests.ni.stage import DIGESTS
from tests.ni.thinking import Answer, Cast, Chapter, Steps, Until

QUESTION = "When does the convoy leave?"
LENGTH = 96  # tokens: enough for one sentence with its sources
TEMPLATE = "Answer shortly, from these alone.\n$search_results$\n$output_format_instructions$"
NO_SESSION = "00000000-0000-4000-8000-000000000000"

# RetrieveAndGenerate.


def _generated(base: str, session: str = "", **how: str) -> tuple[str, str, dict[str, Any]]:
    """A question to a knowledge base, alone or in a conversation."""
    text = {"maxTokens": LENGTH, "temperature": 0.0}
    wanted = {
        "knowledgeBaseId": base, "modelArn": how.get("model", DIGESTS),
        "generationConfiguration": {
            "inferenceConfig": {"textInferenceConfig": text},
            "promptTemplate": {"textPromptTemplate": TEMPLATE},
        },
    }  # fmt: skip
    about = {"type": "KNOWLEDGE_BASE", "knowledgeBaseConfiguration": wanted}
    asked = {"input": {"text": QUESTION}, "retrieveAndGenerateConfiguration": about}
    more = {"sessionId": session} if session else {}
    return "bedrock-agent-runtime", how.get("name", "retrieve_and_generate"), {**asked, **more}


def _noted(it: Cast, name: str, text: str) -> Steps:
    """A passage that is handed in, until it is found."""
    yield handed(it.known["notes"], name, text)
    which = {"dataSourceType": "CUSTOM", "custom": {"id": name}}
    step = "bedrock-agent", "get_knowledge_base_documents", {
        **it.known["notes"], "documentIdentifiers": [which],
    }  # fmt: skip
    yield Until(step, lambda answer: answer["documentDetails"][0]["status"] == "INDEXED")


def _answers_begin(it: Cast) -> Steps:
    answer = yield "bedrock-agent", "create_knowledge_base", base_request(it.worker, "answers")
    base = it.known["answers"] = answer["knowledgeBase"]["knowledgeBaseId"]
    answer = yield "bedrock-agent", "create_data_source", {
        "knowledgeBaseId": base, "name": "notes", "dataSourceConfiguration": {"type": "CUSTOM"},
    }  # fmt: skip
    source = answer["dataSource"]["dataSourceId"]
    it.known["notes"] = {"knowledgeBaseId": base, "dataSourceId": source}
    yield from _noted(it, "low", f"{SHARED} at {it.random('note').choice(WORDS)}.")
    answer = yield _generated(base)
    it.known["said"] = answer["sessionId"]


def _answers_above(it: Cast, label: str) -> Steps:
    base = it.known["answers"]
    for name in ("low", "above"):
        yield from _noted(it, name, f"{SHARED} at midnight, says the ambassador at {label}.")
    yield _generated(base, model=ARN)
    answer = yield _generated(base)
    it.above["said"] = answer.get("sessionId", it.above.get("said", NO_SESSION))
    yield _generated(base, it.known["said"])


def _answers_below(it: Cast) -> Steps:
    base, hidden = it.known["answers"], it.hidden("said", NO_SESSION)
    streamed = "retrieve_and_generate_stream"
    yield _generated(base, model=ARN)
    yield _generated(base)
    for session in (it.known["said"], hidden):
        yield _generated(base, session)
        yield _generated(base, session, name=streamed)


# Agents, and what they remember.

INSTRUCTION = "You are a clerk who answers in one short sentence, and never asks."
DRAFT = "TSTALIASID"
ORDERS = {
    "actionGroupName": "orders", "actionGroupExecutor": {"customControl": "RETURN_CONTROL"},
    "functionSchema": {"functions": [{"name": "status", "description": "Of an order."}]},
}  # fmt: skip
BRIEF = {
    "promptType": "ORCHESTRATION", "promptCreationMode": "OVERRIDDEN",
    "basePromptTemplate": "$instruction$\n$prompt_session_attributes$",
    "inferenceConfiguration": {"temperature": 0.0, "maximumLength": 8},
}  # fmt: skip


def _agent(it: Cast, name: str) -> dict[str, Any]:
    return {
        "agentName": name, "foundationModel": DIGESTS, "instruction": INSTRUCTION,
        "agentResourceRoleArn": it.worker,
        "promptOverrideConfiguration": {"promptConfigurations": [BRIEF]},
        "memoryConfiguration": {
            "enabledMemoryTypes": ["SESSION_SUMMARY"],
            "sessionSummaryConfiguration": {"maxRecentSessions": 2},
        },
    }  # fmt: skip


def _hired(it: Cast, name: str) -> Steps:
    """An agent with an alias. Returns what its alias is called by."""
    answer = yield "bedrock-agent", "create_agent", _agent(it, name)
    agent = answer.get("agent", {}).get("agentId", "")
    if not agent:
        return {}
    yield "bedrock-agent", "prepare_agent", {"agentId": agent}
    answer = yield "bedrock-agent", "create_agent_alias", {
        "agentId": agent, "agentAliasName": "live",
    }  # fmt: skip
    alias = answer.get("agentAlias", {}).get("agentAliasId", DRAFT)
    return {"agentId": agent, "agentAliasId": alias}


def _asked(which: dict[str, str], text: str, session: str = "one", **more: Any) -> Any:
    """In a session and with a memory that others have by the same ids."""
    asked = {**which, "sessionId": session, "memoryId": "ours", "enableTrace": True, **more}
    return "bedrock-agent-runtime", "invoke_agent", {**asked, "inputText": text}


def _ended(which: dict[str, str], session: str = "one") -> Any:
    return "bedrock-agent-runtime", "invoke_agent", {
        **which, "sessionId": session, "memoryId": "ours", "endSession": True,
    }  # fmt: skip


def _remembered(which: dict[str, str]) -> Steps:
    asked = {**which, "memoryId": "ours", "memoryType": "SESSION_SUMMARY"}
    answer: Answer = yield "bedrock-agent-runtime", "get_agent_memory", {**asked, "maxItems": 1}
    if "nextToken" in answer:
        yield "bedrock-agent-runtime", "get_agent_memory", {
            **asked, "nextToken": answer["nextToken"],
        }  # fmt: skip
    yield "bedrock-agent-runtime", "get_agent_memory", asked


def _agents_begin(it: Cast) -> Steps:
    answer = yield "bedrock-agent", "create_knowledge_base", base_request(it.worker, "papers")
    it.known["base"] = answer["knowledgeBase"]["knowledgeBaseId"]
    which = it.known["clerk"] = yield from _hired(it, "clerk")
    yield _asked(which, f"{SHARED} at {it.random('talk').choice(WORDS)}.")
    yield _ended(which)
    yield _asked(which, "My name is Ada.", "two")


def _agents_above(it: Cast, label: str) -> Steps:
    answer = yield "bedrock-agent", "create_knowledge_base", base_request(it.worker, "papers")
    it.above["base"] = answer.get("knowledgeBase", {}).get("knowledgeBaseId", "ABCDEFGHIK")
    for name in ("clerk", "above"):
        it.above |= yield from _hired(it, name)
    own = it.known["clerk"]
    for session in ("two", "three"):
        yield _asked(own, f"The ambassador at {label} leaves by night.", session)
        yield _ended(own, session)
    yield from _remembered(own)
    yield "bedrock-agent", "create_agent_action_group", {
        **_draft(it.above.get("agentId", "")), **ORDERS,
    }  # fmt: skip
    yield "bedrock-agent", "update_agent", {"agentId": own["agentId"], **_agent(it, "changed")}


def _draft(agent: str) -> dict[str, str]:
    return {"agentId": agent, "agentVersion": "DRAFT"}


def _agents_below(it: Cast) -> Steps:
    own = it.known["clerk"]
    hidden = {
        "agentId": it.hidden("agentId", "ABCDEFGHIJ"),
        "agentAliasId": it.hidden("agentAliasId", "KLMNOPQRST"),
    }
    for which in (own, hidden):
        yield from _looked_at(which)
        yield _asked(which, "What is my name?", "two")
    yield from _remembered(own)
    yield _ended(own, "two")
    yield from _remembered(own)
    yield _ended(own, "three")
    for session in ({"sessionId": "three"}, {}):
        yield "bedrock-agent-runtime", "delete_agent_memory", {
            **own, "memoryId": "ours", **session,
        }  # fmt: skip
        yield from _remembered(own)
    yield "bedrock-agent", "list_agents", {}
    yield from tagged("bedrock-agent", it.arn("bedrock", f"agent/{own['agentId']}"), "resourceArn")
    yield from _changed(it, own["agentId"], hidden)
    yield from _gone(it, own, hidden)


def _looked_at(which: dict[str, str]) -> Steps:
    agent = {"agentId": which["agentId"]}
    yield "bedrock-agent", "get_agent", agent
    yield "bedrock-agent", "get_agent_alias", which
    yield "bedrock-agent", "get_agent_version", {**agent, "agentVersion": "1"}
    yield "bedrock-agent", "list_agent_aliases", agent
    yield from pages("bedrock-agent", "list_agent_versions", **agent)
    for kind in ("action_groups", "knowledge_bases", "collaborators"):
        yield "bedrock-agent", f"list_agent_{kind}", _draft(which["agentId"])


def _changed(it: Cast, own: str, hidden: dict[str, str]) -> Steps:
    """What it works with: what is above is no such thing."""
    answer = yield "bedrock-agent", "create_agent_action_group", {**_draft(own), **ORDERS}
    group = answer["agentActionGroup"]["actionGroupId"]
    named = {**_draft(own), "actionGroupId": group}
    yield "bedrock-agent", "get_agent_action_group", named
    yield "bedrock-agent", "update_agent_action_group", {**named, **ORDERS}
    yield from _told_by_others(it, own, hidden)
    yield from _looks_up(it, own)
    yield "bedrock-agent", "update_agent", {"agentId": own, **_agent(it, "above")}
    yield "bedrock-agent", "update_agent", {"agentId": own, **_agent(it, "clerk")}
    yield "bedrock-agent", "delete_agent_action_group", {**named, "skipResourceInUseCheck": True}
    yield "bedrock-agent", "prepare_agent", {"agentId": own}


def _told_by_others(it: Cast, own: str, hidden: dict[str, str]) -> Steps:
    supervisor = {**_agent(it, "clerk"), "agentCollaboration": "SUPERVISOR"}
    yield "bedrock-agent", "update_agent", {"agentId": own, **supervisor}
    for name, which in (("above", hidden), ("own", (yield from _hired(it, "expert")))):
        alias = it.arn("bedrock", f"agent-alias/{which['agentId']}/{which['agentAliasId']}")
        how = {
            "agentDescriptor": {"aliasArn": alias}, "collaboratorName": name,
            "collaborationInstruction": "It knows.",
        }  # fmt: skip
        answer = yield "bedrock-agent", "associate_agent_collaborator", {**_draft(own), **how}
        found = answer.get("agentCollaborator", {}).get("collaboratorId", "NONENONENO")
        named = {**_draft(own), "collaboratorId": found}
        yield "bedrock-agent", "get_agent_collaborator", named
        yield "bedrock-agent", "prepare_agent", {"agentId": own}
        yield "bedrock-agent", "update_agent_collaborator", {**named, **how}
        yield "bedrock-agent", "disassociate_agent_collaborator", named


def _looks_up(it: Cast, own: str) -> Steps:
    for base in (it.hidden("base", "ABCDEFGHIK"), it.known["base"]):
        named = {**_draft(own), "knowledgeBaseId": base}
        yield "bedrock-agent", "associate_agent_knowledge_base", {**named, "description": "Papers"}
        yield "bedrock-agent", "get_agent_knowledge_base", named
        yield "bedrock-agent", "update_agent_knowledge_base", {**named, "description": "All"}
    yield "bedrock-agent", "list_agent_knowledge_bases", _draft(own)
    yield "bedrock-agent", "disassociate_agent_knowledge_base", named


def _gone(it: Cast, own: dict[str, str], hidden: dict[str, str]) -> Steps:
    yield "bedrock-agent-runtime", "invoke_inline_agent", {
        "sessionId": "two", "inputText": "Hello.", "instruction": INSTRUCTION,
        "foundationModel": SMOL, "enableTrace": True,
        "promptOverrideConfiguration": {"promptConfigurations": [BRIEF]},
    }  # fmt: skip
    for which in (own, hidden):
        yield "bedrock-agent", "update_agent_alias", {**which, "agentAliasName": "new"}
        yield "bedrock-agent", "delete_agent", {"agentId": which["agentId"]}
        yield "bedrock-agent", "delete_agent_alias", which
        yield "bedrock-agent", "delete_agent_version", {
            "agentId": which["agentId"], "agentVersion": "1",
        }  # fmt: skip
        yield "bedrock-agent", "delete_agent", {"agentId": which["agentId"]}
    for name in ("clerk", "above"):
        yield "bedrock-agent", "create_agent", _agent(it, name)


CHAPTERS: dict[str, Chapter] = {
    "answers": Chapter(_answers_begin, _answers_above, _answers_below),
    "agents": Chapter(_agents_begin, _agents_above, _agents_below),
}
