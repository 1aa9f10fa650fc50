"""Side doors: whose calls are heard there, where its keys are good, and how those are got."""

import asyncio
import http.client
import json
import socket
from dataclasses import replace

import pytest

from bastide.kernel.call import BEHIND, Credential, PrincipalKind
from bastide.kernel.clock import SystemClock
from bastide.kernel.errors import ServiceError
from bastide.wire.side_doors import SideDoors
from bastide.wire.types import Bound
from tests.labels_kit import at
from tests.wire.gateway.kit import PRINCIPAL, SECRET, Request, World
from tests.wire.gateway.live import Live

ROLE = "arn:aws-us-gov:iam::123456789012:role/worker"
DOOR = Bound(door="door-1", account="123456789012", role_arn=ROLE, label="S")
OWN = replace(
    PRINCIPAL, kind=PrincipalKind.SESSION, issuer_arn=ROLE, facts={BEHIND: "door-1"}, **at("S")
)
WHO = {
    "ASIAOWN": OWN,
    "ASIAOTHERDOOR": replace(OWN, facts={BEHIND: "door-2"}),
    "ASIAOUTSIDE": replace(OWN, facts={}),
    "ASIALOWER": replace(OWN, **at("U")),
    "ASIAOTHERROLE": replace(OWN, issuer_arn=ROLE + "2"),
    "ASIAOTHERAGENCY": replace(OWN, account="210987654321"),
}
TOKEN = "a-token"


@pytest.fixture
def world():
    made = World(clock=SystemClock())
    find = made.credentials.find
    made.credentials.find = lambda key, token, now: (
        Credential(SECRET, WHO[key]) if key in WHO else find(key, token, now)
    )
    return made


@pytest.fixture
def live(world):
    made = Live(world, make_loop=asyncio.new_event_loop)
    yield made
    made.close()


class Issuer:
    refused: ServiceError | None = None
    count = 0

    async def issue(self):
        self.count += 1
        if self.refused:
            raise self.refused
        return {"AccessKeyId": "ASIAOWN"}


@pytest.fixture
def issuer():
    return Issuer()


@pytest.fixture
def door(live, issuer, tmp_path):
    """The path of an open one."""
    doors, path = SideDoors(live.world.gateway, live.server), tmp_path / "door" / "gate.sock"

    async def opened():
        doors.open(path, DOOR, TOKEN, issuer.issue)
        doors.open(path, DOOR, TOKEN, issuer.issue)  # it stays as it is

    async def closed():
        doors.close_all()

    asyncio.run_coroutine_threadsafe(opened(), live.loop).result(10)
    yield path
    asyncio.run_coroutine_threadsafe(closed(), live.loop).result(10)
    with socket.socket(socket.AF_UNIX) as client, pytest.raises(ConnectionRefusedError):
        client.connect(str(path))
    doors.close(path)
    assert not path.parent.exists()


def asked(path, request):
    """Status and body of one request at a door."""
    connection = http.client.HTTPConnection("localhost")
    connection.sock = socket.socket(socket.AF_UNIX)
    connection.sock.settimeout(10)
    connection.sock.connect(str(path))
    try:
        headers = dict(request.headers)
        connection.request(request.method, request.target, request.body or None, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def buckets(key, **more):
    return Request(service="s3").sign(key=key, at=SystemClock().now(), **more)


def test_only_its_own_keys_are_heard_at_a_door(world, door):
    status, _ = asked(door, buckets("ASIAOWN"))
    assert status == 200
    (call,) = world.handlers.calls
    assert (call.principal, call.secure, call.source_ip) == (OWN, True, "")
    unknown = asked(door, buckets("AKIANOBODY"))
    assert unknown[0] == 403
    for key in (*(WHO.keys() - {"ASIAOWN"}), "AKIAIOSFODNN7EXAMPLE"):
        status, said = asked(door, buckets(key))
        assert (status, b"InvalidAccessKeyId" in said) == (403, True), key
    assert len(world.handlers.calls) == 1
    assert world.auditor.kinds().count("opened") == 1


def test_presigned_or_by_a_bearer_key_it_is_no_other(world, door):
    request = Request(service="s3")
    request.presign(key="ASIALOWER", at=SystemClock().now())
    assert asked(door, request)[0] == 403
    bearer = Request(target="/foundation-models", service="bedrock")
    bearer.set("host", "localhost").set("authorization", "Bearer bedrock-api-key-0123456789")
    assert asked(door, bearer)[0] == 403
    assert asked(door, Request().set("host", "localhost"))[0] == 403
    assert not world.handlers.calls


def test_its_keys_are_known_nowhere_else(world):
    assert world.ask(buckets("ASIAOWN")).status == 403
    assert world.ask(buckets("ASIAOUTSIDE")).status == 200
    world.close()


def test_keys_are_given_to_who_knows_the_token(door, issuer, world):
    def fetch(token, target="/.bastide/credentials"):
        request = Request(target=target).set("host", "localhost")
        return asked(door, request if token is None else request.set("authorization", token))

    for token in (None, "", "a-toke", TOKEN + "x"):
        assert fetch(token)[0] == 403
    assert issuer.count == 0
    status, said = fetch(TOKEN)
    assert (status, json.loads(said)) == (200, {"AccessKeyId": "ASIAOWN"})
    assert fetch(TOKEN, "/.bastide/credentials/")[0] == 400  # the gateway's: it is not signed
    issuer.refused = ServiceError("ValidationException", "The role is gone.")
    status, said = fetch(TOKEN)
    assert (status, json.loads(said)["code"]) == (400, "ValidationException")
    assert world.ask(Request(target="/.bastide/credentials").set("host", "localhost")).status == 403
