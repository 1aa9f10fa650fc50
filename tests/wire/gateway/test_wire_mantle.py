"""OpenAI's and Anthropic's clients through the whole chain: the same stages, other words."""

import asyncio
import json

import pytest

from bastide.kernel.errors import ServiceError
from bastide.wire.arrival import Room
from tests.wire.gateway.kit import BEARER, Request

CHAT, MESSAGES, LIST = "/openai/v1/chat/completions", "/anthropic/v1/messages", "/openai/v1/models"
MAX = ',"max_tokens":9'
BODY = f'{{"model":"m","messages":[{{}}]{MAX}}}'.encode()


def post(path=CHAT, body=BODY, *headers, service="bedrock-mantle"):
    kind = ("content-type", "application/json")
    return Request("POST", path, [("host", "localhost"), kind, *headers], body, service=service)


def bearer(path=CHAT, body=BODY, *headers, key=BEARER):
    return post(path, body, ("authorization", f"Bearer {key}"), *headers)


def asked(model="m", **more):
    fields = {"model": model, "messages": [{}], "max_tokens": 9, **more}
    return json.dumps(fields).encode()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        (CHAT, "CreateChatCompletion"),
        ("/v1/chat/completions", "CreateChatCompletion"),
        ("/bedrock-mantle/openai/v1/chat/completions", "CreateChatCompletion"),
        (MESSAGES, "CreateMessage"),
        ("/v1/messages", "CreateMessage"),
        (f"{MESSAGES}?beta=true", "CreateMessage"),
    ],
)
def test_each_way_in_is_the_same_operation(world, path, name):
    for request in (bearer(path), post(path, service="bedrock").sign()):
        answer = world.ask(request)
        assert answer.status == 200, answer.text
        assert json.loads(answer.text) == {"model": "m"}
    assert world.handlers.reached == [f"bedrock-mantle.{name}"] * 2
    assert world.auditor.kinds() == ["opened", "closed"] * 2


@pytest.mark.parametrize("host", ["bedrock-mantle.us-gov-west-1.api.aws", "bedrock-runtime.x.y"])
def test_the_hosts_of_aws_serve_it(world, host):
    assert world.ask(bearer(CHAT).set("host", host)).status == 200


def test_another_services_host_does_not_serve_it(world):
    assert world.ask(bearer(CHAT).set("host", "bedrock-agent.x.y")).status == 404


def test_anthropics_client_sends_its_key_in_a_header_of_its_own(world):
    answer = world.ask(post(MESSAGES, BODY, ("x-api-key", BEARER)))
    assert answer.status == 200
    (call,) = world.handlers.calls
    assert not {"x-api-key", "authorization"} & call.headers.keys(), "a handler sees no key"
    assert world.ask(post(CHAT, BODY, ("x-api-key", BEARER))).status == 401


def test_two_keys_are_one_too_many(world):
    answer = world.ask(bearer(MESSAGES, BODY, ("x-api-key", BEARER)))
    assert answer.status == 401
    signed = post(MESSAGES, BODY, ("x-api-key", BEARER)).sign()
    assert world.ask(signed).status == 401
    assert world.handlers.reached == []


@pytest.mark.parametrize("path", [CHAT, MESSAGES, LIST])
def test_an_unknown_key_is_told_in_the_clients_words(world, path):
    method = "GET" if path == LIST else "POST"
    request = bearer(path, b"" if path == LIST else BODY, key="unknown")
    request.method = method
    answer = world.ask(request)
    assert answer.status == 401
    told = json.loads(answer.text)
    if path == MESSAGES:
        assert told["type"] == "error"
        assert told["error"]["type"] == "authentication_error"
        assert told["request_id"] == answer.headers["request-id"]
    else:
        assert told["error"]["type"] == "invalid_request_error"
        assert told["error"]["code"] == "invalid_api_key"
        assert answer.headers["x-request-id"] == answer.headers["x-amzn-requestid"]
    assert world.auditor.kinds() == ["rejected"]
    assert "unknown" not in json.dumps(world.auditor.facts)


def test_no_key_at_all_is_told_in_the_clients_words(world):
    answer = world.ask(post(CHAT))
    assert (answer.status, json.loads(answer.text)["error"]["code"]) == (401, "invalid_api_key")


def test_a_bearer_key_is_taken_over_tls_only(world):
    request = bearer()
    request.scheme = "http"
    assert world.ask(request).status == 401
    assert world.handlers.reached == []


@pytest.mark.parametrize("service", ["s3", "sagemaker", "sts"])
def test_a_signature_for_another_service_opens_nothing(world, service):
    assert world.ask(post(CHAT, service=service).sign()).status >= 400
    assert world.handlers.reached == []


def test_a_signature_for_mantle_opens_nothing_else(world):
    body = b'{"messages":[{"role":"user","content":[{"text":"hi"}]}]}'
    assert world.ask(post("/model/m/converse-stream", body).sign()).status == 404
    listing = Request("GET", "/foundation-models", service="bedrock-mantle")
    assert world.ask(listing.sign()).status == 404
    assert world.handlers.reached == []


def test_a_refusal_is_recorded_and_told(world):
    world.authorizer.denies = True
    for path, kind in ((CHAT, "invalid_request_error"), (MESSAGES, "permission_error")):
        answer = world.ask(bearer(path))
        assert answer.status == 403
        assert json.loads(answer.text)["error"]["type"] == kind
    assert world.auditor.kinds() == ["denied"] * 2


def test_without_a_record_there_is_no_answer(world):
    world.auditor.unavailable = True
    for path, kind in ((CHAT, "server_error"), (MESSAGES, "overloaded_error")):
        answer = world.ask(bearer(path))
        assert answer.status == 503
        assert json.loads(answer.text)["error"]["type"] == kind
        assert int(answer.headers["retry-after"]) > 0
    assert world.handlers.reached == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", CHAT, 404),
        ("PUT", MESSAGES, 404),
        ("POST", LIST, 404),
        ("POST", f"{CHAT}/", 404),
        ("POST", "/openai/v1/chat%2Fcompletions", 404),
        ("POST", "/openai/v1/files", 404),
        ("POST", "/anthropic/v1/complete", 404),
    ],
)
def test_what_is_not_there_is_told_in_the_clients_words(world, method, path, status):
    request = bearer(path)
    request.method = method
    answer = world.ask(request)
    assert answer.status == status
    assert "There is no operation" in json.loads(answer.text)["error"]["message"]
    assert world.handlers.reached == []


@pytest.mark.parametrize(
    "path", ["/openai/v1/../../model/m/invoke", "/openai/v1//chat/completions"]
)
def test_a_path_that_is_not_normal_is_refused(world, path):
    assert world.ask(post(path).sign()).status == 401
    assert world.ask(bearer(path)).status == 404


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b"\xff", b'"text"', b"model=m",
        b'{"model":"m"}',
        b'{"model":1,"messages":[{}],"max_tokens":9}',
        b'{"model":"m","messages":[],"max_tokens":9}',
        b'{"model":"m","messages":{},"max_tokens":9}',
        b'{"model":"m","messages":[{}],"max_tokens":9,"stream":"yes"}',
        b'{"model":"m","messages":[{}],"max_tokens":9,"temperature":NaN}',
        b'{"model":"m","messages":[{}],"max_tokens":9,"unheard_of":1}',
        b'{"model":"m","messages":[{}],"max_tokens":9,"tools":[{}]}',
        b'{"model":"m","messages":[' + b"[" * 200 + b"]" * 200 + b'],"max_tokens":9}',
        b'{"model":"m","messages":[' + b"[" * 100_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_a_body_that_cannot_be_is_refused(world, path, body):
    answer = world.ask(bearer(path, body))
    assert answer.status == 400, answer.text
    assert json.loads(answer.text)["error"]["type"] == "invalid_request_error"
    assert world.handlers.reached == []


def test_a_body_beyond_all_bounds_is_refused(world):
    request = bearer(CHAT, b"x").set("content-length", str(1 << 40))
    answer = world.ask(request)
    assert 400 <= answer.status < 500
    assert json.loads(answer.text)["error"]["type"] == "invalid_request_error"


def test_of_a_name_given_twice_all_see_the_same_one(world):
    seen = []
    world.authorizer.authorize = lambda call, params: seen.append(params["model"])
    body = b'{"model":"first","messages":[{}],"model":"second"}'
    answer = world.ask(bearer(CHAT, body))
    assert json.loads(answer.text) == {"model": seen[0]}


def test_the_content_type_decides_nothing(world):
    form = bearer().set("content-type", "application/x-www-form-urlencoded")
    assert world.ask(form).status == 200


def test_a_stream_is_server_sent_events(world):
    answer = world.ask(bearer(CHAT, asked(stream=True)))
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text == 'event: begun\ndata: {"type":"begun","text":"?"}\n\ndata: [DONE]\n\n'
    assert world.handlers.closed == ["mantle m"]


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_what_breaks_under_way_is_the_last_event(world, path):
    answer = world.ask(bearer(path, asked("broken", stream=True)))
    last = answer.text.split("\n\n")[-2]
    told = json.loads(last.partition("data: ")[2])
    assert told["error"]["message"] == "It broke."
    assert last.startswith("event: error\n") is (path == MESSAGES)
    assert world.handlers.closed == ["mantle broken"]
    assert world.auditor.kinds() == ["opened", "closed"]
    kind, what, code = world.auditor.events[-1]
    assert (kind, what.split()[-1], code) == ("closed", "200", "ModelStreamErrorException")


def test_the_bodies_of_one_agency_leave_room_for_anothers(world):
    """Those of known senders, too: an agency has as many connections as half of all there are."""
    world.gateway._held = room = Room(4096)
    seen = []
    reach = world.handlers.reach
    world.handlers.reach = lambda call: (seen.append(room.left), reach(call))
    body = asked("m" * 1500)
    assert world.ask(bearer(CHAT, body)).status == 200
    assert seen == [4096 - len(body)], "held until it is done"
    room.take("others", 1024)
    refused = world.ask(bearer(CHAT, asked("m" * 1700)))
    assert refused.status == 503
    signed = post(CHAT, asked("m" * 1700), service="bedrock").sign()
    assert world.ask(signed).status == 503
    world.handlers.failure = ServiceError("ValidationException", "No.")
    assert world.ask(bearer(CHAT)).status == 400
    assert room.left == 4096 - 1024


def test_a_client_that_leaves_ends_the_stream(world):
    async def leave():
        begun = asyncio.Event()
        messages = [{"type": "http.request", "body": asked("endless", stream=True)}]

        async def receive():
            if messages:
                return messages.pop()
            await begun.wait()
            return {"type": "http.disconnect"}

        async def send(message):
            if message["type"] == "http.response.body":
                begun.set()

        await world.gateway(bearer().scope() | {"path": CHAT}, receive, send)

    asyncio.run(asyncio.wait_for(leave(), 30))
    assert world.handlers.closed == ["mantle endless"]
    assert world.auditor.kinds() == ["opened", "closed"]
