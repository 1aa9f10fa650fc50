"""What is done with runtimes of agents, reserved throughput and models that agencies bring: one
chapter each."""

import json
from typing import Any

from tests.ni.chapters import ARN, pages, said, tagged, zipped
from tests.ni.thinking import Answer, Cast, Chapter, Steps, Until

# Runtimes of agents.

CODE, KEY = "code-box", "agent.zip"
SESSION = "the-session-" + "0" * 30
# It counts what it is asked, and says whose session it is and what it was told before.
COUNTS = """
import http.server, json

told = []

class Agent(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.answer({"status": "Healthy"})

    def do_POST(self):
        told.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer({"told": told})

    def answer(self, members):
        body = json.dumps(members).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass

http.server.ThreadingHTTPServer(("0.0.0.0", 8080), Agent).serve_forever()
"""


def _plan(it: Cast) -> dict[str, Any]:
    code = {"s3": {"bucket": CODE, "prefix": KEY}}
    return {
        "agentRuntimeArtifact": {"codeConfiguration": {
            "code": code, "runtime": "PYTHON_3_11", "entryPoint": ["app.py"],
        }},
        "roleArn": it.worker, "networkConfiguration": {"networkMode": "PUBLIC"},
    }  # fmt: skip


def _control(operation: str, **asked: Any) -> tuple[str, str, dict[str, Any]]:
    return "bedrock-agentcore-control", operation, asked


def _runtime(it: Cast, name: str) -> tuple[str, str, dict[str, Any]]:
    return _control("create_agent_runtime", agentRuntimeName=name, **_plan(it))


def _told(it: Cast, runtime: str, text: str) -> tuple[str, str, dict[str, Any]]:
    return "bedrock-agentcore", "invoke_agent_runtime", {
        **_session(it, runtime), "payload": json.dumps({"said": text}).encode(),
    }  # fmt: skip


def _session(it: Cast, runtime: str) -> dict[str, str]:
    arn = it.arn("bedrock-agentcore", f"runtime/{runtime}")
    return {"agentRuntimeArn": arn, "runtimeSessionId": SESSION}


def _runtimes_begin(it: Cast) -> Steps:
    where = {"LocationConstraint": "us-gov-west-1"}
    yield "s3", "create_bucket", {"Bucket": CODE, "CreateBucketConfiguration": where}
    yield "s3", "put_object", {"Bucket": CODE, "Key": KEY, "Body": zipped(COUNTS)}
    answer = yield _runtime(it, "counts")
    it.known["runtime"] = answer["agentRuntimeId"]
    yield _told(it, it.known["runtime"], str(it.random("told").random()))


def _runtimes_above(it: Cast, label: str) -> Steps:
    own = it.known["runtime"]
    for name in ("counts", "above"):
        answer = yield _runtime(it, name)
        it.above["runtime"] = answer.get("agentRuntimeId", it.above.get("runtime", ""))
    yield _told(it, own, f"of the ambassador at {label}")
    yield _control(
        "create_agent_runtime_endpoint", agentRuntimeId=it.above["runtime"], name="above",
    )  # fmt: skip
    yield _control("create_agent_runtime_endpoint", agentRuntimeId=own, name="above")
    yield _control("update_agent_runtime", agentRuntimeId=own, **_plan(it))


def _runtimes_below(it: Cast) -> Steps:
    own, hidden = it.known["runtime"], it.hidden("runtime", "above-AbCdEfGhIj")
    yield _told(it, own, "below")
    for each in (own, hidden):
        which = {"agentRuntimeId": each}
        yield _control("get_agent_runtime", **which)
        yield _control("get_agent_runtime_endpoint", **which, endpointName="above")
        for name in ("list_agent_runtime_versions", "list_agent_runtime_endpoints"):
            yield from pages("bedrock-agentcore-control", name, **which)
    yield _told(it, hidden, "below")
    yield _control("list_agent_runtimes")
    arn = it.arn("bedrock-agentcore", f"runtime/{own}")
    yield from tagged("bedrock-agentcore-control", arn, "resourceArn")
    yield _control("create_agent_runtime_endpoint", agentRuntimeId=own, name="above")
    yield _control("update_agent_runtime", agentRuntimeId=own, **_plan(it), description="new")
    for name in ("update", "get", "delete"):
        named = {"agentRuntimeId": own, "endpointName": "above"}
        yield _control(f"{name}_agent_runtime_endpoint", **named)
    for _ in range(2):
        yield "bedrock-agentcore", "stop_runtime_session", _session(it, own)
    for each in (hidden, own):
        yield _control("delete_agent_runtime", agentRuntimeId=each)
    for name in ("counts", "above"):
        yield _runtime(it, name)


# Reserved throughput. Each label has a part of its own (`ENGINES` of tests/ni/stage.py).


def _held(name: str) -> tuple[str, str, dict[str, Any]]:
    return "bedrock", "create_provisioned_model_throughput", {
        "provisionedModelName": name, "modelId": ARN, "modelUnits": 1,
    }  # fmt: skip


def _ready(arn: str) -> Until:
    step = "bedrock", "get_provisioned_model_throughput", {"provisionedModelId": arn}
    return Until(step, lambda answer: answer["status"] != "Creating")


def _throughput_begin(it: Cast) -> Steps:
    answer = yield _held("fast")
    it.known["fast"] = answer["provisionedModelArn"]
    yield _ready(it.known["fast"])


def _throughput_above(it: Cast, label: str) -> Steps:
    answer: Answer
    for name in ("fast", "above"):
        answer = yield _held(name)
        if "provisionedModelArn" in answer:
            it.above["throughput"] = answer["provisionedModelArn"]
            yield _ready(answer["provisionedModelArn"])
    yield _spoken(it.known["fast"])
    yield "bedrock", "delete_provisioned_model_throughput", {"provisionedModelId": it.known["fast"]}


def _spoken(model: str) -> tuple[str, str, dict[str, Any]]:
    return "bedrock-runtime", "converse", {
        "modelId": model, "messages": said("Count."),
        "inferenceConfig": {"maxTokens": 2, "temperature": 0.0},
    }  # fmt: skip


def _throughput_below(it: Cast) -> Steps:
    made_up = it.arn("bedrock", "provisioned-model/abc123def456")
    own, hidden = it.known["fast"], it.hidden("throughput", made_up)
    for each in (own, hidden, "above"):
        yield "bedrock", "get_provisioned_model_throughput", {"provisionedModelId": each}
    for each in (own, hidden):
        yield _spoken(each)
    yield from pages("bedrock", "list_provisioned_model_throughputs")
    yield from tagged("bedrock", own, "resourceARN")
    for name in ("above", "fast"):
        yield "bedrock", "update_provisioned_model_throughput", {
            "provisionedModelId": own, "desiredProvisionedModelName": name,
        }  # fmt: skip
    answer = yield _held("above")
    for each in (hidden, own, answer.get("provisionedModelArn", "above")):
        yield "bedrock", "delete_provisioned_model_throughput", {"provisionedModelId": each}


# Models that agencies bring: of weights that are not there, so that each job fails at once.


def _brought(it: Cast, name: str) -> tuple[str, str, dict[str, Any]]:
    return "bedrock", "create_model_import_job", {
        "jobName": name, "importedModelName": f"model-{name}", "roleArn": it.worker,
        "clientRequestToken": f"token-{name}",
        "modelDataSource": {"s3DataSource": {"s3Uri": "s3://no-such-box/weights/"}},
    }  # fmt: skip


def _over(arn: str) -> Until:
    step = "bedrock", "get_model_import_job", {"jobIdentifier": arn}
    return Until(step, lambda answer: answer["status"] != "InProgress")


def _imports_begin(it: Cast) -> Steps:
    answer = yield _brought(it, "one")
    it.known["job"] = answer["jobArn"]
    yield _over(it.known["job"])


def _imports_above(it: Cast, label: str) -> Steps:
    for name in ("one", "above"):
        answer = yield _brought(it, name)
        if "jobArn" in answer:
            it.above["job"] = answer["jobArn"]
            yield _over(answer["jobArn"])


def _imports_below(it: Cast) -> Steps:
    hidden = it.hidden("job", it.arn("bedrock", "model-import-job/abc123def456"))
    for each in (it.known["job"], hidden, "above"):
        yield "bedrock", "get_model_import_job", {"jobIdentifier": each}
    yield from pages("bedrock", "list_model_import_jobs")
    yield from tagged("bedrock", it.known["job"], "resourceARN")
    for name in ("get_imported_model", "delete_imported_model"):
        yield "bedrock", name, {"modelIdentifier": "model-above"}
    yield "bedrock", "list_imported_models", {}
    for name in ("one", "above"):
        answer = yield _brought(it, name)
        if "jobArn" in answer:
            yield _over(answer["jobArn"])


# Where the invocations of models are logged.

LOGGED = "logged-box"


def _logged(it: Cast, prefix: str) -> tuple[str, str, dict[str, Any]]:
    place = {"bucketName": LOGGED, "keyPrefix": prefix}
    return "bedrock", "put_model_invocation_logging_configuration", {
        "loggingConfig": {"s3Config": place, "textDataDeliveryEnabled": True},
    }  # fmt: skip


def _logging_begin(it: Cast) -> Steps:
    where = {"LocationConstraint": "us-gov-west-1"}
    yield "s3", "create_bucket", {"Bucket": LOGGED, "CreateBucketConfiguration": where}
    lets = {
        "Effect": "Allow", "Principal": {"Service": "bedrock.amazonaws.com"},
        "Action": "s3:PutObject", "Resource": f"arn:aws-us-gov:s3:::{LOGGED}/*",
        "Condition": {"StringEquals": {"aws:SourceAccount": it.account}},
    }  # fmt: skip
    policy = json.dumps({"Version": "2012-10-17", "Statement": [lets]})
    yield "s3", "put_bucket_policy", {"Bucket": LOGGED, "Policy": policy}
    yield "bedrock", "get_model_invocation_logging_configuration", {}
    yield _logged(it, "low")


def _logging_above(it: Cast, label: str) -> Steps:
    """What is said below of where to log holds above, too: it is logged there at its own label."""
    yield _logged(it, "above")
    yield _spoken(ARN)
    delivered = "s3", "list_objects_v2", {"Bucket": LOGGED}
    yield Until(delivered, lambda answer: bool(answer["KeyCount"]))


def _logging_below(it: Cast) -> Steps:
    for name in ("list_objects_v2", "list_object_versions"):
        yield "s3", name, {"Bucket": LOGGED}
    for _ in range(2):
        yield "bedrock", "get_model_invocation_logging_configuration", {}
        yield "bedrock", "delete_model_invocation_logging_configuration", {}
    yield _spoken(ARN)


CHAPTERS: dict[str, Chapter] = {
    "runtimes": Chapter(_runtimes_begin, _runtimes_above, _runtimes_below),
    "throughput": Chapter(_throughput_begin, _throughput_above, _throughput_below),
    "logging": Chapter(_logging_begin, _logging_above, _logging_below),
    "imports": Chapter(_imports_begin, _imports_above, _imports_below),
}
