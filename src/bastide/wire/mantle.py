"""bedrock-mantle: what AWS serves at it in OpenAI's and in Anthropic's words, described as botocore
describes a service. AWS publishes no model of it, and botocore has none.

Top-level members are typed here, so that they are parsed, bounded, and refused by name where they
are not honoured, as those of any operation. What is inside a message or a tool is its dialect's.
Sources: https://docs.aws.amazon.com/bedrock/latest/userguide/bedrock-mantle.html,
https://platform.openai.com/docs/api-reference and https://docs.anthropic.com/en/api/messages
"""

from collections.abc import Mapping
from typing import Any

NAME = "bedrock-mantle"
OPENAI, ANTHROPIC = "openai", "anthropic"
DIALECTS = (OPENAI, ANTHROPIC)
MESSAGES_MAX = 10_000
TOOLS_MAX = 128

_SHAPES: dict[str, Any] = {
    "Text": {"type": "string"},
    "Model": {"type": "string", "min": 1, "max": 2048},
    "Any": {"type": "structure", "members": {}, "document": True},
    "Messages": {"type": "list", "member": {"shape": "Any"}, "min": 1, "max": MESSAGES_MAX},
    "Tools": {"type": "list", "member": {"shape": "Any"}, "max": TOOLS_MAX},
    "Texts": {"type": "list", "member": {"shape": "Text"}, "max": 64},
    "Flag": {"type": "boolean"},
    "Count": {"type": "integer", "min": 1},
    "Whole": {"type": "long"},
    "One": {"type": "integer", "min": 1, "max": 1},
    "Unit": {"type": "double", "min": 0, "max": 1},
    "Heat": {"type": "double", "min": 0, "max": 2},
    "Penalty": {"type": "double", "min": -2, "max": 2},
    "Answer": {"type": "structure", "members": {"body": {"shape": "Any"}}},
}
# What several of OpenAI's operations take, and none of them needs.
_OPENAI = {
    **dict.fromkeys(("metadata", "moderation", "prompt_cache_options"), "Any"),
    **dict.fromkeys(
        ("prompt_cache_key", "prompt_cache_retention", "safety_identifier", "service_tier",
         "user"), "Text"),
    "parallel_tool_calls": "Flag", "store": "Flag", "stream": "Flag", "stream_options": "Any",
    "temperature": "Heat", "tool_choice": "Any", "tools": "Tools", "top_logprobs": "Whole",
    "top_p": "Unit",
}  # fmt: skip
_CHAT = {
    **_OPENAI,
    "model": "Model", "messages": "Messages", "audio": "Any", "frequency_penalty": "Penalty",
    "function_call": "Any", "functions": "Tools", "logit_bias": "Any", "logprobs": "Flag",
    "max_completion_tokens": "Count", "max_tokens": "Count", "modalities": "Texts", "n": "One",
    "prediction": "Any", "presence_penalty": "Penalty", "reasoning_effort": "Text",
    "response_format": "Any", "seed": "Whole", "stop": "Any", "verbosity": "Text",
    "web_search_options": "Any",
}  # fmt: skip
_RESPONSE = {
    **_OPENAI,
    "model": "Model", "input": "Any", "access_programs": "Any", "background": "Flag",
    "background_options": "Any", "context_management": "Any", "conversation": "Any",
    "image": "Any", "include": "Texts", "instructions": "Text", "max_output_tokens": "Count",
    "max_tool_calls": "Count", "previous_response_id": "Text", "prompt": "Any",
    "reasoning": "Any", "text": "Any", "truncation": "Text",
}  # fmt: skip
_EMBEDDING = {
    "model": "Model", "input": "Any", "dimensions": "Count", "encoding_format": "Text",
    "user": "Text",
}  # fmt: skip
_COUNTED = {
    "model": "Model", "messages": "Messages", "cache_control": "Any", "output_config": "Any",
    "prefill": "Any", "speed": "Text", "system": "Any", "thinking": "Any", "tool_choice": "Any",
    "tools": "Tools", "user_profile_id": "Text", "workspace_id": "Text", "mcp_servers": "Any",
    "context_management": "Any",
}  # fmt: skip
_MESSAGE = {
    **_COUNTED,
    "max_tokens": "Count", "container": "Any", "diagnostics": "Any", "inference_geo": "Text",
    "metadata": "Any", "service_tier": "Text", "stop_sequences": "Texts", "stream": "Flag",
    "temperature": "Unit", "top_k": "Whole", "top_p": "Unit",
}  # fmt: skip
# The names and statuses of bedrock-runtime's Converse, by which each of these is answered.
_ERRORS = {
    "AccessDeniedException": 403, "InternalServerException": 500, "ModelErrorException": 424,
    "ModelNotReadyException": 429, "ModelStreamErrorException": 424, "ModelTimeoutException": 408,
    "ResourceNotFoundException": 404, "ServiceUnavailableException": 503,
    "ThrottlingException": 429, "ValidationException": 400,
}  # fmt: skip


def _members(named: Mapping[str, str]) -> dict[str, Any]:
    return {name: {"shape": shape} for name, shape in named.items()}


def _post(path: str, named: Mapping[str, str], *required: str, dialect: str = OPENAI) -> Any:
    """An operation and its input. `/v1/…` is the same place: AWS gives both as a base URL."""
    http = {
        "method": "POST",
        "requestUri": f"/{dialect}/v1/{path}",
        "alsoAt": [f"/v1/{path}"],
        "dialect": dialect,
    }
    return http, {"type": "structure", "required": list(required), "members": _members(named)}


def _get(path: str, **members: Any) -> Any:
    http = {"method": "GET", "requestUri": f"/openai/v1/{path}", "alsoAt": [f"/v1/{path}"]}
    return http, {"type": "structure", "required": list(members), "members": members}


_OPERATIONS = {
    "CreateChatCompletion": _post("chat/completions", _CHAT, "model", "messages"),
    "CreateResponse": _post("responses", _RESPONSE, "model", "input"),
    "CreateEmbedding": _post("embeddings", _EMBEDDING, "model", "input"),
    "ListModels": _get("models"),
    "RetrieveModel": _get(
        "models/{model}", model={"shape": "Model", "location": "uri", "locationName": "model"}
    ),
    "CreateMessage": _post(
        "messages", _MESSAGE, "model", "messages", "max_tokens", dialect=ANTHROPIC
    ),
    "CountMessageTokens": _post(
        "messages/count_tokens", _COUNTED, "model", "messages", dialect=ANTHROPIC
    ),
}


def _described() -> dict[str, Any]:
    shapes = dict(_SHAPES)
    for code, status in _ERRORS.items():
        error = {"httpStatusCode": status}
        shapes[code] = {"type": "structure", "members": {}, "exception": True, "error": error}
    operations = {}
    for name, (http, request) in _OPERATIONS.items():
        shapes[f"{name}Request"] = request
        operations[name] = {
            "name": name,
            "http": {"responseCode": 200, **http},
            "input": {"shape": f"{name}Request"},
            "output": {"shape": "Answer"},
            "errors": [{"shape": code} for code in _ERRORS],
        }
    metadata = {
        "apiVersion": "v1", "endpointPrefix": NAME, "protocol": OPENAI, "signingName": NAME,
        "serviceId": "Bedrock Mantle", "signatureVersion": "v4",
    }  # fmt: skip
    return {"version": "2.0", "metadata": metadata, "operations": operations, "shapes": shapes}


DESCRIPTION = _described()
_PATHS = (
    "/openai/v1/", "/anthropic/v1/",
    *(uri.partition("{")[0] for http, _ in _OPERATIONS.values() for uri in http["alsoAt"]),
)  # fmt: skip


def dialect_at(path: str, host: str = "") -> str:
    """Whose words an answer at this path is written in; "" where none of these is."""
    if not (path.startswith(_PATHS) or host.startswith(NAME)):
        return ""
    is_anthropic = path.startswith(("/anthropic/", "/v1/messages"))
    return ANTHROPIC if is_anthropic else OPENAI
