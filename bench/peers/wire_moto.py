"""moto's protocol layer: parse and serialise. It routes elsewhere and validates nothing."""

import json

import wire_work as work
from moto.core.parse import PROTOCOL_PARSERS
from moto.core.serialize import get_serializer_class
from moto.core.utils import get_service_model
from werkzeug.datastructures import Headers, MultiDict

converse = get_service_model("bedrock-runtime").operation_model("Converse")
training = get_service_model("sagemaker").operation_model("CreateTrainingJob")
to_rest = get_serializer_class("bedrock-runtime", "rest-json")
to_json = get_serializer_class("sagemaker", "json")


def request(path: str, content_type: str, body: bytes, uri: dict[str, str]) -> dict[str, object]:
    return {
        "method": "POST",
        "values": MultiDict(),
        "headers": Headers({"Content-Type": content_type}),
        "body": body,
        "url_path": path,
        "url_params": uri,
    }


def converse_round() -> None:
    asked = request(
        work.CONVERSE_PATH,
        "application/json",
        work.CONVERSE_BODY,
        {"modelId": "anthropic.claude-3-5-sonnet-20240620-v1:0"},
    )
    PROTOCOL_PARSERS["rest-json"](converse).parse(asked)
    to_rest(operation_model=converse).serialize(work.CONVERSE_ANSWER)


def training_round() -> None:
    asked = request("/", "application/x-amz-json-1.1", work.TRAINING_BODY, {})
    assert PROTOCOL_PARSERS["json"](training).parse(asked) == work.TRAINING
    to_json(operation_model=training).serialize(work.TRAINING_ANSWER)


print(
    json.dumps(
        {
            "Converse": work.timed_us(converse_round),
            "CreateTrainingJob": work.timed_us(training_round),
        }
    )
)
