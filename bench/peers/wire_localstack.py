"""LocalStack's protocol layer: route inside the service, parse, validate, serialise."""

import json

import wire_work as work
from localstack.aws.protocol.parser import create_parser
from localstack.aws.protocol.serializer import create_serializer
from localstack.aws.protocol.validate import validate_request
from localstack.aws.spec import load_service
from localstack.http import Request

bedrock, sagemaker = load_service("bedrock-runtime"), load_service("sagemaker")
parse_rest, write_rest = create_parser(bedrock), create_serializer(bedrock)
parse_json, write_json = create_parser(sagemaker), create_serializer(sagemaker)
REST = {"Content-Type": "application/json", "Accept": "application/json"}
JSON = {
    "Content-Type": "application/x-amz-json-1.1",
    "X-Amz-Target": "SageMaker.CreateTrainingJob",
}


def converse_round() -> None:
    asked = Request(
        "POST",
        work.CONVERSE_PATH,
        headers=REST,
        body=work.CONVERSE_BODY,
        raw_path=work.CONVERSE_PATH,
    )
    operation, params = parse_rest.parse(asked)
    validate_request(operation, params)
    assert write_rest.serialize_to_response(
        work.CONVERSE_ANSWER, operation, asked.headers, "id"
    ).data


def training_round() -> None:
    asked = Request("POST", "/", headers=JSON, body=work.TRAINING_BODY, raw_path="/")
    operation, params = parse_json.parse(asked)
    assert params == work.TRAINING
    validate_request(operation, params)
    assert write_json.serialize_to_response(
        work.TRAINING_ANSWER, operation, asked.headers, "id"
    ).data


print(
    json.dumps(
        {
            "Converse": work.timed_us(converse_round),
            "CreateTrainingJob": work.timed_us(training_round),
        }
    )
)
